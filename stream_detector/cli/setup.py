"""`setup`: topics and tables."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from stream_detector.cli import CommandError
from stream_detector.cli.api_client import use_running_stack
from stream_detector.cli.options import settings_flags
from stream_detector.cli.stopped_stack import CATCH_UP, is_stopped_stack, with_services
from stream_detector.kafka.client import wait_for_broker
from stream_detector.kafka.create_topics import NEW_PARTITIONS, make_topics
from stream_detector.kafka.topics import BASELINES
from stream_detector.settings import PREFIX, Settings
from stream_detector.store.connect import find_wrong_encoding, wait_for_pool
from stream_detector.store.grants import GRANTS, admit, grant
from stream_detector.store.migrate import pending
from stream_detector.telemetry.logs import start_logging

if TYPE_CHECKING:
    from stream_detector.roles.restore.repartition import Repartitioned

PATIENCE_S = 60.0
"""How long to wait for a broker or database that is still starting, for example under docker compose."""


@click.command()
@settings_flags
@click.option("--dry-run", is_flag=True, help="Only print what would be created, or how many keys would move")
@click.option(
    "--grant",
    "grants",
    multiple=True,
    metavar="ROLE[=USER]",
    help="Also grant a database user what this role needs: recorder, api or readers; may be repeated",
)
@click.option(
    "--repartition",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Give the topics N partitions and move each key's state to its new owner",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: topics and migrations")
def command(settings: Settings, dry_run: bool, grants: tuple[str, ...], repartition: int | None, as_json: bool) -> None:
    """Create the topics and the database tables. A second run changes nothing.

    With --repartition N the topics of an installation get more partitions. Stop producers and the API first, let the
    other roles catch up, then stop them. If it is interrupted, run it again.

    \b
    Examples: stream-detector setup --broker kafka:9092 --database-url postgresql://db/detector --dry-run
              stream-detector setup --broker kafka:9092 --repartition 12
              stream-detector setup --data-dir ./watch --repartition 12    (of a stopped `up --broker apache`)
    """
    if repartition is not None:
        _repartition(settings, repartition, dry_run=dry_run, as_json=as_json)
        return
    is_ours = not settings.broker
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
    proposed = 0 if is_ours else NEW_PARTITIONS
    done = asyncio.run(make(settings, dry_run=dry_run, proposed=proposed, users=users))
    if as_json:
        click.echo(json.dumps(done | {"dry_run": dry_run}))
        return
    verb = "would create" if dry_run else "created"
    for kind, names in done.items():
        click.echo(f"{kind}: {verb} {', '.join(names)}" if names else f"{kind}: nothing to do")
    if settings.topic(BASELINES) in done.get("topics", ()) and not (is_ours or settings.has_set("partitions")):
        click.echo(f"partitions: {NEW_PARTITIONS} by default; STREAM_DETECTOR_PARTITIONS sets another number")


def _repartition(settings: Settings, n: int, *, dry_run: bool, as_json: bool) -> None:
    from stream_detector.roles.restore.repartition import RepartitionError, repartition

    is_of_up = is_stopped_stack(settings)
    if not (settings.broker or is_of_up):
        raise CommandError(
            f"{PREFIX}BROKER (--broker) is not set, and {settings.data_path} has no Kafka of an `up --broker apache` "
            f"(--data-dir). For an embedded broker set {PREFIX}PARTITIONS: at its next start `up` restores each key at "
            "its new owner",
            2,
        )
    start_logging("setup", form=settings.log_format, level=settings.log_level)

    async def run(settings: Settings) -> "Repartitioned":
        await wait_for_broker(settings, give_up_after_s=PATIENCE_S)
        return await repartition(settings, n, dry_run=dry_run)

    try:
        with with_services(settings) as running:
            done = asyncio.run(run(running))
    except RepartitionError as error:
        raise CommandError(f"{error}. {CATCH_UP}" if is_of_up else str(error)) from None
    if as_json:
        click.echo(json.dumps(asdict(done) | {"dry_run": dry_run}))
        return
    verb = "would move" if dry_run else "moved"
    click.echo(f"partitions: {done.before}, {'would become' if dry_run else 'now'} {done.after}")
    for topic, count in done.moved.items():
        click.echo(f"{topic}: {verb} {count:,} of {done.keys[topic]:,} keys")
    if settings.has_set("partitions") and settings.partitions != n:
        click.echo(f"set {PREFIX}PARTITIONS={n} for every role before it starts")


async def make(
    settings: Settings, *, dry_run: bool = False, proposed: int = 0, users: Mapping[str, str] | None = None
) -> dict[str, list[str]]:
    """Create topics if a broker is set, tables if a database is. Returns the names of what was created.

    Args:
        dry_run: only find out what would be.
        proposed: see `make_topics`.
        users: role -> database user that is granted what the role needs; not in a dry run.
    """
    done: dict[str, list[str]] = {}
    if settings.broker:
        await wait_for_broker(settings, give_up_after_s=PATIENCE_S)
        done["topics"] = await make_topics(settings, dry_run=dry_run, proposed=proposed)
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
