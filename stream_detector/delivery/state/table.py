"""A Faust table whose state lives in one dict per partition, as bytes until a key is touched.

Stock tables write every change by itself (30 us each) and decode every key on recovery. Here the role changes live
values and marks them dirty; the checkpoint writes them as whole batches; recovery puts changelog chunks straight into
the dicts. Faust keeps assignment, changelog partitions and the order of recovery.
"""

import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

import faust
from aiokafka import TopicPartition
from faust.stores import memory
from faust.types import TP

from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition


class Store(memory.Store):  # type: ignore[misc]
    """Faust's store: one `StatePartition` per partition that is ours."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.partitions: dict[int, StatePartition[Any]] = {}
        self.data = _View(self)

    def owned_partition(self, number: int) -> StatePartition[Any] | None:
        """The partition that is ours to read and to change; None where another worker, or nobody, has it."""
        partition = self.partitions.get(number)
        return partition if partition is not None and partition.owned else None

    def get_or_create(self, number: int) -> StatePartition[Any]:
        """The partition, made when first asked for: recovery fills it."""
        if number not in self.partitions:
            self.partitions[number] = self.table.kind(self.table.codec)
        return self.partitions[number]

    def persisted_offset(self, tp: TP) -> int:
        """Where recovery goes on. -1 reads all: None would make every rebalance read our own writes again."""
        return self.get_or_create(tp.partition).read_offset

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Drop what is not ours any more, and what holds changes that no checkpoint has written."""
        ours = {tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == self.table.changelog_name}
        for number, partition in list(self.partitions.items()):
            if number not in ours or not partition.is_clean():
                del self.partitions[number]

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Everything up to the highwater is in: claim the partitions, and only then let events in."""
        recovery = self.app.tables.recovery
        if recovery.interrupted:
            return  # other partitions are ours by now: the next recovery will come here again
        for tp in active_tps:
            self.get_or_create(tp.partition).finish_recovery(recovery.active_highwaters[tp])
        claims = asyncio.ensure_future(self._claim(active_tps, self.app.consumer.era))
        self.app.checkpoint.claims.add(claims)
        claims.add_done_callback(self.app.checkpoint.claims.discard)
        await asyncio.shield(claims)

    async def _claim(self, tps: set[TP], era: int) -> None:
        try:
            await asyncio.gather(*(self._claim_one(tp, era) for tp in tps))
        except Exception as error:  # Faust would not look at it
            self.app.fail(f"claiming partitions: {error!r}")

    async def _claim_one(self, tp: TP, era: int) -> None:
        partition, producer, consumer = self.get_or_create(tp.partition), self.app.producer._producer, self.app.consumer
        if partition.end_offset == 0:
            await self._demand_beginning(tp)
        key, value = partition.claim_record()
        batch = producer.create_batch()
        batch.append(key=key, value=value, timestamp=None)
        acknowledged = await producer.send_batch(batch, tp.topic, partition=tp.partition)
        offset = (await acknowledged).offset
        if not partition.confirm_claim(offset) and consumer.era == era:
            self.app.fail(
                f"{tp.topic}-{tp.partition}: another worker wrote at {partition.end_offset} while this one recovered"
            )

    async def _demand_beginning(self, tp: TP) -> None:
        """A changelog without a single record, not even a claim: right at the first start, and never again."""
        for source in self.app.consumer.assignment():
            if source.partition != tp.partition or self.app.consumer._is_changelog_tp(source):
                continue
            read = await self.app.consumer._thread._consumer.committed(TopicPartition(*source)) or 0
            if read > 0:
                where = f"{source.topic}-{source.partition}"
                self.app.fail(
                    f"{tp.topic}-{tp.partition} is empty, although {where} was read up to {read}: the topic was "
                    "recreated and the baselines are lost. Restore it, or delete the consumer group "
                    f"{self.app.conf.id} to learn again from all records that the topics still contain"
                )

    def _clear(self) -> None:
        self.partitions.clear()


class _View(MutableMapping[str, Any]):
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


class StateTable(faust.Table):  # type: ignore[misc]
    """A Faust table over `Store`. `codec` and the kind of its partitions are set by the role that declares it."""

    codec: Codec[Any]
    kind: type[StatePartition[Any]] = StatePartition

    @property
    def changelog_name(self) -> str:
        """The changelog topic's name on the broker."""
        return str(self.changelog_topic.get_topic_name())

    def _new_store(self) -> Store:
        return Store("memory://", self.app, self, table_name=self.name, loop=self.loop)
