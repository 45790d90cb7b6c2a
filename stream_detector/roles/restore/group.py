"""A role's consumer group while nobody may be in it: who is, and where it goes on."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from stream_detector.kafka.client import client_options
from stream_detector.kafka.describe import wait_for_group
from stream_detector.roles.restore.new_broker import RestoreError
from stream_detector.settings import Settings

_SESSION_CHECK_S = 5.0
"""A broker looks for sessions that are over now and then."""


async def refuse_members(settings: Settings, role: str) -> None:
    """Return once nobody is in the group of the role: one that exited by itself is, until its session is over.

    Raises:
        RestoreError: somebody still is after that time.
        KafkaError: the broker does not answer.
    """
    name, deadline_s = settings.group(role), time.monotonic() + settings.session_timeout_s + _SESSION_CHECK_S
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        while not (group := await wait_for_group(admin, name)).is_empty:
            if group.members and not group.is_certain:
                raise RestoreError(
                    "this is the embedded broker of `up`, which keeps records in memory alone and deletes none: "
                    "restart `up`"
                )
            if time.monotonic() > deadline_s:
                raise RestoreError(f"the {role} runs ({group.members or 'some'} in the group {name}): stop it first")
            await asyncio.sleep(0.5)
    finally:
        await admin.close()


async def commit(settings: Settings, role: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Set the committed offsets of a role's group, in which nobody is. Raises `KafkaError`."""
    options: dict[str, Any] = client_options(settings)
    consumer = AIOKafkaConsumer(**options, group_id=settings.group(role), enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(list(offsets))
        await consumer.commit(dict(offsets))
    finally:
        await consumer.stop()
