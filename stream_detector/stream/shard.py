"""What this worker owns of one partition number: read positions, table parts, sends not yet acknowledged.

Kafka Streams calls it a task. All topics of N partitions are assigned together, so a key's events, its state and its
alerts share one shard.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from faust.types import TP

from stream_detector.stream.keyed_value import SOURCES


@dataclass
class Position:
    """Where reading stands in one source partition."""

    next: int
    """Offset of the first record not yet applied."""
    committed: int | None
    rewound: int | None = None
    """The stamp at which a gap was fetched again; a gap seen twice is a gap of the topic."""


@dataclass
class Shard:
    """One partition number. Everything that a checkpoint takes from here is taken in one go, without an await."""

    number: int
    positions: dict[TP, Position] = field(default_factory=dict)
    sends: list[asyncio.Future[Any]] = field(default_factory=list)

    def by_source(self, prefix: str) -> dict[str, int]:
        """Source topic without its prefix -> next offset, of the sources that state is made from."""
        named = ((tp.topic[len(prefix) :], position.next) for tp, position in self.positions.items())
        return {name: offset for name, offset in named if name in SOURCES}

    @property
    def committed(self) -> bool:
        """True if every position is committed."""
        return all(position.next == position.committed for position in self.positions.values())


@dataclass
class Shards:
    """All shards of this worker."""

    shards: dict[int, Shard] = field(default_factory=dict)

    def __iter__(self) -> Any:
        return iter(list(self.shards.values()))

    def position(self, tp: TP) -> Position | None:
        """The position of a source partition, None if it is not ours now."""
        shard = self.shards.get(tp.partition)
        return shard.positions.get(tp) if shard else None

    def of(self, number: int) -> Shard:
        """The shard of a partition number."""
        return self.shards.setdefault(number, Shard(number))

    def disown(self) -> None:
        """Forget all positions and sends: from here on no chunk is applied until the next assignment."""
        self.shards.clear()
