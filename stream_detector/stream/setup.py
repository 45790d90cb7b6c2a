"""Make every topic of `topics.TOPICS` on the broker, once and for all; a second run changes nothing.

Kafka makes missing topics with one partition when a producer asks for them, so this runs before any producer. The
number of partitions decides which worker owns a key, so a topic with another number is refused, never changed.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_detector.settings import Settings
from stream_detector.stream.broker import client_options
from stream_detector.stream.topics import TOPICS, Topic

_TOPIC_EXISTS = 36  # Kafka's error code TOPIC_ALREADY_EXISTS: another setup was faster
_KNOWN_TIMEOUT_S = 30.0


class SetupError(Exception):
    """The broker refused a topic. Its reason is in the text."""


class TopicMismatchError(SetupError):
    """A topic has another number of partitions than it should. It was not changed."""


@dataclass(frozen=True)
class TopicState:
    """One topic as it is on the broker. `partitions` is 0 where it is missing."""

    topic: Topic
    name: str
    wanted: int
    partitions: int

    @property
    def state(self) -> Literal["ok", "missing", "mismatch"]:
        if not self.partitions:
            return "missing"
        return "ok" if self.partitions == self.wanted else "mismatch"

    @property
    def advice(self) -> str:
        """What to do about it; empty where it is ok."""
        if self.state == "missing":
            return "run `stream-detector setup`"
        if self.state == "ok":
            return ""
        setting = "" if self.topic.partitions else f", or set STREAM_DETECTOR_PARTITIONS={self.partitions} if all agree"
        return (
            f"{self.name} has {self.partitions} partitions and should have {self.wanted}: the number decides which "
            f"worker owns a key, so it cannot be changed while it holds data. Use another STREAM_DETECTOR_TOPIC_PREFIX "
            f"or stop every role, delete the topic and run `stream-detector setup`{setting}"
        )


async def read_topics(admin: AIOKafkaAdminClient, settings: Settings) -> list[TopicState]:
    """How our topics are now, in the order of `TOPICS`. Asks for all: a broker may make one asked for by name."""
    found = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    return [
        TopicState(topic, name, topic.partitions or settings.partitions, found.get(name, 0))
        for topic in TOPICS
        for name in [settings.topic(topic.name)]
    ]


async def make_topics(settings: Settings, *, dry_run: bool = False) -> list[str]:
    """Every topic exists with its partitions, replication and settings afterwards. Returns the names it made.

    With `dry_run` nothing is made and the names are those that would be.

    Raises:
        TopicMismatchError: a topic has another number of partitions.
        SetupError: the broker refused one.
        aiokafka.errors.KafkaError: the broker does not answer.
    """
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        missing = [state for state in _fitting(await read_topics(admin, settings)) if state.state == "missing"]
        if missing and not dry_run:
            brokers = len((await admin.describe_cluster())["brokers"])
            await _create(admin, missing, replication_of(settings, brokers))
            await _wait_until_known(admin, settings)
        return [state.name for state in missing]
    finally:
        await admin.close()


def _fitting(states: list[TopicState]) -> list[TopicState]:
    wrong = [state.advice for state in states if state.state == "mismatch"]
    if wrong:
        raise TopicMismatchError("\n".join(wrong))
    return states


async def _wait_until_known(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    """Return once the broker lists all. It does so some time after it made them; one that another client made a moment
    before us is seen only here, so the partitions are compared again."""
    deadline = time.monotonic() + _KNOWN_TIMEOUT_S
    while missing := [state.name for state in _fitting(await read_topics(admin, settings)) if state.state == "missing"]:
        if time.monotonic() > deadline:
            raise SetupError(f"the broker accepted these topics but does not list them: {', '.join(missing)}")
        await asyncio.sleep(0.05)


def replication_of(settings: Settings, brokers: int) -> int:
    """Copies of each partition: the setting, else 3 from three brokers on, else 1."""
    return settings.replication or (3 if brokers >= 3 else 1)


async def _create(admin: AIOKafkaAdminClient, missing: Sequence[TopicState], replication: int) -> None:
    durable = {"min.insync.replicas": "2"} if replication >= 3 else {}
    wanted = [
        NewTopic(state.name, state.wanted, replication, topic_configs=state.topic.config() | durable)
        for state in missing
    ]
    answer = await admin.create_topics(wanted)
    for name, code, *message in answer.topic_errors:
        if code not in (0, _TOPIC_EXISTS):
            raise SetupError(
                f"the broker refused topic {name}: {message[0] if message and message[0] else f'error {code}'}"
            )
