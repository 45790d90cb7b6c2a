"""What a partition knows of each source's schedules, for who finds that a whole source is silent (the notifier).

A census is published when something was found or has ended, after the partition was taken over, once an hour; and while
a source misses many runs in all partitions together, as soon as an event of it came: that is what disproves silence.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nlargest

from stream_detector.detect import WorkflowBaseline
from stream_detector.events.source_census import PLAIN_SOURCE, SourceCensus, SourceCount
from stream_detector.roles.due_partition import DuePartition

EVERY_MS = 3_600_000
AT_MOST_EVERY_MS = 60_000
MOST_SOURCES = 1_000
"""So many are published of a partition: a producer may name any, but hardly more."""
_SLICE_S = 0.0005
_KEYS_PER_LOOK = 16


@dataclass
class _Count:
    scheduled: int = 0
    missed: int = 0
    first_due_ms: int = 0
    newest_ms: int = 0


@dataclass
class Counted:
    """One census, and how many executions of the partition are reported as still running."""

    still_running: int = 0
    sources: dict[str, _Count] = field(default_factory=dict)

    def encodable(self, number: int) -> SourceCensus:
        """The value of the record of a partition."""
        counts = {
            source: SourceCount(
                scheduled=one.scheduled,
                missed=one.missed,
                first_due_ms=one.first_due_ms,
                newest_ms=max(0, one.newest_ms),
            )
            for source, one in nlargest(MOST_SOURCES, self.sources.items(), key=_importance)
        }
        return SourceCensus(schema_version=1, partition=number, sources=counts)

    def add(self, baseline: WorkflowBaseline) -> None:
        """Count one key. One that is taken for retired has no schedule any more."""
        if baseline.running is not None:
            self.still_running += baseline.running.reported
        times = baseline.times
        if times is None:
            return
        one = self.sources.setdefault(times.source or PLAIN_SOURCE, _Count())
        one.newest_ms = max(one.newest_ms, int(baseline.newest_record_ms))
        if not baseline.due_s or times.retired:
            return
        one.scheduled += 1
        if times.misses:
            due_ms = times.misses[0].due_s * 1000
            one.missed += 1
            one.first_due_ms = min(one.first_due_ms or due_ms, due_ms)


@dataclass
class CensusTaker:
    """When one partition publishes which census."""

    published_ms: int | None = None
    """By the steady clock; None: never."""
    newest_ms: Mapping[str, int] = field(default_factory=dict)
    """Of each source, as it was published."""

    def is_due(self, owned: DuePartition, now_ms: int, suspected: set[str]) -> bool:
        """Whether one is to be published now.

        Args:
            now_ms: by the steady clock.
            suspected: sources that miss many runs.
        """
        if self.published_ms is None:
            return True
        since_ms = now_ms - self.published_ms
        if since_ms < AT_MOST_EVERY_MS:
            return False
        if owned.census_wanted or since_ms >= EVERY_MS:
            return True
        return any(self.newest_ms.get(source, 0) < owned.newest_of(source) for source in suspected)

    def note_published(self, owned: DuePartition, census: SourceCensus, now_ms: int) -> None:
        """It was acknowledged."""
        self.published_ms, owned.census_wanted = now_ms, False
        self.newest_ms = {source: one.newest_ms for source, one in census.sources.items()}


def _importance(counted: tuple[str, _Count]) -> tuple[int, int, int]:
    one = counted[1]
    return one.missed, one.scheduled, one.newest_ms


async def count(owned: DuePartition) -> Counted:
    """Look at all keys that are due, in slices."""
    counted = Counted()
    owned.forget_sources(MOST_SOURCES)
    until_s = time.perf_counter() + _SLICE_S
    for number, key in enumerate(list(owned.keys)):
        if (baseline := owned.read(key)) is not None:
            counted.add(baseline)
        if number % _KEYS_PER_LOOK == 0 and time.perf_counter() > until_s:
            await asyncio.sleep(0)
            until_s = time.perf_counter() + _SLICE_S
    for source in owned.sources():
        one = counted.sources.setdefault(source, _Count())
        one.newest_ms = max(one.newest_ms, owned.newest_of(source))
    return counted
