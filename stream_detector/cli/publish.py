"""`publish`: publishes a history from a file to Kafka."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from stream_detector.cli import CommandError
from stream_detector.cli.api_client import with_broker
from stream_detector.cli.options import settings_flags
from stream_detector.events.files import HistoryError, read_history
from stream_detector.events.inputs import INPUT_TOPICS
from stream_detector.kafka.client import wait_for_broker
from stream_detector.kafka.publish import Published, publish
from stream_detector.notify.rendering.escape import one_line
from stream_detector.settings import Settings

PATIENCE_S = 30.0
SHOWN_LINES = 20
PROGRESS_EVERY_S = 1.0


class _Message(NamedTuple):
    topic: str
    key: bytes
    value: bytes


class _Reading:
    """The valid events of the file as messages; rejected lines are printed to stderr and counted."""

    def __init__(self, file: Path, builds: bool) -> None:
        self._file, self._builds = file, builds
        self.refused = 0

    def __iter__(self) -> Iterator[_Message]:
        for line in read_history(self._file, record_ms=int(time.time() * 1000), builds=self._builds):
            if line.error is None and line.kind is not None:
                yield _Message(INPUT_TOPICS[line.kind], line.key, line.value)
                continue
            self.refused += 1
            if self.refused <= SHOWN_LINES:
                click.echo(f"{self._file}:{line.number}: {one_line(str(line.error), 1_000)}", err=True)
            elif self.refused == SHOWN_LINES + 1:
                click.echo(f"more lines are rejected: `stream-detector validate {self._file}` lists all", err=True)


class _Progress:
    """A line on stderr every second: overwritten on a terminal, otherwise one after the other."""

    def __init__(self) -> None:
        self._next_s, self._shown = PROGRESS_EVERY_S, False

    def __call__(self, done: Published) -> None:
        if done.seconds >= self._next_s:
            self._next_s, self._shown = done.seconds + PROGRESS_EVERY_S, True
            text = f"{done.events:,} events, {done.events / done.seconds:,.0f} a second"
            click.echo(f"\r{text}" if sys.stderr.isatty() else text, err=True, nl=not sys.stderr.isatty())

    def end(self) -> None:
        if self._shown and sys.stderr.isatty():
            click.echo("", err=True)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--backfill", is_flag=True, help="Only learn from these events; no alerts")
@click.option("--builds", is_flag=True, help="CI tables only: one execution per build, with its tests as steps")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: published and rejected counts")
@settings_flags
def command(settings: Settings, file: Path, backfill: bool, builds: bool, as_json: bool) -> None:
    """Publish the events of FILE to Kafka: JSON lines or a table (CSV), optionally gzipped.

    Without settings they go to the `up` of this user. Invalid lines are listed and skipped (exit code 1). Publishing a
    file twice is safe: repeated events are recognised by their ids.

    \b
    Example: stream-detector publish history.csv.gz --backfill --broker kafka:9092
    """
    settings = with_broker(settings)
    reading, progress = _Reading(file, builds), _Progress()
    try:
        done = asyncio.run(_publish(settings, reading, backfill, progress))
    except HistoryError as error:
        raise CommandError(str(error), 2) from None
    finally:
        progress.end()
    if as_json:
        click.echo(
            json.dumps({"published": done.topics, "refused": reading.refused, "seconds": round(done.seconds, 3)})
        )
    else:
        topics = ", ".join(f"{count:,} to {settings.topic(name)}" for name, count in sorted(done.topics.items()))
        click.echo(f"published {topics or 'nothing'} in {done.seconds:.1f} s; {reading.refused} lines rejected")
    if reading.refused or not done.events:
        raise SystemExit(1)


async def _publish(settings: Settings, reading: _Reading, backfill: bool, progress: _Progress) -> Published:
    await wait_for_broker(settings, give_up_after_s=PATIENCE_S)
    return await publish(settings, reading, backfill=backfill, progress=progress)
