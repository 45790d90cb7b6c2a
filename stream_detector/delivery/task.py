"""What this worker owns of one partition number: read positions, table partitions, sends not yet acknowledged.

Kafka Streams calls it a task. All topics of N partitions are assigned together, so a key's events, its state and its
alerts share one task.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from faust.types import TP

from stream_detector.delivery.state.changelog_record import SOURCES
from stream_detector.kafka.commit_note import OffsetRange


@dataclass
class Position:
    """How far one source partition is applied."""

    next_offset: int
    """Offset of the first record not yet applied."""
    committed: int | None
    rewound: int | None = None
    """The count of rewinds at which a gap was fetched again; a gap seen twice is a gap of the topic."""
    lost: list[OffsetRange] = field(default_factory=list)
    """What was deleted from the topic before it was read, and is not reported yet."""
    note: str = ""
    """What was committed with the offset (`kafka/commit_note.py`)."""
    applied: int = 0
    """How many records were applied since the partition was assigned."""
    applied_in_snapshot: int = 0
    """How many of them the last checkpoint has that began, and `applied_in_commit` the last that succeeded."""
    applied_in_commit: int = 0

    @property
    def uncommitted(self) -> int:
        """How many records are applied that a successor would apply again."""
        return self.applied - self.applied_in_commit

    def confirm_commit(self, offset: int, note: str) -> list[OffsetRange]:
        """Take note of a commit; returns what was lost and is now behind the committed offset: to be reported."""
        self.committed, self.note, self.applied_in_commit = offset, note, self.applied_in_snapshot
        passed = [lost for lost in self.lost if lost.end <= offset]
        self.lost = [lost for lost in self.lost if lost.end > offset]
        return passed


@dataclass
class Task:
    """One partition number. Everything that a checkpoint takes from here is taken in one go, without an await."""

    number: int
    positions: dict[TP, Position] = field(default_factory=dict)
    sends: list[asyncio.Future[None]] = field(default_factory=list)

    def state_positions(self, prefix: str) -> dict[str, int]:
        """Source topic without its prefix -> next offset, of the sources that state is made from."""
        named = ((tp.topic[len(prefix) :], position.next_offset) for tp, position in self.positions.items())
        return {name: offset for name, offset in named if name in SOURCES}

    @property
    def is_committed(self) -> bool:
        """True if every position is committed."""
        return all(position.next_offset == position.committed for position in self.positions.values())


@dataclass
class Tasks:
    """All tasks of this worker."""

    by_number: dict[int, Task] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Task]:
        return iter(list(self.by_number.values()))

    def find_position(self, tp: TP) -> Position | None:
        """The position of a source partition, None if it is not ours now."""
        task = self.by_number.get(tp.partition)
        return task.positions.get(tp) if task else None

    def get_or_create(self, number: int) -> Task:
        """The task of a partition number."""
        return self.by_number.setdefault(number, Task(number))

    def clear(self) -> None:
        """Forget all positions and sends: from here on no chunk is applied until the next assignment."""
        self.by_number.clear()
