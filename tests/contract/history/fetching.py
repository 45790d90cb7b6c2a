"""What an API's history becomes, as the command would fetch it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from stream_detector.events import Completion
from stream_detector.history.collect import collect_pages
from stream_detector.history.provider import Provider
from stream_detector.history.spool import Progress, Spool
from tests.servers.github_runs import NOW


class Fetched:
    """What is in the spool afterwards."""

    def __init__(self, spool: Spool, waits: list[float], notes: list[str]) -> None:
        self.progress, self.waits, self.notes = spool.progress, waits, notes
        self.events = [msgspec.json.decode(value, type=Completion) for _, value in spool.events()]

    @property
    def ids(self) -> set[str]:
        """Of the executions."""
        return {event.execution_id for event in self.events}


async def fetch(
    provider: Provider,
    url: str,
    folder: Path,
    *,
    place: str,
    token: str = "",
    options: frozenset[str] = frozenset(),
    until: datetime = NOW,
    days: float = 365.0,
    report: Callable[[Progress], Any] = lambda progress: None,
) -> Fetched:
    """Fetch all of it, or what an earlier call left; pauses take no time, and are noted."""
    waits: list[float] = []
    notes: list[str] = []

    async def no_sleep(seconds: float) -> None:
        waits.append(seconds)

    with Spool(folder, [provider.name, place]) as spool:
        if not spool.is_begun:
            since = until - timedelta(days=days)
            spool.begin(Progress(begun_at_s=1.0, since_s=since.timestamp(), until_s=until.astimezone(UTC).timestamp()))
        await collect_pages(
            spool,
            provider,
            provider.access(url, token),
            place,
            options,
            report=report,
            note=notes.append,
            sleep=no_sleep,
        )
        return Fetched(spool, waits, notes)
