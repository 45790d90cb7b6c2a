from typing import Any

from aiokafka.structs import TopicPartition

class PartitionRecords:
    def _consumer_record(self, tp: TopicPartition, record: Any) -> Any: ...
