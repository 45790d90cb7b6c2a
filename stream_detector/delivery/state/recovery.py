"""When recovery from the changelog is complete, and what others wrote there since."""

from collections.abc import Collection
from typing import Any, Protocol, cast

from aiokafka import TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery
from faust.types import TP

from stream_detector.delivery.state.contents import Records
from stream_detector.delivery.state.table import StateTable
from stream_detector.events.headers import UnreadableHeaders
from stream_detector.kafka.groupless_consumer import groupless_consumer
from stream_detector.settings import Settings


class _Fetches(Protocol):
    """What recovery needs of the consumer."""

    @property
    def unused(self) -> set[TP]:
        """Partitions of which records are fetched and not used yet: their fetch position is ahead of the use."""

    def fetch_position(self, tp: TP) -> int:
        """The next offset that will be fetched, -1 if it is not known."""

    def last_stable_offset(self, tp: TP) -> int:
        """The end of the partition as the last fetch reported it, 0 if unknown."""


class PositionRecovery(Recovery):
    """Ends by fetch position, up to the end that the fetches report.

    Stock recovery waits for the record before the end, which markers and compaction may have removed; and the embedded
    broker's ListOffsets answers an end that is too low.
    """

    _rebalance = 0
    """The rebalance that this recovery follows, as the app counts them."""

    @property
    def is_interrupted(self) -> bool:
        """True if another rebalance has begun: what is recovered here is not, or not only, what will be ours."""
        return bool(self.app.rebalancing_count != self._rebalance or self.signal_recovery_start.is_set())

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """A new assignment: recovery begins, unless a later one is known already."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        if generation_id == self.app.consumer_generation_id:
            self._rebalance = self.app.rebalancing_count

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Claim what was recovered and let events in, unless another rebalance has interrupted it.

        Stock goes on here also where one has: it swallows the `RebalanceAgain` that ends its wait for the records
        (tables/recovery.py, `_restart_recovery`). Partitions that stayed ours then passed for read to an end that was
        never reached; they began empty, in about one of three such interruptions.
        """
        if self.is_interrupted:
            raise RebalanceAgain
        await super().on_recovery_completed(generation_id)

    def need_recovery(self) -> bool:
        """True while some changelog partition of ours is not read to its end, or its end has not been asked for.

        A rebalance changes what is ours before it interrupts the recovery under way. Without the second rule that one
        ended where its own partitions were read, and took the new ones for recovered.
        """
        return any(tp not in self.active_highwaters or self._is_behind(tp) for tp in self.active_tps)

    def signal_end(self) -> None:
        """Whoever waits for the end of recovery goes on. A pulse: a set signal would end the next recovery early."""
        self.signal_recovery_end.set()
        self.signal_recovery_end.clear()

    def _is_behind(self, tp: TP) -> bool:
        last, fetches = self.active_highwaters[tp], cast(_Fetches, self.app.consumer)
        if tp in fetches.unused:
            return True  # its position says what is fetched, and not all of that is in the store
        return last >= 0 and fetches.fetch_position(tp) <= max(last, fetches.last_stable_offset(tp) - 1)


class Tables(TableManager):
    """Faust's table manager with our end of recovery."""

    @property
    def recovery(self) -> PositionRecovery:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = PositionRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return cast(PositionRecovery, self._recovery)

    @property
    def state_tables(self) -> list[StateTable[Any]]:
        """Every table of the role."""
        return cast(list[StateTable[Any]], [*self.values()])

    @property
    def by_changelog(self) -> dict[str, StateTable[Any]]:
        """Changelog topic's name on the broker -> its table."""
        return cast(dict[str, StateTable[Any]], self._changelogs)


async def read_between(
    settings: Settings, topic: str, partition: int, first: int, end: int, keys: Collection[bytes] | None = None
) -> Records:
    """Keys and values at the offsets from `first` to before `end`, which must be written; no value is an empty one.

    With `keys`, of these alone.

    Raises:
        KafkaError: the broker does not answer.
    """
    tp = TopicPartition(topic, partition)
    records: Records = []
    async with groupless_consumer(settings) as consumer:
        consumer.assign([tp])
        consumer.seek(tp, first)
        while await consumer.position(tp) < end:
            for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, []):
                if record.offset >= end or record.key is None or isinstance(record.headers, UnreadableHeaders):
                    continue
                if keys is None or record.key in keys:
                    records.append((record.key, record.value or b""))
    return records
