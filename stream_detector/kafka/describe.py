"""Topics and groups as the broker describes them to us, with the operations that it allows us on each.

aiokafka's own requests stop before the versions that carry the operations (KIP-430). Topics are asked for by name, and
the broker is asked not to create what is missing.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NodeNotReadyError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Bytes, Int16, Int32, Schema, String

from stream_detector.kafka.aiokafka_patches import find_coordinator, send_admin_request

_TEXT = String("utf-8")
_BITS = {3: "Read", 4: "Write", 5: "Create", 6: "Delete", 7: "Alter", 8: "Describe", 10: "DescribeConfigs"}
"""Kafka's codes of operations: the answer has bit 1 << code set for each that is allowed."""
_NOT_ALLOWED = 29, 30  # TOPIC_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED: not even Describe
NO_COORDINATOR = GroupLoadInProgressError, GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError
"""Of a group whose coordinator is loading, not there yet, or moving: to be asked again."""
_GROUP_TIMEOUT_S = 30.0


class MetadataResponse_v8(Response):
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", _TEXT),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("authorized_operations", Int32),
    )


class MetadataRequest_v8(RequestStruct):
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = MetadataResponse_v8
    SCHEMA = Schema(
        ("topics", Array(_TEXT)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class MetadataWithOperations(Request[MetadataRequest_v8]):
    """Asks about topics by name; makes none."""

    API_KEY = 3

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)

    def build(self, request_struct_class: type[MetadataRequest_v8]) -> MetadataRequest_v8:
        """The request in that version."""
        return request_struct_class(self._names, False, False, True)


class DescribeGroupsResponse_v3(Response):
    API_KEY = 15
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            Array(
                ("error_code", Int16),
                ("group", _TEXT),
                ("state", _TEXT),
                ("protocol_type", _TEXT),
                ("protocol", _TEXT),
                (
                    "members",
                    Array(
                        ("member_id", _TEXT),
                        ("client_id", _TEXT),
                        ("client_host", _TEXT),
                        ("member_metadata", Bytes),
                        ("member_assignment", Bytes),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
    )


class DescribeGroupsRequest_v3(RequestStruct):
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(_TEXT)), ("include_authorized_operations", Boolean))


class GroupWithOperations(Request[DescribeGroupsRequest_v3]):
    """Asks about one group."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[DescribeGroupsRequest_v3]) -> DescribeGroupsRequest_v3:
        """The request in that version."""
        return request_struct_class([self._group], True)


class Described(NamedTuple):
    """One topic. `partitions` and `replicas` are 0 where it is missing or we may not see it."""

    partitions: int
    replicas: int
    """Copies of the partition that has the fewest."""
    operations: frozenset[str] | None
    """What we may do with it; None where the broker does not say."""


async def describe_topics(admin: AIOKafkaAdminClient, names: Sequence[str]) -> tuple[dict[str, Described], int]:
    """Each topic by its name, and how many brokers there are. Raises `KafkaError`."""
    answer = await send_admin_request(admin, MetadataWithOperations(names))
    found: dict[str, Described] = {}
    for error_code, name, _, partitions, bits in answer.topics:
        if error_code in _NOT_ALLOWED:
            found[name] = Described(0, 0, frozenset())
        else:
            copies = min((len(partition[4]) for partition in partitions), default=0)
            found[name] = Described(len(partitions), copies, _operations(bits))
    return found, len(answer.brokers)


async def describe_configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The settings of each topic that is there and whose settings we may see. Raises `KafkaError`."""
    if not names:
        return {}
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(wanted):
        for error_code, _, _, name, entries in answer.resources:
            if not error_code:
                found[name] = {entry[0]: entry[1] for entry in entries}
    return found


class DescribedGroup(NamedTuple):
    """One consumer group as its coordinator describes it."""

    state: str
    """Stable, PreparingRebalance, CompletingRebalance, Empty or Dead; the embedded broker also has Unknown."""
    members: int
    is_certain: bool = True
    """Whether the broker knows its members; the embedded one also lists those that have left, until the next one
    joins."""
    operations: frozenset[str] | None = None
    """What we may do in it; None where the broker does not say."""

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in it; a group that was never there has no state."""
        return not self.members and self.state in ("Empty", "Dead", "")


async def describe_group(admin: AIOKafkaAdminClient, group: str) -> DescribedGroup:
    """Who is in a consumer group. Raises `KafkaError`: no coordinator, or no right to describe it."""
    node_id = await find_coordinator(admin, group)
    if node_id is None:
        raise NodeNotReadyError(f"the coordinator of consumer group {group} does not answer")
    answer = await send_admin_request(admin, GroupWithOperations(group), node_id)
    ((error_code, _, state, _, _, members, bits),) = answer.groups
    if error_code:
        raise for_code(error_code)(f"consumer group {group}")
    return DescribedGroup(state, len(members), all(member[2] for member in members), _operations(bits))


async def wait_for_group(admin: AIOKafkaAdminClient, group: str) -> DescribedGroup:
    """The same of a group that need not exist: a new cluster makes its offsets topic when it is first asked.

    Raises:
        aiokafka.errors.KafkaError: the broker does not answer, or knows no coordinator for 30 s.
    """
    deadline_s = time.monotonic() + _GROUP_TIMEOUT_S
    while True:
        try:
            return await describe_group(admin, group)
        except (*NO_COORDINATOR, NodeNotReadyError):
            if time.monotonic() > deadline_s:
                raise
        await asyncio.sleep(0.1)


async def group_operations(admin: AIOKafkaAdminClient, group: str) -> frozenset[str] | None:
    """What we may do in a consumer group, which need not exist; None where the broker does not say. Raises as above."""
    try:
        return (await wait_for_group(admin, group)).operations
    except (TopicAuthorizationFailedError, GroupAuthorizationFailedError):  # not even Describe
        return frozenset()


def _operations(bits: int) -> frozenset[str] | None:
    """None for a broker that leaves them out: the protocol's least number, the embedded broker also -1.

    >>> sorted(_operations(1 << 3 | 1 << 8)), _operations(-(2**31)), _operations(-1)
    (['Describe', 'Read'], None, None)
    """
    if bits < 0:
        return None
    return frozenset(name for code, name in _BITS.items() if bits >> code & 1)
