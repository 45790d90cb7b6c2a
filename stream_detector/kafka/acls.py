"""The ACLs that each role needs, and no more: read off the list of topics.

`stream-detector acls` prints it, docs/security.md shows it, the roles compare it with what the broker grants them
before they start, and the tests of a secured broker grant exactly this.
"""

import shlex
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from stream_detector.kafka.topics import (
    ACTIONS,
    BY_NAME,
    CLOCK,
    COMPLETIONS,
    DEAD_LETTERS,
    NOTIFICATIONS,
    NOTIFIER_STATE,
    REKEYED,
    RUNS_STATE,
    SCORE_RUNS,
    SCORES,
    TOPICS,
    Topic,
)
from stream_detector.settings import Settings

Kind = Literal["topic", "group"]
Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs"]

Granted = Mapping[tuple[Kind, str], frozenset[str] | None]
"""(kind, full name) -> the operations that the broker allows us, None where it does not say."""

GROUPED = ("detector", "recorder", "notifier")
"""Roles with a consumer group of their own."""

ROLES = ("setup", "detector", "recorder", "notifier", "api", "producers", "subscribers", "operators")
"""`operators` are the accounts of people: `doctor`, `publish`, `dead-letters`."""

_OPTIONAL = {"detector": (CLOCK,), "recorder": (RUNS_STATE, NOTIFIER_STATE), "notifier": (CLOCK, DEAD_LETTERS)}

SUBSCRIBERS_GROUP = "example-subscriber"
"""The group of examples/subscriber.py: a stand-in for the groups of your own subscribers."""


class Acl(NamedTuple):
    """One operation on one resource, by its full name."""

    kind: Kind
    name: str
    operation: Operation

    def __str__(self) -> str:
        return f"{self.operation} on {self.kind} {self.name}"


def topics_for_role(role: str, settings: Settings) -> list[Topic]:
    """The topics that a role has to do with, in the order of `TOPICS`."""
    return [topic for topic in TOPICS if _operations(role, topic, settings)]


def required_acls(role: str, settings: Settings) -> list[Acl]:
    """Everything that a role needs on the broker, and no more.

    Read and Write contain Describe, by Kafka's own rule.

    >>> for acl in required_acls("subscribers", Settings(topic_prefix="ci.")):
    ...     print(acl)
    Read on topic ci.alerts
    Read on topic ci.run-summaries
    Read on group example-subscriber
    """
    acls = [
        Acl("topic", settings.topic(topic.name), operation)
        for topic in TOPICS
        for operation in _operations(role, topic, settings)
    ]
    if role in GROUPED:
        acls.append(Acl("group", settings.group(role), "Read"))
    if role == "subscribers":
        acls.append(Acl("group", SUBSCRIBERS_GROUP, "Read"))
    if role == "operators":
        acls += [Acl("group", settings.group(each), "Describe") for each in GROUPED]
    return list(dict.fromkeys(acls + optional_acls(role, settings)))


def optional_acls(role: str, settings: Settings) -> list[Acl]:
    """What a role needs for a part of its work alone, and starts without.

    The detector: its clock, without which a missing run is reported with the next run. The api: how far detector
    and recorder are, for `check` and `why`, and each role's group for health. The recorder: runs and the notifier's
    state, for a restore. The notifier: `clock`, without which no source counts as silent, `dead-letters`, for what
    it failed to process, its own outcomes, to write none of them twice, and what the other roles read, to report
    what they lose. A version that did not need these may have been granted less.
    """
    if names := _OPTIONAL.get(role):
        acls = [
            Acl("topic", settings.topic(name), operation)
            for name in names
            for operation in _operations(role, BY_NAME[name], settings)
        ]
        if role == "notifier":
            return [*acls, Acl("topic", settings.topic(NOTIFICATIONS), "Read"), *_to_watch_losses(settings)]
        return acls
    if role != "api":
        return []
    groups = [Acl("group", settings.group(each), "Describe") for each in GROUPED]
    return [*(Acl("topic", settings.topic(name), "Read") for name in (COMPLETIONS, SCORES, REKEYED)), *groups]


def _to_watch_losses(settings: Settings) -> list[Acl]:
    """For the notifier, of what the other roles read."""
    others = [role for role in GROUPED if role != "notifier"]
    read = [topic for topic in TOPICS if not {"notifier"} & {*topic.read_by.split(", "), *topic.written_by.split(", ")}]
    wanted = [topic for topic in read if set(others) & set(topic.read_by.split(", "))]
    return [
        *(Acl("topic", settings.topic(topic.name), "Describe") for topic in wanted),
        *(Acl("group", settings.group(role), "Describe") for role in others),
    ]


def acl_commands(acls: Iterable[Acl], principal: str, bootstrap: str) -> list[str]:
    """Calls of Kafka's own `kafka-acls.sh` that create these ACLs; needs an account with Alter on the cluster.

    Args:
        acls: what one role needs.
        principal: whom to grant them, as the broker sees it, for example `User:detector`.
        bootstrap: the broker's address.
    """
    by_resource: dict[tuple[Kind, str], list[Operation]] = {}
    for kind, name, operation in acls:
        by_resource.setdefault((kind, name), []).append(operation)
    alike: dict[tuple[Kind, tuple[Operation, ...]], list[str]] = {}
    for (kind, name), operations in by_resource.items():
        alike.setdefault((kind, tuple(operations)), []).append(name)
    start = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--command-config", "admin.properties", "--add"]
    calls = []
    for (kind, same), names in alike.items():
        words = [*start, "--allow-principal", principal]
        words += [word for operation in same for word in ("--operation", operation)]
        words += [word for name in names for word in (f"--{kind}", name)]
        calls.append(shlex.join(words))
    return calls


def missing_acls(acls: Iterable[Acl], granted: Granted) -> list[Acl]:
    """The ACLs that are not granted; a resource about which the broker says nothing counts as granted.

    Args:
        acls: what a role needs.
        granted: what the broker allows us.
    """
    missing = []
    for acl in acls:
        operations = granted.get((acl.kind, acl.name))
        if operations is not None and acl.operation not in operations:
            missing.append(acl)
    return missing


def _operations(role: str, topic: Topic, settings: Settings) -> list[Operation]:
    if role == "setup":
        operations: list[Operation] = ["Create", "Describe"]
    elif role == "operators":  # `publish`, and `dead-letters retry` to where a letter came from
        writes = topic.name in (COMPLETIONS, SCORES, SCORE_RUNS, ACTIONS)
        operations = ["Read", "Write"] if writes else ["Read"]
    else:
        watches = role == "notifier" and topic.name in _watched(settings)
        reads, writes = role in topic.read_by.split(", ") or watches, role in topic.written_by.split(", ")
        operations = [*(["Read"] if reads else []), *(["Write"] if writes else [])]  # type: ignore[list-item]
    if operations and topic.is_ours and role in ("setup", "operators", *GROUPED):
        operations.append("DescribeConfigs")
    return operations


def _watched(settings: Settings) -> set[str]:
    """The topics whose silence the notifier reports."""
    return {pair.partition("=")[0].strip() for pair in settings.quiet_after.split(",")}
