"""`reset-source`: has a role go on where the log of a source partition is not the one that it has read."""

import asyncio

import asyncpg
import click

from stream_detector.cli import CommandError
from stream_detector.cli.options import settings_flags
from stream_detector.cli.stopped_stack import is_stopped_stack, with_services
from stream_detector.kafka.acls import GROUPED
from stream_detector.kafka.client import wait_for_broker
from stream_detector.kafka.end_offsets import TOPICS_READ_BY
from stream_detector.roles.restore.new_broker import RestoreError
from stream_detector.roles.restore.reset_source import Reset, reset_source
from stream_detector.settings import PREFIX, Settings
from stream_detector.store.connect import open_pool
from stream_detector.store.grants import admit

PATIENCE_S = 10.0
_TOPICS = sorted({topic for topics in TOPICS_READ_BY.values() for topic in topics})


@click.command()
@click.option("--topic", required=True, type=click.Choice(_TOPICS), metavar="TOPIC", help="Without TOPIC_PREFIX")
@click.option("--partition", required=True, type=click.IntRange(0), help="Its number")
@click.option("--to", required=True, metavar="earliest|latest|OFFSET", help="Where the role continues reading")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(GROUPED),
    help="Only this role; without it, each that has applied more than the log holds",
)
@click.option("--dry-run", is_flag=True, help="Only print what would be changed")
@settings_flags
def command(topic: str, partition: int, to: str, roles: tuple[str, ...], dry_run: bool, settings: Settings) -> None:
    """Reset the position of one source partition. Stop the roles that read it first.

    For a partition whose log was truncated or recreated: a role stops there, because new records have offsets that it
    has already applied. The position is removed from the state (baselines, open runs or notifier state), the watermarks
    and the committed offset; everything else is kept. `latest` skips what the log holds now, `earliest` reads all of
    it: events that were applied before, and whose ids are no longer among the last of their key, are applied again.

    \b
    Examples: stream-detector reset-source --topic scores --partition 3 --to latest --broker kafka:9092 --dry-run
              stream-detector reset-source --topic scores --partition 3 --to latest --data-dir ./watch
    """
    if not (settings.broker or is_stopped_stack(settings)):
        raise CommandError(
            f"{PREFIX}BROKER (--broker) is not set, and {settings.data_path} has no Kafka of an `up --broker apache` "
            "(--data-dir). The embedded broker of `up` needs no reset: restart `up`",
            2,
        )
    try:
        with with_services(settings) as settings:
            done = asyncio.run(_reset(settings, topic, partition, to, roles, dry_run=dry_run))
    except RestoreError as error:
        raise CommandError(f"nothing was changed: {error}") from None
    for line in describe(done, dry_run=dry_run, has_database=bool(settings.database_url)):
        click.echo(line)


async def _reset(
    settings: Settings, topic: str, partition: int, to: str, roles: tuple[str, ...], *, dry_run: bool
) -> Reset:
    await wait_for_broker(settings, give_up_after_s=PATIENCE_S)
    pool: asyncpg.Pool | None = None
    if settings.database_url and not dry_run:
        pool = await open_pool(settings.database_url, name="reset-source", size=1)
    try:
        if pool is not None:
            await admit(pool, "migrator")
        return await reset_source(settings, pool, topic, partition, to, roles=roles, dry_run=dry_run)
    finally:
        if pool is not None:
            await pool.close()


def describe(done: Reset, *, dry_run: bool, has_database: bool) -> list[str]:
    """What was done, or would be, a line each."""
    place, would = f"{done.place.topic}-{done.place.partition}", "would continue" if dry_run else "continues"
    holds = f"holds offsets {done.log_start} to {done.log_end}" if done.log_end >= 0 else "does not exist any more"
    lines = [f"{place} {holds}"]
    for role in done.roles:
        keys = (
            f"; {role.keys:,} records of its state {'would be' if dry_run else 'were'} rewritten" if role.keys else ""
        )
        lines.append(f"{role.role}: had applied {role.applied}, {would} at {done.target}{keys}")
    if done.target > done.log_start:
        lines.append(f"{done.target - done.log_start:,} records before that are not read again")
    if done.moved_rows:
        lines.append(f"PostgreSQL: {done.moved_rows:,} rows now lie below the new offsets")
    if not has_database:
        lines.append(
            "DATABASE_URL is not set: `why` and `check` wait for stored events at offsets that are not reached yet"
        )
    return lines
