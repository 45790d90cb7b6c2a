from collections.abc import Iterator
from typing import Any

from aiokafka.record.memory_records import MemoryRecords as MemoryRecords
from aiokafka.structs import TopicPartition

class PartitionRecords:
    next_fetch_offset: int
    _tp: TopicPartition
    _records: MemoryRecords
    _records_iterator: Iterator[Any]
    def __next__(self) -> Any: ...
    def _consumer_record(self, tp: TopicPartition, record: Any) -> Any: ...
    def _unpack_records(self) -> Iterator[Any]: ...
