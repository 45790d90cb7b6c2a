"""`recorder`: the role, and the command about what it has stored, which a process of the role does not import."""

import importlib

import click

from stream_detector.cli.options import settings_flags
from stream_detector.cli.roles import run_role
from stream_detector.settings import Settings

_COMMANDS = {"rewind": "stream_detector.cli.rewind"}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        found: click.Command = importlib.import_module(_COMMANDS[cmd_name]).command
        return found


@click.group("recorder", cls=_LazyGroup, invoke_without_command=True)
@settings_flags
def command(settings: Settings) -> None:
    """Store events, anomalies and notifications in PostgreSQL, in idempotent batches.

    \b
    Example: stream-detector recorder --broker kafka:9092
    """
    if click.get_current_context().invoked_subcommand is None:
        run_role("recorder", settings)
