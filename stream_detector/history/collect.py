"""From pages, or the lines of a dump, to events of ours in the spool."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from stream_detector.events import Completion
from stream_detector.events.encode import encode
from stream_detector.events.files.history import value_reader
from stream_detector.events.lines import Line
from stream_detector.events.start import Start
from stream_detector.history.api_client import Access, ApiClient
from stream_detector.history.errors import HistoryImportError
from stream_detector.history.provider import Provider, Wanted
from stream_detector.history.spool import Progress, Spool

MOST_REASONS = 20
_FILE = "file"
"""The source of an event of ours in a dump, as `publish` names it; payloads name their own."""
_LINES_AT_ONCE = 1_000

Report = Callable[[Progress], None]


async def collect_pages(
    spool: Spool,
    provider: Provider,
    access: Access,
    place: str,
    options: frozenset[str],
    *,
    report: Report,
    note: Callable[[str], None],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Everything that the API has of the span is in the spool afterwards; after an interruption it continues.

    Raises `HistoryImportError`.
    """
    progress = spool.progress
    wanted = Wanted(
        place=place,
        since=datetime.fromtimestamp(progress.since_s, UTC),
        until=datetime.fromtimestamp(progress.until_s, UTC),
        cursor=progress.cursor,
        options=options,
    )
    async with ApiClient(access, note=note, sleep=sleep) as client:
        async for page in provider.pages(client, wanted):
            now_ms = int(client.now().timestamp() * 1000)
            read, lines = value_reader(now_ms), list[Line]()
            for payload in page.payloads:
                found = read(payload if isinstance(payload, bytes) else msgspec.json.encode(payload))
                progress.unfinished += not found
                lines += found
            progress.payloads += len(page.payloads)
            progress.of = page.of if progress.of is None else progress.of
            progress.cursor = page.cursor
            progress.notes = [*progress.notes, *(text for text in page.notes if text not in progress.notes)]
            spool.add(_events_of(lines, progress))
            report(progress)
    progress.is_fetched = True
    spool.save()


def collect_lines(spool: Spool, lines: Iterable[Line], *, since_s: float, report: Report) -> None:
    """The events of a dump that ended since then are in the spool afterwards. Raises what reading the dump raises."""
    progress = spool.progress
    chunk: list[Line] = []
    for line in lines:
        if isinstance(line.event, Completion) and line.event.finished_at.timestamp() < since_s:
            continue
        chunk.append(line)
        if len(chunk) == _LINES_AT_ONCE:
            _add(spool, chunk, report)
            chunk = []
    _add(spool, chunk, report)
    if not progress.payloads:
        raise HistoryImportError("no event is in the file")
    progress.is_fetched = True
    spool.save()


def _add(spool: Spool, chunk: Sequence[Line], report: Report) -> None:
    spool.progress.payloads += len(chunk)
    spool.add(_events_of(chunk, spool.progress))
    report(spool.progress)


def _events_of(lines: Iterable[Line], progress: Progress) -> list[bytes]:
    """The executions that have ended, as JSON on one line each; what is refused is counted by its text."""
    found = []
    for line in lines:
        if isinstance(line.event, Completion):
            event = line.event
            found.append(encode(event if event.source else msgspec.structs.replace(event, source=_FILE)))
            continue
        if isinstance(line.event, Start):
            progress.unfinished += 1
            continue
        what = str(line.error) if line.error else f"a {str(line.kind).replace('_', ' ')}, which is no execution"
        if what not in progress.refused and len(progress.refused) >= MOST_REASONS:
            what = "others"
        progress.refused[what] = progress.refused.get(what, 0) + 1
    return found
