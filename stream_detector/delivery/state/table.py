"""A Faust table whose state lives in one dict per partition, as bytes until a key is touched.

Stock tables write every change by itself (30 us each) and decode every key on recovery. Here the role changes live
values and marks them dirty; the checkpoint writes them as whole batches; recovery puts changelog chunks straight into
the dicts. Faust keeps assignment, changelog partitions and the order of recovery.
"""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Generic, cast

import faust
from faust.stores import memory
from faust.types import TP

from stream_detector.delivery.state.contents import Codec, V
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.telemetry import metrics

OnRecovered = Callable[["StateTable[Any]", set[TP]], Awaitable[None]]
"""Called with a table and its partitions once they are read to their end, before any event is let in."""


class Store(memory.Store[str, Any]):
    """Faust's store: one `StatePartition` per partition that is ours."""

    table: "StateTable[Any]"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.partitions: dict[int, StatePartition[Any]] = {}
        self.data = _ReadOnlyView(self)

    def persisted_offset(self, tp: TP) -> int:
        """Where recovery goes on. -1 reads all: None would make every rebalance read our own writes again."""
        return self.table.get_or_create(tp.partition).read_offset

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Drop what is not ours any more, and what holds changes that no checkpoint has written."""
        ours = {tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == self.table.changelog_name}
        for number, partition in list(self.partitions.items()):
            if number not in ours or not partition.is_clean():
                del self.partitions[number]

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Everything up to the high watermark is in."""
        await self.table.on_recovered(self.table, active_tps)

    def _clear(self) -> None:
        self.partitions.clear()


class _ReadOnlyView(MutableMapping[str, Any]):
    """What `app.tables[name]` shows: read-only, since state changes by events alone."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, key: str) -> Any:
        for partition in self._store.partitions.values():
            if (value := partition.get(key)) is not None:
                return value
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        for partition in self._store.partitions.values():
            yield from partition.keys()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        return any(partition.get(str(key)) is not None for partition in self._store.partitions.values())

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError("state changes by events alone; publish an action to operator-actions instead")

    def __delitem__(self, key: str) -> None:
        raise TypeError("state changes by events alone; publish an action to operator-actions instead")


class StateTable(faust.Table[str, Any], Generic[V]):
    """A Faust table over `Store`. `WorkerApp.state_table` makes them."""

    codec: Codec[V]
    partition_type: type[StatePartition[V]] = StatePartition
    on_recovered: OnRecovered
    takes_passed_on = False
    """Whether its keys take events that were passed on to their owner."""

    @property
    def changelog_name(self) -> str:
        """The changelog topic's name on the broker."""
        return str(self.changelog_topic.get_topic_name())

    @property
    def owned_partitions(self) -> dict[int, StatePartition[V]]:
        """Those that are ours to read and to change, by number."""
        return {number: partition for number, partition in self._state_store.partitions.items() if partition.owned}

    def find_owned(self, number: int) -> StatePartition[V] | None:
        """The partition that is ours to read and to change; None where another worker, or nobody, has it."""
        partition = self._state_store.partitions.get(number)
        return partition if partition is not None and partition.owned else None

    def get_owned(self, number: int) -> StatePartition[V]:
        """The partition that is ours. Raises `LookupError` where it is not."""
        partition = self.find_owned(number)
        if partition is None:
            raise LookupError(f"{self.changelog_name}-{number} is not owned by this worker")
        return partition

    def get_or_create(self, number: int) -> StatePartition[V]:
        """The partition, made when first asked for: recovery fills it."""
        partitions = self._state_store.partitions
        if number not in partitions:
            partitions[number] = self.partition_type(self.codec)
            partitions[number].name = self.name
            metrics.STATE_LEFT_OUT.labels(self.name)  # 0 from the beginning, so that a first one is an increase
        return partitions[number]

    @property
    def _state_store(self) -> Store:
        return cast(Store, self.data)

    def _new_store(self) -> Store:
        return Store("memory://", self.app, self, table_name=self.name, loop=self.loop)
