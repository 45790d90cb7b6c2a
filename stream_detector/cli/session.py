"""`session`: browser sessions. Uses the database directly, like `token`."""

import click
import msgspec

from stream_detector.cli import CommandError
from stream_detector.cli.options import settings_flags
from stream_detector.cli.token import known_setting_hash, parse_id, session_line, with_pool
from stream_detector.settings import Settings
from stream_detector.store import credentials


@click.group("session")
def command() -> None:
    """List and end browser sessions."""


@command.command("list")
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array")
def list_sessions(settings: Settings, as_json: bool) -> None:
    """List all valid browser sessions: id, role, validity, what opened them, and name.

    \b
    Opened by token, setting (API_TOKEN), link (`token link`) or local (automatic sign-in).
    Example: stream-detector session list
    """
    found = with_pool(settings, lambda pool: credentials.sessions(pool, known_setting_hash(settings)))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        click.echo(session_line(each))


@command.command()
@click.argument("session_id", metavar="ID")
@settings_flags
def end(session_id: str, settings: Settings) -> None:
    """End a browser session, effective immediately. ID is the one printed by `session list` and `token list`.

    \b
    Example: stream-detector session end 1065829a-cfbd-5714-97f3-df5ca44f533e
    """
    known = parse_id(session_id, "session")
    if not with_pool(settings, lambda pool: credentials.end_session_of_id(pool, known)):
        raise CommandError(f"there is no valid session with the id {session_id}")
    click.echo(f"session {session_id} has ended")
