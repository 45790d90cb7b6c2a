import asyncio
from enum import IntEnum
from typing import Any

class CloseReason(IntEnum):
    CONNECTION_BROKEN = 0

class AIOKafkaConnection:
    _writer: asyncio.StreamWriter | None
    def send(self, request: Any, expect_response: bool = True) -> asyncio.Future[Any]: ...
    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> asyncio.Future[Any]: ...
    def close(
        self, reason: CloseReason | None = None, exc: BaseException | None = None
    ) -> asyncio.Future[None] | None: ...

async def create_conn(host: str, port: int, *, client_id: str = "aiokafka", **options: Any) -> AIOKafkaConnection: ...
