"""`publish`: publishes a history from a file to Kafka, all of it or nothing.

The file is read twice: checked as a whole first, since a file of which half is on Kafka is nobody's wish. What stops in
between, a broker that is gone or a person, leaves everything up to an event that is named, from which it goes on.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import asyncpg
import click

from stream_detector.cli import CommandError
from stream_detector.cli.api_client import with_broker
from stream_detector.cli.file_options import FileOptions, file_options, kept_file
from stream_detector.cli.options import settings_flags
from stream_detector.events import Completion, Start
from stream_detector.events.files import HistoryError
from stream_detector.events.files.order import in_order_of_time
from stream_detector.events.inputs import INPUT_TOPICS
from stream_detector.events.lines import Line
from stream_detector.kafka.client import wait_for_broker
from stream_detector.kafka.publish import Published, publish
from stream_detector.notify.rendering.escape import one_line
from stream_detector.settings import Settings
from stream_detector.store.connect import StoreAwayError, open_pool, store_errors
from stream_detector.store.executions import Ends, is_repeat, stored_ends

PATIENCE_S = 30.0
SHOWN_LINES = 20
PROGRESS_EVERY_S = 1.0
_LOOKED_UP_AT_ONCE = 5_000


class _Message(NamedTuple):
    topic: str
    key: bytes
    value: bytes
    record_ms: int | None
    event: Completion | None


class _Reading:
    """The valid events of the file as messages; rejected lines are printed to stderr and counted."""

    def __init__(self, options: FileOptions, named: Path, from_event: int) -> None:
        self._options, self._named, self.from_event = options, named, from_event
        self._now_ms = int(time.time() * 1000)
        self.valid = self.refused = self.known = 0
        self.is_database_away = False
        self.has_record_times = False

    def check(self) -> None:
        """Read it once without publishing. Raises `HistoryError`."""
        for line in self._options.read(record_ms=self._now_ms):
            if line.error is None:
                self.valid += 1
                continue
            self.refused += 1
            if self.refused <= SHOWN_LINES:
                click.echo(f"{self._named}:{line.number}: {one_line(str(line.error), 1_000)}", err=True)
            elif self.refused == SHOWN_LINES + 1:
                click.echo(f"more lines are rejected: `stream-detector validate {self._named}` lists all", err=True)

    def __iter__(self) -> Iterator[_Message]:
        lines = self._options.read(record_ms=self._now_ms, quietly=True)
        valid = (line for line in in_order_of_time(lines) if line.error is None)
        for line in islice(valid, self.from_event - 1, None):
            if line.kind is not None:
                self.has_record_times |= line.record_ms is not None
                ended = line.event if isinstance(line.event, Completion) else None
                yield _Message(INPUT_TOPICS[line.kind], line.key, with_source(line), line.record_ms, ended)

    async def new_ones(self, pool: asyncpg.Pool) -> AsyncIterator[_Message]:
        """The messages without the executions that the database has; where it does not answer, all."""
        messages = iter(self)
        while some := list(islice(messages, _LOOKED_UP_AT_ONCE)):
            stored: Ends = {}
            if not self.is_database_away:
                try:
                    with store_errors(), suppress(asyncpg.UndefinedTableError):
                        stored = await stored_ends(pool, [each.event for each in some if each.event])
                except StoreAwayError as error:
                    self.note_away(error)
            for each in some:
                if each.event and is_repeat(each.event, stored):
                    self.known += 1
                else:
                    yield each

    def note_away(self, error: StoreAwayError) -> None:
        """The database is not asked any more."""
        self.is_database_away = True
        click.echo(f"the database does not answer ({error}): executions that came before may count twice", err=True)


def with_source(line: Line) -> bytes:
    """The line's JSON; of an execution that names no source with that of files. Its other bytes stay as they are."""
    value = line.value.strip()
    names_none = isinstance(line.event, Completion | Start) and line.event.source is None
    if not names_none or not value.startswith(b"{") or b'"source"' in value or b'"specversion"' in value:
        return line.value
    return value[:-1] + b',"source":"file"}'


class PublishProgress:
    """A line on stderr every second: overwritten on a terminal, otherwise one after the other."""

    def __init__(self) -> None:
        self._next_s, self._shown = PROGRESS_EVERY_S, False
        self.done = Published()

    def __call__(self, done: Published) -> None:
        self.done = done
        if done.seconds >= self._next_s:
            self._next_s, self._shown = done.seconds + PROGRESS_EVERY_S, True
            text = f"{done.events:,} events, {done.events / done.seconds:,.0f} a second"
            click.echo(f"\r{text}" if sys.stderr.isatty() else text, err=True, nl=not sys.stderr.isatty())

    def end(self) -> None:
        if self._shown and sys.stderr.isatty():
            click.echo("", err=True)


