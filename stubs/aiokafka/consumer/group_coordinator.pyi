import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.structs import OffsetAndMetadata, TopicPartition

class GroupCoordinator:
    coordinator_id: int | None
    generation: int
    group_id: str
    member_id: str
    _client: AIOKafkaClient
    _closing: asyncio.Future[None]
    _coordination_task: asyncio.Task[None]
    _group_instance_id: str | None
    def request_rejoin(self) -> None: ...
    def reset_generation(self) -> None: ...
    async def fetch_committed_offsets(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]: ...
    async def _do_heartbeat(self) -> bool: ...
    async def _push_error_to_user(self, exc: Exception) -> None: ...
    async def _send_req(self, request: Any) -> Any: ...
