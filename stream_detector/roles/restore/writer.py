"""Records onto their partitions in whole batches, with the times that they first had, and the offsets that they got."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from stream_detector.events.headers import RESTORED
from stream_detector.kafka.client import client_options
from stream_detector.kafka.publish import BATCH_BYTES, REQUEST_TIMEOUT_MS
from stream_detector.settings import Settings

IN_FLIGHT = 8
"""Batches that are not acknowledged: more would only be kept in memory twice."""
Target = tuple[str, int]
"""Topic without its prefix, and partition."""


class RecordWriter:
    """An async context manager. `offsets` of a target are those of its records in the order of `add`, after `flush`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(
            **client_options(settings),
            client_id="stream-detector-restore",
            acks="all",
            max_batch_size=BATCH_BYTES,
            max_request_size=8 << 20,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        self._open: dict[Target, Any] = {}
        self._sent: list[tuple[Target, int, asyncio.Future[Any]]] = []
        self.offsets: dict[Target, list[int]] = {}

    async def __aenter__(self) -> "RecordWriter":
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def add(
        self,
        target: Target,
        key: bytes | None,
        value: bytes,
        *,
        headers: Sequence[tuple[str, bytes]] = (RESTORED,),
        timestamp_ms: int | None = None,
    ) -> None:
        """Append one record; a full batch goes out first."""
        batch = self._open.get(target)
        if batch is None:
            batch = self._open[target] = self._producer.create_batch()
        if batch.append(timestamp=timestamp_ms, key=key, value=value, headers=list(headers)) is None:
            await self._send(target)
            batch = self._open[target] = self._producer.create_batch()
            batch.append(timestamp=timestamp_ms, key=key, value=value, headers=list(headers))

    async def flush(self) -> None:
        """Everything is acknowledged afterwards. Raises `KafkaError` where the broker refuses something."""
        for target in list(self._open):
            await self._send(target)
        await self._await_some(0)

    async def _send(self, target: Target) -> None:
        batch = self._open.pop(target)
        topic = self._settings.topic(target[0])
        sent = await self._producer.send_batch(batch, topic, partition=target[1])
        self._sent.append((target, batch.record_count(), sent))
        await self._await_some(IN_FLIGHT)

    async def _await_some(self, left: int) -> None:
        while len(self._sent) > left:
            target, count, sent = self._sent.pop(0)
            first = (await sent).offset
            self.offsets.setdefault(target, []).extend(range(first, first + count))
