"""What must be true on the broker before a role starts: its topics are there as they should be, and it may use them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiokafka.admin import AIOKafkaAdminClient

from stream_detector.kafka.acls import (
    GROUPED,
    Acl,
    Granted,
    Kind,
    missing_acls,
    optional_acls,
    required_acls,
    topics_for_role,
)
from stream_detector.kafka.client import client_options
from stream_detector.kafka.describe import describe_configs, describe_topics, group_operations
from stream_detector.kafka.topics import ALERTS, BASELINES, CLOCK, RUNS_STATE, Topic
from stream_detector.settings import Settings

_LAG_BY_OTHER_CLOCKS_MS = 86_400_000
"""Compaction lag of a changelog whose records have the times of the workers' clocks: a day covers one that is wrong."""


class SetupError(Exception):
    """Something on the broker is not as it must be. The text says what, and what to do."""


class TopicMismatchError(SetupError):
    """A topic is missing or not as it should be. It was not changed."""


class MissingAclsError(SetupError):
    """The broker does not allow something that a role needs."""

    def __init__(self, role: str, acls: Iterable[Acl], settings: Settings) -> None:
        whom = f"user {settings.broker_user}" if settings.broker_user else "an unauthenticated client"
        together: dict[tuple[str, str], list[str]] = {}
        for kind, name, operation in acls:
            together.setdefault((operation, kind), []).append(name)
        what = "; ".join(f"{operation} on {kind} {', '.join(names)}" for (operation, kind), names in together.items())
        super().__init__(
            f"Kafka at {settings.broker} does not allow {whom}: {what}. The role {role} needs it: "
            f"`stream-detector acls --role {role}` prints the commands that grant it"
        )


