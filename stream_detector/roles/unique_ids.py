"""Notices a producer whose workflow ids, or variants, look unique per run: logged once a day for each pattern.

Counted are the workflows that are new on a day of the events' own time and have run once so far. They lie on all
partitions alike, so a detector that owns some of them knows about how many there are on all. The variants of one
workflow lie on one partition.
"""

from collections import Counter
from collections.abc import Iterator
from math import inf

from stream_detector.delivery.state.partition import StatePartition
from stream_detector.events.id_patterns import LOOKS_UNIQUE_FROM, Patterns, group_of, unique_ids_text
from stream_detector.events.variant import key_parts
from stream_detector.roles.single_runs import Table, single_runs
from stream_detector.telemetry.log_events import VariantsLookUnique, WorkflowIdsLookUnique

DAY_MS = 86_400_000
MOST_DAYS, MOST_GROUPS = 4, 10_000
"""So many days are counted at a time, and groups of ids on each: what lies beyond is counted as one."""
AGAIN = 1.1
"""By so much a group must grow until it is looked at again."""
VARIANTS_LOOK_UNIQUE_FROM = 100
"""So many new variants of one workflow in a day that have run once each: a label that is new in each run."""
_ALL = "*"


class UniqueIds:
    """Counts by group what is new; what has become many is looked at closely, by the keys themselves.

    Args:
        table: of baselines.
        partitions: how many it has.
    """

    def __init__(self, table: Table, partitions: int) -> None:
        self._table, self._n = table, partitions
        self._new: dict[int, Counter[str]] = {}
        """Day -> group -> how many new ids."""
        self._new_variants: dict[int, Counter[str]] = {}
        """Day -> workflow -> how many new variants."""
        self._look_at_variants: dict[tuple[int, str], float] = {}
        """Day and workflow -> how many variants there must be for a look; what was logged is not looked at again."""
        self._look_at: dict[tuple[int, str], float] = {}
        """Day and group -> how many there must be for a look."""
        self._counted: dict[int, tuple[StatePartition[bytes], int]] = {}
        """Partition -> the state, and its owner's epoch, whose keys of before are counted."""
        self._said: set[tuple[int, str]] = set()
        self._due: set[int] = set()
        self._published_ms = 0
        """When the last such record was published: what is older by more than a day is a history, and not of today."""

    def note_new(self, key: str, newest_ms: int, published_ms: int) -> None:
        """A workflow, or a variant of it, has its first execution.

        Args:
            key: of its state.
            newest_ms: when the execution finished, in epoch ms.
            published_ms: the timestamp of its record, in epoch ms; 0 or less: it has none.
        """
        self._published_ms = max(self._published_ms, published_ms if published_ms > 0 else newest_ms)
        self._count(key, newest_ms // DAY_MS)

    def _count(self, key: str, day: int) -> None:
        parts = key_parts(key)
        counts = self._new.get(day)
        if counts is None:
            counts = self._new[day] = Counter()
            if len(self._new) > MOST_DAYS:
                least = min(self._new.keys() - {day}, key=lambda each: (self._new[each].total(), each))
                self._forget(least)
            self._new_variants[day] = Counter()
        if parts.variant is not None:
            self._count_variant(parts.entity_id, day)
        group = group_of(parts.entity_id)
        if group not in counts and len(counts) >= MOST_GROUPS:
            group = _ALL
        counts[group] += 1
        if counts[group] >= self._look_at.get((day, group), self._threshold):
            self._due.add(day)

    def _count_variant(self, workflow_id: str, day: int) -> None:
        counts = self._new_variants[day]
        if workflow_id in counts or len(counts) < MOST_GROUPS:
            counts[workflow_id] += 1
            if counts[workflow_id] >= self._look_at_variants.get((day, workflow_id), VARIANTS_LOOK_UNIQUE_FROM):
                self._due.add(day)

    def _forget(self, day: int) -> None:
        del self._new[day], self._new_variants[day]
        self._look_at_variants = {place: count for place, count in self._look_at_variants.items() if place[0] != day}
        self._look_at = {place: count for place, count in self._look_at.items() if place[0] != day}
        self._said = {place for place in self._said if place[0] != day}

    @property
    def _threshold(self) -> int:
        """Of the ids on our partitions."""
        return max(1, LOOKS_UNIQUE_FROM * max(1, len(self._counted)) // self._n)

    def before_checkpoint(self) -> None:
        """Count what other owners have left, and say what is due."""
        owned = self._table.owned_partitions
        now = {number: (partition, partition.epoch) for number, partition in owned.items()}
        if now != self._counted:
            self._counted = now
            self._count_again()
        for day in sorted(self._due):
            if day >= self._published_ms // DAY_MS - 1 and self._published_ms:
                self._say(day)
        self._due.clear()

    def _count_again(self) -> None:
        """From the keys alone: as many of the newest as it takes for a finding, and all of the same days."""
        newest = sorted(((newest_ms // DAY_MS, key) for newest_ms, key in self._keys()), reverse=True)
        self._new.clear()
        self._new_variants.clear()
        first = newest[: self._threshold][-1][0] if newest else 0
        for day, key in newest:
            if day < first:
                break
            self._count(key.decode(), day)

    def _keys(self) -> Iterator[tuple[int, bytes]]:
        for partition, _ in self._counted.values():
            yield from ((newest_ms, key) for newest_ms, key, _ in single_runs(partition))

    def _say(self, day: int) -> None:
        keys = [key_parts(key.decode()) for newest_ms, key in self._keys() if newest_ms // DAY_MS == day]
        self._say_variants(day, Counter(parts.entity_id for parts in keys if parts.variant is not None))
        patterns = Patterns()
        for workflow_id in sorted({parts.entity_id for parts in keys}):
            patterns.add(workflow_id)
        for pattern, count in patterns.that_look_unique(self._threshold).items():
            if (day, pattern) not in self._said:
                self._said.add((day, pattern))
                on_all = count * self._n // len(self._counted)
                WorkflowIdsLookUnique(pattern, on_all, unique_ids_text(pattern, on_all)).emit()
        for group, count in self._new.get(day, {}).items():
            if count >= self._threshold:
                self._look_at[day, group] = count * AGAIN

    def _say_variants(self, day: int, singles: Counter[str]) -> None:
        for workflow_id, count in self._new_variants.get(day, {}).items():
            place = day, workflow_id
            if count < self._look_at_variants.get(place, VARIANTS_LOOK_UNIQUE_FROM):
                continue
            self._look_at_variants[place] = count * AGAIN
            if singles[workflow_id] >= VARIANTS_LOOK_UNIQUE_FROM:
                self._look_at_variants[place] = inf
                VariantsLookUnique(workflow_id, singles[workflow_id]).emit()
