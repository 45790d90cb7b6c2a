"""`setup`: topics and tables."""

import asyncio
import json
from collections.abc import Mapping

import click

from stream_detector.cli import CommandError
from stream_detector.cli.api_client import use_running_stack
from stream_detector.cli.options import settings_flags
from stream_detector.kafka.client import wait_for_broker
from stream_detector.kafka.create_topics import make_topics
from stream_detector.settings import Settings
from stream_detector.store.connect import find_wrong_encoding, wait_for_pool
from stream_detector.store.grants import GRANTS, admit, grant
from stream_detector.store.migrate import pending
from stream_detector.telemetry.logs import start_logging

PATIENCE_S = 60.0
"""How long to wait for a broker or database that is still starting, for example under docker compose."""


@click.command()
@settings_flags
@click.option("--dry-run", is_flag=True, help="Only print what would be created")
@click.option(
    "--grant",
    "grants",
    multiple=True,
    metavar="ROLE[=USER]",
    help="Also grant a database user what this role needs: recorder, api or readers; may be repeated",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: topics and migrations")
def command(settings: Settings, dry_run: bool, grants: tuple[str, ...], as_json: bool) -> None:
    """Create the topics and the database tables. A second run changes nothing.

    \b
    Example: stream-detector setup --broker kafka:9092 --database-url postgresql://db/detector --dry-run
    """
    settings = use_running_stack(settings)
    if not settings.broker and not settings.database_url:
        raise CommandError(
            "neither STREAM_DETECTOR_BROKER nor STREAM_DETECTOR_DATABASE_URL is set (--broker, --database-url), and no "
            "`stream-detector up` of this user is running",
            2,
        )
    users = {role: user or role for role, _, user in (each.partition("=") for each in grants)}
    if unknown := users.keys() - GRANTS.keys():
        raise CommandError(f"--grant {min(unknown)}: must be one of {', '.join(GRANTS)}", 2)
    start_logging("setup", form=settings.log_format, level=settings.log_level)
    done = asyncio.run(make(settings, dry_run=dry_run, users=users))
    if as_json:
        click.echo(json.dumps(done | {"dry_run": dry_run}))
        return
    verb = "would create" if dry_run else "created"
    for kind, names in done.items():
        click.echo(f"{kind}: {verb} {', '.join(names)}" if names else f"{kind}: nothing to do")


async def make(
    settings: Settings, *, dry_run: bool = False, users: Mapping[str, str] | None = None
) -> dict[str, list[str]]:
    """Create topics if a broker is set, tables if a database is. Returns the names of what was created.

    Args:
        users: role -> database user that is granted what the role needs; not in a dry run.
    """
    done: dict[str, list[str]] = {}
    if settings.broker:
        await wait_for_broker(settings, give_up_after_s=PATIENCE_S)
        done["topics"] = await make_topics(settings, dry_run=dry_run)
    if settings.database_url:
        async with asyncio.timeout(PATIENCE_S):
            pool = await wait_for_pool(settings.database_url, name="setup", size=1)
        try:
            if wrong := await find_wrong_encoding(pool):
                raise CommandError(wrong)
            done["migrations"] = await (pending(pool) if dry_run else admit(pool, "migrator"))
            for role, user in {} if dry_run else (users or {}).items():
                await grant(pool, role, user)
        finally:
            await pool.close()
    return done