@dataclass(frozen=True)
class TopicState:
    """One topic as it is on the broker. `partitions` is 0 where it is missing, or may not be seen."""

    topic: Topic
    name: str
    wanted: int
    partitions: int
    replicas: int = 0
    wanted_replicas: int = 0
    operations: frozenset[str] | None = None
    """What we may do with it; None where the broker does not say."""
    config: Mapping[str, str] = field(default_factory=dict)
    """Its settings on the broker; empty where they may not be seen."""
    usual: int = 0
    """How many partitions most of our topics have now; 0 where too few are there to know."""
    fewer: int = 0
    """How many of our topics have less than that."""

    @property
    def state(self) -> Literal["ok", "missing", "mismatch", "forbidden"]:
        if self.operations is not None and "Describe" not in self.operations:
            return "forbidden"
        if not self.partitions:
            return "missing"
        return "mismatch" if self.advice else "ok"

    @property
    def advice(self) -> str:
        """What to do about it; empty where it is ok."""
        if self.operations is not None and "Describe" not in self.operations:
            return "grant Describe on it: `stream-detector acls` prints how"
        if not self.partitions:
            return "run `stream-detector setup`"
        if not self.topic.is_ours:
            return ""
        return self._about_partitions() or self._about_copies() or self._about_config()

    @property
    def hint(self) -> str:
        """What could be better about one that is ok; empty where nothing is known to be."""
        lag_ms = self.config.get("min.compaction.lag.ms", "")
        if self.config.get("message.timestamp.type") != "CreateTime" or self.topic.cleanup != "compact":
            return ""
        if lag_ms.isdecimal() and int(lag_ms) >= _LAG_BY_OTHER_CLOCKS_MS:
            return ""
        return (
            f"{self.name} has message.timestamp.type=CreateTime: its records have the times of the workers' clocks, "
            "and those of one that is behind can be compacted too early. Raise its compaction lag: kafka-configs.sh "
            f"--bootstrap-server HOST:PORT --alter --entity-type topics --entity-name {self.name} "
            f"--add-config min.compaction.lag.ms={_LAG_BY_OTHER_CLOCKS_MS}"
        )

    def _about_partitions(self) -> str:
        """Of a topic of ours: producers' may have any number, since events are forwarded to the owner of their key."""
        if self.partitions == self.wanted or not self.topic.is_ours:
            return ""
        wrong = f"{self.name} has {self.partitions} partitions and should have {self.wanted}"
        if self.topic.partitions:
            return f"{wrong}: {_recreate(self.topic.name)}"
        if not self.usual:
            return (
                f"{wrong}: the number decides which worker owns a key. Set STREAM_DETECTOR_PARTITIONS="
                f"{self.partitions} if all topics are to have as many, else {_recreate(self.topic.name)}"
            )
        if self.partitions == self.usual:
            return f"{wrong}, by STREAM_DETECTOR_PARTITIONS: {_set_or_repartition(self.partitions, self.wanted)}"
        if self.partitions < self.usual and (self.topic.name == ALERTS or self.fewer > 1):
            return (
                f"{self.name} has {self.partitions} partitions and the other topics have {self.usual}: "
                f"`stream-detector setup --repartition {self.usual}` was interrupted, or the topic was deleted and "
                "created again. Stop every role and run that command: it does the rest"
            )
        if self.partitions < self.usual:
            return describe_recreated(self.topic.name, self.name, self.usual, self.partitions)
        return (
            f"{self.name} has {self.partitions} partitions and the other topics have {self.usual}: partitions were "
            f"added to it alone, and the number decides which worker owns a key. Stop every role and run "
            f"`stream-detector setup --repartition {self.partitions}`, which gives all of them as many and moves the "
            "keys"
        )

    def _about_copies(self) -> str:
        if self.replicas >= self.wanted_replicas:
            return ""
        return (
            f"{self.name} has {self.replicas} replicas and should have {self.wanted_replicas}: losing one broker "
            "would lose its data. Add replicas with kafka-reassign-partitions.sh, or accept it with "
            f"STREAM_DETECTOR_REPLICATION={self.replicas}"
        )

    def _about_config(self) -> str:
        wanted = expected_config(self.topic, self.wanted_replicas)
        wrong = {name: value for name, value in wanted.items() if not self._is_acceptable(name, value)}
        if not self.config or not wrong:
            return ""
        now = ", ".join(f"{name}={self.config.get(name, 'not set')}" for name in wrong)
        change = ",".join(f"{name}={value}" for name, value in wrong.items())
        return (
            f"{self.name} has {now}, which could lose data. Set it: kafka-configs.sh "
            f"--bootstrap-server HOST:PORT --alter --entity-type topics --entity-name {self.name} --add-config {change}"
        )

    def _is_acceptable(self, name: str, wanted: str) -> bool:
        """Whether a setting is as it should be, or safer. How long records are kept is the operator's to choose.

        Earlier versions made changelogs whose records have the workers' times: `hint` is about them.
        """
        found = self.config.get(name)
        if name == "retention.ms" or found is None:
            return True
        if name == "message.timestamp.type" and self.topic.name != CLOCK:
            return True
        if name == "min.insync.replicas":
            return int(wanted) <= int(found) <= max(1, self.replicas)
        return int(found) >= int(wanted) if name == "min.compaction.lag.ms" else found == wanted


def describe_recreated(topic: str, name: str, had: int, has: int) -> str:
    """What happened to a topic that has fewer partitions than before, and what to do.

    Args:
        topic: without the prefix.
        name: with it.
        had: partitions before.
        has: partitions now.
    """
    return (
        f"{name} had {had} partitions and has {has}: it was deleted, and the broker created it again with its own "
        f"default number (auto.create.topics.enable), which loses what it held. {_recreate(topic).capitalize()}"
    )


def _recreate(topic: str) -> str:
    restore = ", then `stream-detector baselines restore`" if topic in (BASELINES, RUNS_STATE) else ""
    return f"stop producers and every role, delete this topic and run `stream-detector setup`{restore}"


def _set_or_repartition(now: int, wanted: int) -> str:
    more = f", or stop every role and run `stream-detector setup --repartition {wanted}`" if wanted > now else ""
    return f"set it to {now}, as many as all topics here have{more}"


def replication_factor(settings: Settings, brokers: int) -> int:
    """Copies of each partition: the setting, else 3 from three brokers on, else 1."""
    return settings.replication or (3 if brokers >= 3 else 1)


