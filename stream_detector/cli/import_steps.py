"""The steps of an import, in their order: fetch, judge, publish, report. Each is whole or can be continued.

1. Fetch: pages go to a spool on the disk, with the cursor of the next one.
2. Judge: the events in the order of time, as the live detector and notifier would have, under the present settings.
3. Publish: as backfill, in the same order, without those that are stored or on the topic already.
4. Report: what would have been sent.
"""

import asyncio
import hashlib
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import msgspec

from stream_detector.cli.api_client import use_running_stack, with_broker
from stream_detector.cli.file_options import FileOptions, kept_file
from stream_detector.cli.import_publish import publish_history
from stream_detector.cli.import_report import Imported, print_report
from stream_detector.cli.present_settings import present_settings
from stream_detector.cli.replayed_history import ReplayedHistory
from stream_detector.detect.loading import wait_until_loaded
from stream_detector.events import Completion
from stream_detector.events.files.order import time_order
from stream_detector.history.collect import collect_lines, collect_pages
from stream_detector.history.provider import Provider
from stream_detector.history.spool import Progress, Spool, remove_old
from stream_detector.kafka.client import wait_for_broker
from stream_detector.kafka.preflight import run_preflight
from stream_detector.notify.channels.http import is_local
from stream_detector.settings import Settings

DAYS = 90
FRESH_S = 3_600.0
"""What was fetched and not published is used again for so long; later it lacks what has happened since."""
_PATIENCE_S = 30.0
_completion = msgspec.json.Decoder(Completion).decode


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the person asked for."""

    provider: Provider
    place: str
    """Empty where a dump is read."""
    dump: Path | None
    encoding: str | None
    days: int | None
    url: str
    token: str = field(repr=False)
    ca_file: str
    extras: frozenset[str]
    dry_run: bool
    restart: bool
    as_json: bool


def run_import(settings: Settings, asked: Asked) -> None:
    """Do all of it. Raises `HistoryError`, `HistoryImportError`, and what the broker raises."""
    settings = use_running_stack(settings) if asked.dry_run else with_broker(settings)
    if not asked.dry_run:
        asyncio.run(_check_broker(settings))  # before what may take an hour
    folder = settings.data_path / "imports"
    remove_old(folder)
    with _dump_of(asked) as dump, Spool(folder, _name(asked, settings, dump)) as spool:
        _fetch(spool, asked, dump)
        order, events = ordered_events(spool)
        present = asyncio.run(present_settings(settings))
        history = ReplayedHistory(present.detection, present.notify, None, present.silences)
        imported = Imported.of(asked.provider, asked.place or str(asked.dump), spool.progress)
        imported.notes += present.notes
        asyncio.run(wait_until_loaded())
        for value in spool.read(order):
            event = _completion(value)
            imported.add(event)
            history.apply(event)
        imported.found = history.finish()
        if not asked.dry_run:
            imported.published = asyncio.run(publish_history(settings, spool, order, events))
        print_report(imported, settings, as_json=asked.as_json)
        if imported.refused and not imported.runs:
            raise SystemExit(1)
        if asked.dry_run and not asked.dump:
            return  # what was fetched is published by the same command without --dry-run
        spool.remove()


async def _check_broker(settings: Settings) -> None:
    await wait_for_broker(settings, give_up_after_s=_PATIENCE_S)
    await run_preflight(settings, "producers")


@contextmanager
def _dump_of(asked: Asked) -> Iterator[FileOptions | None]:
    if asked.dump is None:
        yield None
        return
    with kept_file(FileOptions(asked.dump, encoding=asked.encoding)) as kept:
        yield kept


def _name(asked: Asked, settings: Settings, dump: FileOptions | None) -> list[str]:
    """What makes an import the same one: a later call with the same name continues it."""
    what = [asked.provider.name, asked.place, asked.url, str(asked.days), *sorted(asked.extras), settings.topic_prefix]
    if dump is None:
        return what
    with dump.file.open("rb") as file:
        return [*what, str(asked.encoding), hashlib.file_digest(file, "sha256").hexdigest()]


def _fetch(spool: Spool, asked: Asked, dump: FileOptions | None) -> None:
    """Everything is in the spool afterwards."""
    days = asked.days or DAYS
    progress, now_s = spool.progress, time.time()
    stale = progress.is_fetched and not progress.is_publishing and spool.age_s > FRESH_S
    if asked.restart or stale or not spool.is_begun or (dump is not None and not progress.is_fetched):
        spool.begin(Progress(begun_at_s=now_s, since_s=now_s - days * 86_400, until_s=now_s))
    elif not asked.as_json:
        at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(progress.begun_at_s))
        _note(f"continues the import begun at {at} ({progress.payloads:,} runs are here); --restart begins again")
    if spool.progress.is_fetched:
        return
    show = _Shown()
    try:
        if dump is not None:
            since_s = now_s - days * 86_400 if asked.days else float("-inf")
            lines = dump.read(record_ms=int(now_s * 1000))
            collect_lines(spool, lines, since_s=since_s, report=show)
            return
        access = asked.provider.access(asked.url, asked.token, asked.ca_file)
        if asked.token and access.url.startswith("http://") and not is_local(access.url):
            _note(f"{access.url} is not encrypted: others on the way can read the token")
        asyncio.run(
            collect_pages(spool, asked.provider, access, asked.place, asked.extras, report=show, note=show.note)
        )
    finally:
        show.end()


def ordered_events(spool: Spool) -> tuple[list[int], list[tuple[str, int]]]:
    """(offset in the spool, (execution id, attempt)) of each event in the order of time, each once."""
    first: dict[tuple[str, int], tuple[tuple[float, str, int], int]] = {}
    for at, value in spool.events():
        event = _completion(value)
        first.setdefault((event.execution_id, event.attempt), (time_order(event), at))
    ordered = sorted(first.items(), key=lambda one: one[1])
    return [at for _, (_, at) in ordered], [known for known, _ in ordered]


class _Shown:
    """Progress on stderr: one line that is overwritten on a terminal, else one every few seconds."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._next_s = time.monotonic() + (0.2 if self._is_terminal else 5.0)
        self._is_open = False

    def __call__(self, progress: Progress) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + (0.2 if self._is_terminal else 5.0)
        of = f" of about {progress.of:,}" if progress.of and progress.of >= progress.payloads else ""
        text = f"fetched {progress.payloads:,}{of} runs"
        width = shutil.get_terminal_size().columns - 1
        self._is_open = self._is_terminal
        click.echo(f"\r{text[:width]:<{width}}" if self._is_terminal else text, err=True, nl=not self._is_terminal)

    def note(self, text: str) -> None:
        self.end()
        _note(text)

    def end(self) -> None:
        if self._is_open:
            click.echo("", err=True)
        self._is_open = False


def _note(text: str) -> None:
    click.echo(text, err=True)
