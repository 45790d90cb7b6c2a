"""A consumer without a group: what it reads is committed nowhere, and disturbs nobody else's reading."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from aiokafka import AIOKafkaConsumer

from stream_detector.kafka.client import client_options
from stream_detector.settings import Settings

_STOP_WITHIN_S = 2.0


@contextlib.asynccontextmanager
async def groupless_consumer(settings: Settings, **options: Any) -> AsyncGenerator[AIOKafkaConsumer]:
    """Started, without an assignment; stopped at the end, also where it could not start.

    Args:
        settings: where the broker is.
        options: more of aiokafka's.

    Raises:
        KafkaError: the broker does not answer.
    """
    own = {"group_id": None, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    consumer = AIOKafkaConsumer(**client_options(settings), **own, **options)
    try:
        await consumer.start()
        await asyncio.sleep(0)  # aiokafka's stop() raises CancelledError where its tasks never ran
        yield consumer
    finally:
        # Cancelled in the middle of a fetch, its fetcher was seen to wait for ever (twice in some hundred ends of a
        # detector on Apache Kafka): nothing of it is needed any more.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(consumer.stop(), _STOP_WITHIN_S)
