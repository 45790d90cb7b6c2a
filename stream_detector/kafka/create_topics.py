"""Make every topic of `topics.TOPICS` on the broker, once and for all; a second run changes nothing.

Kafka makes missing topics with one partition when a producer asks for them, so this runs before any producer; an input
topic may have any number. A topic of ours that is not as it should be is refused, never changed: its number of
partitions decides which worker owns a key, its settings and copies decide whether anything can be lost.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_detector.kafka.acls import Acl, missing_acls, required_acls
from stream_detector.kafka.client import client_options
from stream_detector.kafka.preflight import (
    MissingAclsError,
    SetupError,
    TopicMismatchError,
    TopicState,
    expected_config,
    read_topics,
)
from stream_detector.settings import Settings

_TOPIC_EXISTS = 36  # Kafka's error code TOPIC_ALREADY_EXISTS: another setup was faster
_NOT_ALLOWED = 29, 31  # TOPIC_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED
_KNOWN_TIMEOUT_S = 30.0


NEW_PARTITIONS = 12
"""Of new topics on a broker that `up` did not start, unless PARTITIONS is set: more cannot be had without moving keys,
and 12 can be shared out evenly among 1, 2, 3, 4, 6 or 12 workers."""


async def make_topics(settings: Settings, *, dry_run: bool = False, proposed: int = 0) -> list[str]:
    """Every topic exists with its partitions, replication and settings afterwards. Returns the names it made.

    Args:
        dry_run: nothing is made, and the names are those that would be.
        proposed: the number of partitions of ours where none are there and PARTITIONS is not set; 0: the default.

    Raises:
        TopicMismatchError: a topic is there and not as it should be.
        MissingAclsError: the broker does not allow us to see or to make one.
        SetupError: the broker refused one.
        aiokafka.errors.KafkaError: the broker does not answer.
    """
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        states = _checked_states(await read_topics(admin, settings), settings)
        has_ours = any(state.partitions for state in states if state.topic.is_ours)
        if proposed and not (has_ours or settings.has_set("partitions")):
            settings = replace(settings, partitions=proposed)
            states = [replace(state, wanted=state.topic.partitions or proposed) for state in states]
        missing = [state for state in states if state.state == "missing"]
        if not missing or dry_run:
            return [state.name for state in missing]
        made = await _create(admin, missing, settings)
        await _wait_until_known(admin, settings)
        return made
    finally:
        await admin.close()


async def delete_mismatched(settings: Settings) -> list[str]:
    """Delete every topic that is not as `setup` makes it, on a broker that lost everything. Returns the names.

    A client that was connected before asks such a broker for its topics, and that creates them, with as many
    partitions as the broker thinks right.

    Raises:
        aiokafka.errors.KafkaError: the broker does not answer.
    """
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        states = await read_topics(admin, settings)
        wrong = [
            state.name for state in states if state.state == "mismatch" or state.partitions not in (0, state.wanted)
        ]
        if wrong:
            await admin.delete_topics(wrong)
        return wrong
    finally:
        await admin.close()


def _checked_states(states: list[TopicState], settings: Settings) -> list[TopicState]:
    # Create is not looked at: an account may have it on the cluster instead.
    needed = [acl for acl in required_acls("setup", settings) if acl.operation != "Create"]
    if missing := missing_acls(needed, {("topic", state.name): state.operations for state in states}):
        raise MissingAclsError("setup", missing, settings)
    wrong = [state.advice for state in states if state.state == "mismatch"]
    if wrong:
        raise TopicMismatchError("\n".join(wrong))
    return states


async def _wait_until_known(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    """Return once the broker lists all. It does so some time after it made them; one that another client made a moment
    before us is seen only here, so the partitions are compared again."""
    deadline = time.monotonic() + _KNOWN_TIMEOUT_S
    while True:
        states = _checked_states(await read_topics(admin, settings), settings)
        missing = [state.name for state in states if state.state == "missing"]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise SetupError(f"the broker accepted these topics but does not list them: {', '.join(missing)}")
        await asyncio.sleep(0.05)


async def _create(admin: AIOKafkaAdminClient, missing: Sequence[TopicState], settings: Settings) -> list[str]:
    """Make what the broker asked did not list; returns what was not there after all: one of several may know later."""
    wanted = [
        NewTopic(
            state.name,
            state.wanted,
            state.wanted_replicas,
            topic_configs=expected_config(state.topic, state.wanted_replicas),
        )
        for state in missing
    ]
    answer = await admin.create_topics(wanted)
    refused = {name: (code, *message) for name, code, *message in answer.topic_errors if code not in (0, _TOPIC_EXISTS)}
    if forbidden := [name for name, (code, *_) in refused.items() if code in _NOT_ALLOWED]:
        raise MissingAclsError("setup", [Acl("topic", name, "Create") for name in forbidden], settings)
    for name, (code, *message) in refused.items():
        reason = message[0] if message and message[0] else f"error {code}"
        raise SetupError(f"the broker rejected topic {name}: {reason}")
    return [name for name, code, *_ in answer.topic_errors if code != _TOPIC_EXISTS]
