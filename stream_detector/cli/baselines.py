"""`baselines`: restores detection's state from the database when its topic is lost."""

import asyncio

import click

from stream_detector.cli import CommandError
from stream_detector.cli.options import settings_flags
from stream_detector.cli.restore_state import counted, describe
from stream_detector.kafka.client import wait_for_broker
from stream_detector.roles.restore.new_broker import RestoreError, has_known_state, restore_new_broker
from stream_detector.roles.restore.same_topics import restore_same_topics
from stream_detector.settings import PREFIX, Settings
from stream_detector.store.connect import open_pool, store_errors
from stream_detector.store.grants import admit

PATIENCE_S = 10.0


@click.group("baselines")
def command() -> None:
    """Restore baselines that Kafka has lost."""


@command.command()
@settings_flags
def restore(settings: Settings) -> None:
    """Restore the state of the detector from the database. Stop all roles first, and run `setup`.

    If the topic `baselines` was lost, its values are written with their positions and the offsets of the detector's
    group are set to the positions of the last checkpoint that is stored completely. On a new cluster or prefix, all
    state is written without positions, and stored events that it does not include are published again.

    \b
    Example: stream-detector baselines restore --broker kafka:9092 --database-url postgresql://db/detector
    """
    for name in ("broker", "database_url"):
        if not getattr(settings, name):
            flag = f"--{name.replace('_', '-')}"
            raise CommandError(
                f"{PREFIX}{name.upper()} ({flag}) is not set: it is restored from the database to the broker. "
                "An `up` restores by itself when it starts",
                2,
            )
    try:
        click.echo(asyncio.run(_restore(settings)))
    except RestoreError as error:
        raise CommandError(f"nothing was restored: {error}") from None


async def _restore(settings: Settings) -> str:
    await wait_for_broker(settings, give_up_after_s=PATIENCE_S)
    pool = await open_pool(settings.database_url, name="restore", size=2)
    try:
        with store_errors():
            await admit(pool, "migrator")
            if not await has_known_state(settings, pool):
                restored = await restore_new_broker(settings, pool)
                if restored is None:
                    raise RestoreError("the topics hold state already, or the database has none")
                return describe(restored)
            done = await restore_same_topics(settings, pool)
    finally:
        await pool.close()
    values = ", ".join(f"{counted(count, 'value')} of {topic}" for topic, count in done.values.items())
    return f"restored {values}; the detector reads {counted(done.read_again, 'record')} again when it starts"