def expected_config(topic: Topic, replication: int) -> dict[str, str]:
    """The broker's settings of a topic. A write is acknowledged by two copies where there are three."""
    return topic.config() | {"min.insync.replicas": "2" if replication >= 3 else "1"}


async def read_topics(admin: AIOKafkaAdminClient, settings: Settings, role: str = "setup") -> list[TopicState]:
    """How the topics of a role are now, in the order of `TOPICS`; asking makes none. Raises `KafkaError`."""
    topics = topics_for_role(role, settings)
    names = [settings.topic(topic.name) for topic in topics]
    found, brokers = await describe_topics(admin, names)
    ours = [settings.topic(topic.name) for topic in topics if topic.is_ours]
    configs = await describe_configs(admin, [name for name in ours if found[name].partitions])
    replication = replication_factor(settings, brokers)
    counts = [(topic, found[name].partitions) for topic, name in zip(topics, names, strict=True)]
    usual = usual_partitions(counts)
    fewer = sum(topic.is_ours and not topic.partitions and 0 < count < usual for topic, count in counts)
    number = settings.partitions if settings.has_set("partitions") else usual or settings.partitions
    return [
        TopicState(
            topic,
            name,
            topic.partitions or number,
            found[name].partitions,
            found[name].replicas,
            replication,
            found[name].operations,
            configs.get(name, {}),
            usual,
            fewer,
        )
        for topic, name in zip(topics, names, strict=True)
    ]


def usual_partitions(found: Iterable[tuple[Topic, int]]) -> int:
    """How many partitions most of our topics of N have; 0 where fewer than half of them are there.

    One that was deleted and created again, or that `setup --repartition` has not reached, is not most. `alerts` is the
    last that it reaches, so one alone that has fewer is another matter.
    """
    counts = [count for topic, count in found if topic.is_ours and not topic.partitions]
    known = Counter(count for count in counts if count)
    if 2 * known.total() < max(2, len(counts)):
        return 0
    return max(known, key=lambda count: (known[count], count))


async def find_missing_acls(
    admin: AIOKafkaAdminClient, settings: Settings, role: str, states: Iterable[TopicState]
) -> list[Acl]:
    """What the role cannot start without and the broker does not allow us; `states` are those of its topics.

    Raises:
        aiokafka.errors.KafkaError: the broker does not answer.
    """
    granted: dict[tuple[Kind, str], frozenset[str] | None] = {("topic", s.name): s.operations for s in states}
    optional = set(optional_acls(role, settings))
    acls = [acl for acl in required_acls(role, settings) if acl not in optional]
    for acl in acls:
        if acl.kind == "group":
            granted["group", acl.name] = await group_operations(admin, acl.name)
    return missing_acls(acls, granted)


async def run_preflight(settings: Settings, role: str) -> dict[str, int]:
    """The role's topics without their prefix -> partitions. The role may do everything that it needs afterwards.

    A topic that it can do without and may not read is left out.

    Raises:
        MissingAclsError: the broker does not allow something.
        TopicMismatchError: a topic is missing or not as it should be.
        aiokafka.errors.KafkaError: the broker does not answer.
    """
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        states = await read_topics(admin, settings, role)
        if missing := await find_missing_acls(admin, settings, role, states):
            raise MissingAclsError(role, missing, settings)
        if role in GROUPED:  # what it subscribes to it must be allowed to read
            granted: Granted = {("topic", state.name): state.operations for state in states}
            optional = optional_acls(role, settings)
            needed = {acl.name for acl in required_acls(role, settings) if acl not in optional}
            refused = {acl.name for acl in missing_acls(optional, granted)} - needed
            states = [state for state in states if state.name not in refused]
    finally:
        await admin.close()
    wrong = [state for state in states if state.state in ("missing", "mismatch")]
    if wrong:
        raise TopicMismatchError("; ".join(f"{state.name}: {state.advice}" for state in wrong))
    return {state.topic.name: state.partitions for state in states}
