from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin.config_resource import ConfigResource
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request
from aiokafka.structs import OffsetAndMetadata, TopicPartition

class NewTopic:
    def __init__(
        self,
        name: str,
        num_partitions: int,
        replication_factor: int,
        replica_assignments: Mapping[int, Sequence[int]] | None = None,
        topic_configs: Mapping[str, str] | None = None,
    ) -> None: ...

class NewPartitions:
    def __init__(self, total_count: int, new_assignments: Sequence[Sequence[int]] | None = None) -> None: ...

class AIOKafkaAdminClient:
    _client: AIOKafkaClient
    def __init__(self, **options: Any) -> None: ...
    async def start(self) -> None: ...
    async def close(self) -> None: ...
    async def create_topics(
        self, new_topics: Sequence[NewTopic], timeout_ms: int | None = None, validate_only: bool = False
    ) -> Any: ...
    async def create_partitions(
        self, topic_partitions: Mapping[str, NewPartitions], timeout_ms: int | None = None, validate_only: bool = False
    ) -> Any: ...
    async def delete_topics(self, topics: Sequence[str], timeout_ms: int | None = None) -> Any: ...
    async def describe_cluster(self) -> dict[str, Any]: ...
    async def describe_configs(
        self, config_resources: Sequence[ConfigResource], include_synonyms: bool = False
    ) -> list[Any]: ...
    async def describe_consumer_groups(self, group_ids: Sequence[str]) -> list[Any]: ...
    async def list_consumer_group_offsets(
        self,
        group_id: str,
        group_coordinator_id: int | None = None,
        partitions: Sequence[TopicPartition] | None = None,
    ) -> dict[TopicPartition, OffsetAndMetadata]: ...
    async def _send_request(self, request: Request[Any], node_id: int | None = None) -> Any: ...
