"""When recovery from the changelog is complete, and what others wrote there since."""

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from stream_detector.settings import Settings
from stream_detector.stream.broker import client_options
from stream_detector.stream.snapshot import Records


class PositionRecovery(Recovery):  # type: ignore[misc]
    """Ends by fetch position, up to the end that the fetches report.

    Stock recovery waits for the record before the end, which markers and compaction may have removed; and the embedded
    broker's ListOffsets answers an end that is too low.
    """

    def need_recovery(self) -> bool:
        """True while some changelog partition of ours is not read to its end, or its end has not been asked for.

        A rebalance changes what is ours before it interrupts the recovery under way. Without the second rule that one
        ended where its own partitions were read, and took the new ones for recovered.
        """
        return any(tp not in self.active_highwaters or self._behind(tp) for tp in self.active_tps)

    def _behind(self, tp: TP) -> bool:
        last, consumer = self.active_highwaters[tp], self.app.consumer
        return bool(last >= 0 and consumer.fetch_position(tp) <= max(last, consumer.stable_end(tp) - 1))


class Tables(TableManager):  # type: ignore[misc]
    """Faust's table manager with our end of recovery."""

    @property
    def recovery(self) -> Recovery:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = PositionRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


async def read_between(settings: Settings, topic: str, partition: int, first: int, end: int) -> Records:
    """Keys and values at the offsets from `first` to before `end`, which must be written. Raises `KafkaError`."""
    tp = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(
        **client_options(settings), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    records: Records = []
    await consumer.start()
    try:
        consumer.assign([tp])
        consumer.seek(tp, first)
        while await consumer.position(tp) < end:
            for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, []):
                if record.offset < end and record.key is not None and record.value is not None:
                    records.append((record.key, record.value))
    finally:
        await consumer.stop()
    return records
