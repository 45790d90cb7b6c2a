"""`token`: access to the API. Uses the database directly, so that the first token needs no other one."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, get_args
from uuid import UUID

import asyncpg
import click
import msgspec

from stream_detector.cli import CommandError
from stream_detector.cli.api_client import public_address, use_running_stack
from stream_detector.cli.options import settings_flags
from stream_detector.notify.rendering.escape import one_line
from stream_detector.serve.local_session import person
from stream_detector.settings import PREFIX, Settings
from stream_detector.store import credentials
from stream_detector.store.connect import open_pool, store_errors
from stream_detector.store.credentials import TOKEN_PREFIX, Role, StoredSession, StoredToken
from stream_detector.store.migrate import migrate

T = TypeVar("T")
_MOST_DAYS = 3650
ROLE = click.option(
    "--role",
    type=click.Choice(get_args(Role)),
    required=True,
    help="viewer: read; producer: publish events; operator: everything",
)


@click.group("token")
def command() -> None:
    """Create, list and revoke API tokens, or create a sign-in link."""


@command.command()
@ROLE
@click.option("--name", default="", help="User or program that gets the token; shown with its actions")
@click.option("--days", type=click.IntRange(1, _MOST_DAYS), default=365, show_default=True, help="Validity in days")
@click.option("--workflow", default=None, help="Create a ping key: it only reports the runs of this workflow")
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the token and its stored details")
def create(role: Role, name: str, days: int, workflow: str | None, settings: Settings, as_json: bool) -> None:
    """Create a token and print it. It is stored as a hash and cannot be shown again.

    \b
    Examples:
      stream-detector token create --role producer --name ci
      stream-detector token create --role producer --workflow nightly-backup
    """
    if workflow is not None:
        check_workflow(role, workflow)
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    token, stored = with_pool(
        settings,
        lambda pool: credentials.create_token(
            pool, name=name or workflow or role, role=role, expires_at=expires_at, workflow_id=workflow
        ),
    )
    if as_json:
        click.echo(msgspec.json.encode({"token": token, **msgspec.structs.asdict(stored)}).decode())
        return
    click.echo(token)
    click.echo(
        f"role {role}, valid until {expires_at:%Y-%m-%d}, id {stored.id}. Copy it now: it is not shown again.", err=True
    )
    if workflow:
        click.echo(_ping_help(public_address(use_running_stack(settings)), token), err=True)


def check_workflow(role: Role, workflow: str) -> None:
    """Raises `CommandError` for a ping key that could not be used."""
    if role != "producer":
        raise CommandError("--workflow: a ping key has the role producer", 2)
    if not 1 <= len(workflow) <= 256 or not workflow.isprintable():
        raise CommandError("--workflow: the id of a workflow has 1 to 256 characters, without control characters", 2)


def _ping_help(address: str, key: str) -> str:
    url = f"{address}/ping/{key}"
    return (
        "The key is part of a URL; whoever has the URL can report runs of this workflow:\n"
        f"  curl -fsS -X POST {url}/start\n"
        f"  curl -fsS -X POST {url}        (success; {url}/fail, {url}/EXITCODE)\n"
        f"  {PREFIX}PING_URL={url} stream-detector run -- COMMAND"
    )


@command.command("list")
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array")
def list_tokens(settings: Settings, as_json: bool) -> None:
    """List all tokens: id, role, validity, last use and name, each with its browser sessions; never the token itself.

    \b
    Example: stream-detector token list
    """
    found, opened = with_pool(settings, _tokens_and_sessions)
    if as_json:
        listed = [
            {**msgspec.structs.asdict(each), "sessions": [one for one in opened if one.token_id == each.id]}
            for each in found
        ]
        click.echo(msgspec.json.encode(listed).decode())
        return
    for each in found:
        used = f"used {each.used_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if each.used_at else "never used"
        ping = f"  ping key of {one_line(each.workflow_id)}" if each.workflow_id is not None else ""
        click.echo(f"{each.id}  {each.role:<8}  {_state(each):<16}  {used:<25}  {one_line(each.name)}{ping}")
        for one in opened:
            if one.token_id == each.id:
                click.echo(f"  session {session_line(one)}")


def known_setting_hash(settings: Settings) -> Callable[[], bytes | None] | None:
    """Of API_TOKEN, by which sessions of a former one are left out; None where this shell does not have it.

    The same variable also holds a token of `token create`, with which a command calls the API.
    """
    token = settings.api_token
    return None if not token or token.startswith(TOKEN_PREFIX) else lambda: credentials.setting_hash_of(token)


async def _tokens_and_sessions(pool: asyncpg.Pool) -> tuple[list[StoredToken], list[StoredSession]]:
    return await credentials.tokens(pool), await credentials.sessions(pool)


@command.command()
@click.argument("token_id", metavar="ID")
@settings_flags
def revoke(token_id: str, settings: Settings) -> None:
    """Revoke a token and end its browser sessions, effective immediately. ID is the one printed by `token list`.

    \b
    Example: stream-detector token revoke 1065829a-cfbd-5714-97f3-df5ca44f533e
    """
    known = parse_id(token_id, "token")
    ended = with_pool(settings, lambda pool: credentials.revoke_token(pool, known))
    if ended is None:
        raise CommandError(f"there is no token with the id {token_id}")
    click.echo(f"{token_id} is revoked" + (f"; browser sessions ended: {ended}" if ended else ""))


@command.command()
@click.option("--role", type=click.Choice(["viewer", "operator"]), default="operator", show_default=True)
@click.option("--name", default="", help="User who gets the link; default: you")
@settings_flags
@click.option("--json", "as_json", is_flag=True, help='Print {"link": ...}')
def link(role: Role, name: str, settings: Settings, as_json: bool) -> None:
    """Print a sign-in link: it works once, within 15 minutes, in one browser.

    \b
    Example: stream-detector token link
    """
    settings = use_running_stack(settings)
    made = with_pool(settings, lambda pool: make_link(pool, settings, name=name, role=role))
    click.echo(json.dumps({"link": made}) if as_json else made)


async def make_link(pool: asyncpg.Pool, settings: Settings, *, name: str = "", role: Role = "operator") -> str:
    """The full address of a one-time link, under BASE_URL if that is set, else under the API's own address."""
    code = await credentials.make_link(pool, name=name or person(), role=role)
    return f"{public_address(settings)}/open/{code}"


