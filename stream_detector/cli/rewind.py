"""`recorder rewind`: fills a database that was restored from an older dump again from Kafka."""

import asyncio
from datetime import UTC, datetime

import click

from stream_detector.cli import CommandError
from stream_detector.cli.options import settings_flags
from stream_detector.cli.restore_state import counted
from stream_detector.cli.stopped_stack import is_stopped_stack, with_services
from stream_detector.kafka.client import wait_for_broker
from stream_detector.roles.restore.new_broker import RestoreError
from stream_detector.roles.restore.rewind import Rewound, rewind
from stream_detector.settings import PREFIX, Settings
from stream_detector.store.connect import open_pool
from stream_detector.store.grants import admit
from stream_detector.store.source_positions import Gap

PATIENCE_S = 10.0


def _time(context: click.Context, parameter: click.Parameter, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time of ISO 8601, such as 2026-11-30T14:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@click.command("rewind")
@click.option("--to", required=True, metavar="TIME", callback=_time, help="ISO 8601, UTC where it names no zone")
@click.option("--dry-run", is_flag=True, help="Only print what would be read again")
@settings_flags
def command(to: datetime, dry_run: bool, settings: Settings) -> None:
    """Store again from Kafka what was published since a time. Stop all recorders first.

    For a database that was restored from an older dump; `doctor` reports that and prints the time. What is stored
    already stays one row. The output names what Kafka does not have any more.

    \b
    Example: stream-detector recorder rewind --to 2026-11-30T14:00:00Z --broker kafka:9092
             --database-url postgresql://db/detector
    """
    for name in () if is_stopped_stack(settings) else ("broker", "database_url"):
        if not getattr(settings, name):
            raise CommandError(
                f"{PREFIX}{name.upper()} (--{name.replace('_', '-')}) is not set, and {settings.data_path} has no "
                "Kafka of a stopped `up --broker apache` (--data-dir)",
                2,
            )
    try:
        with with_services(settings) as settings:
            done = asyncio.run(_rewind(settings, to, dry_run=dry_run))
    except RestoreError as error:
        raise CommandError(f"nothing was changed: {error}") from None
    for line in describe(done, dry_run=dry_run):
        click.echo(line)
    if done.still_missing:
        raise SystemExit(1)


async def _rewind(settings: Settings, to: datetime, *, dry_run: bool) -> Rewound:
    await wait_for_broker(settings, give_up_after_s=PATIENCE_S)
    pool = await open_pool(settings.database_url, name="rewind", size=1)
    try:
        if not dry_run:
            await admit(pool, "migrator")
        return await rewind(settings, pool, to, dry_run=dry_run)
    finally:
        await pool.close()


def describe(done: Rewound, *, dry_run: bool = False) -> list[str]:
    """What was done, or would be, a line each."""
    verb = "would read" if dry_run else "reads"
    what = f"{counted(done.records, 'record')} of {counted(done.partitions, 'partition')}"
    lines = [f"the recorder {verb} {what} again when it starts"]
    lines += [f"{_shown(gap)}: Kafka does not have them any more; publish them again" for gap in done.gone]
    lines += [f"{_shown(gap)}: still missing, they are older than --to" for gap in done.still_missing]
    return lines


def _shown(gap: Gap) -> str:
    return (
        f"{gap.topic}-{gap.partition}: {counted(gap.end - gap.first, 'record')} (offsets {gap.first} to {gap.end - 1})"
    )
