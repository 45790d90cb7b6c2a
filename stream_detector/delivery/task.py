"""What this worker owns of one partition number: read positions, table partitions, sends not yet acknowledged.

Kafka Streams calls it a task. All topics of N partitions are assigned together, so a key's events, its state and its
alerts share one task.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from faust.types import TP

from stream_detector.delivery.state.changelog_record import SOURCES


@dataclass
class Position:
    """Where reading stands in one source partition."""

    next: int
    """Offset of the first record not yet applied."""
    committed: int | None
    rewound: int | None = None
    """The stamp at which a gap was fetched again; a gap seen twice is a gap of the topic."""


@dataclass
class Task:
    """One partition number. Everything that a checkpoint takes from here is taken in one go, without an await."""

    number: int
    positions: dict[TP, Position] = field(default_factory=dict)
    sends: list[asyncio.Future[Any]] = field(default_factory=list)

    def source_positions(self, prefix: str) -> dict[str, int]:
        """Source topic without its prefix -> next offset, of the sources that state is made from."""
        named = ((tp.topic[len(prefix) :], position.next) for tp, position in self.positions.items())
        return {name: offset for name, offset in named if name in SOURCES}

    @property
    def committed(self) -> bool:
        """True if every position is committed."""
        return all(position.next == position.committed for position in self.positions.values())


@dataclass
class Tasks:
    """All tasks of this worker."""

    tasks: dict[int, Task] = field(default_factory=dict)

    def __iter__(self) -> Any:
        return iter(list(self.tasks.values()))

    def position(self, tp: TP) -> Position | None:
        """The position of a source partition, None if it is not ours now."""
        task = self.tasks.get(tp.partition)
        return task.positions.get(tp) if task else None

    def of(self, number: int) -> Task:
        """The task of a partition number."""
        return self.tasks.setdefault(number, Task(number))

    def clear(self) -> None:
        """Forget all positions and sends: from here on no chunk is applied until the next assignment."""
        self.tasks.clear()