async def sign_in_link(settings: Settings) -> str:
    """The same for a caller without a connection. Raises `StoreAwayError`."""
    pool = await open_pool(settings.database_url, name="token", size=1)
    try:
        with store_errors():
            return await make_link(pool, settings)
    finally:
        await pool.close()


def parse_id(text: str, kind: str) -> UUID:
    """The id of a token or a session, as the command `list` of that name prints it."""
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(f"{text[:80]}: not the id of a {kind}; `{kind} list` prints them", 2) from None


def session_line(session: StoredSession) -> str:
    """One session on one line, as lists print it."""
    until, by = session.expires_at.astimezone(UTC), session.opened_by or "unknown"
    return f"{session.id}  {session.role:<8}  until {until:%Y-%m-%d %H:%M} UTC  by {by:<7}  {one_line(session.name)}"


def with_pool(settings: Settings, work: Callable[[asyncpg.Pool], Awaitable[T]]) -> T:
    """What `work` returns, done with a connection to the database of the settings or of the running `up`."""
    settings = use_running_stack(settings)
    if not settings.database_url:
        raise CommandError(
            f"{PREFIX}DATABASE_URL (--database-url) is not set, and no `stream-detector up` of this user is running", 2
        )

    async def go() -> T:
        pool: Any = await open_pool(settings.database_url, name="token", size=1)
        try:
            await migrate(pool)
            with store_errors():
                return await work(pool)
        finally:
            await pool.close()

    return asyncio.run(go())


def _state(token: StoredToken) -> str:
    if token.revoked_at:
        return "revoked"
    if token.expires_at and token.expires_at <= datetime.now(UTC):
        return "expired"
    return f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else "no expiry"