@click.command()
@file_options
@click.option("--backfill", is_flag=True, help="Only learn from these events; no alerts")
@click.option("--skip-rejected", is_flag=True, help="Publish the valid lines although others are rejected")
@click.option("--again", is_flag=True, help="Publish also the executions that the database has already")
@click.option("--from-event", type=click.IntRange(min=1), default=1, help="Continue at this valid event of FILE")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: published and rejected counts")
@settings_flags
def command(
    settings: Settings,
    options: FileOptions,
    backfill: bool,
    skip_rejected: bool,
    again: bool,
    from_event: int,
    as_json: bool,
) -> None:
    """Publish the events of FILE to Kafka: JSON or a table (CSV, Parquet), optionally compressed; - is standard input.

    Without settings they go to the `up` of this user. If a line is rejected, nothing is published and the exit code is
    1; --skip-rejected publishes the others. If publishing is interrupted, the command that continues is printed.
    Publishing a file twice is safe: repeated events are recognised by their ids, and executions that the database has
    are left out. Payloads of other systems go out in the order of their ends, since an API lists the newest first.

    \b
    Example: stream-detector publish history.csv.gz --backfill --broker kafka:9092
    """
    settings = with_broker(settings)
    try:
        with kept_file(options) as kept:
            reading = _Reading(kept, options.file, from_event)
            reading.check()
            done = Published()
            if reading.valid and (skip_rejected or not reading.refused):
                done = _publish_all(replace(settings, database_url="") if again else settings, reading, backfill)
    except HistoryError as error:
        raise CommandError(str(error), 2) from None
    if as_json:
        counts = {"published": done.topics, "refused": reading.refused, "seconds": round(done.seconds, 3)}
        counts["known"] = reading.known
        click.echo(json.dumps(counts))
    else:
        topics = ", ".join(f"{count:,} to {settings.topic(name)}" for name, count in sorted(done.topics.items()))
        known = f"; {reading.known:,} were known before (--again publishes them, too)" if reading.known else ""
        click.echo(f"published {topics or 'nothing'} in {done.seconds:.1f} s; {reading.refused} lines rejected{known}")
    if reading.has_record_times and done.stamped_by_broker:
        names = ", ".join(settings.topic(name) for name in sorted(done.stamped_by_broker))
        click.echo(
            f"the broker stamps the records of {names} itself: the record times of the file are not kept", err=True
        )
    is_done = bool(done.events or reading.known)
    if reading.refused and not is_done and reading.valid:
        click.echo(f"correct them first; --skip-rejected publishes the other {reading.valid:,} events", err=True)
    if reading.refused or not is_done:
        raise SystemExit(1)


def _publish_all(settings: Settings, reading: _Reading, backfill: bool) -> Published:
    """Publish it. What ends that in between is passed on, once it is printed from where to continue."""
    progress = PublishProgress()
    try:
        return asyncio.run(_publish(settings, reading, backfill, progress))
    except BaseException:
        progress.end()
        if done := progress.done.events:
            following = reading.from_event + progress.done.leading
            click.echo(
                f"interrupted: {done:,} of {reading.valid - reading.from_event + 1:,} events are published, and all "
                f"before event {following:,}. Run the same command again with --from-event {following} to publish "
                "the rest",
                err=True,
            )
        raise
    finally:
        progress.end()


async def _publish(settings: Settings, reading: _Reading, backfill: bool, progress: PublishProgress) -> Published:
    await wait_for_broker(settings, give_up_after_s=PATIENCE_S)
    async with _database(settings, reading) as pool:
        messages = reading.new_ones(pool) if pool is not None else reading
        return await publish(
            settings, messages, backfill=backfill, progress=progress, record_ms_of=attrgetter("record_ms")
        )


@asynccontextmanager
async def _database(settings: Settings, reading: _Reading) -> AsyncIterator[asyncpg.Pool | None]:
    """Where one is named and answers."""
    pool = None
    if settings.database_url:
        try:
            pool = await open_pool(settings.database_url, name="publish", size=1)
        except StoreAwayError as error:
            reading.note_away(error)
    try:
        yield pool
    finally:
        if pool is not None:
            await pool.close()
