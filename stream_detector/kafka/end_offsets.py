"""How far each role is behind the ends of the topics it reads.

An end is the larger of two answers: the high watermark of a fetch, since the embedded broker counts batches, not
records, when it is asked for the latest offset; and that latest offset, since a new leader's watermark may lag behind.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from types import TracebackType

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from stream_detector.kafka.acls import GROUPED, Acl, Granted, missing_acls
from stream_detector.kafka.client import client_options
from stream_detector.kafka.describe import NO_COORDINATOR, Described, describe_topics
from stream_detector.kafka.groupless_consumer import groupless_consumer
from stream_detector.kafka.preflight import MissingAclsError
from stream_detector.kafka.topics import BY_NAME, CLOCK, DETECTOR_SETTINGS, TOPICS, Topic
from stream_detector.settings import Settings


def _is_read_whole(topic: Topic) -> bool:
    """Whether its writer reads it without the group: a changelog, the detector's settings."""
    return topic.cleanup == "compact" or topic.name == DETECTOR_SETTINGS


TOPICS_READ_BY = {
    role: tuple(
        topic.name
        for topic in TOPICS
        if role in topic.read_by.split(", ")
        and not (topic.written_by == role and _is_read_whole(topic))
        and topic.name != CLOCK  # whoever reads it follows it without the group
    )
    for role in GROUPED
}
"""Role -> the topics that its group reads and commits: all that it reads but what it reads whole."""

_FETCH_WAIT_MS = 50
_TIMEOUT_S = 30.0

Lags = dict[str, dict[str, int]]
"""Role -> topic without prefix -> records between its group's committed offset and the end."""


class EndOffsets:
    """Asks one broker again and again. An async context manager.

    Args:
        settings: where the broker is.
        names: topics without their prefix; all of ours where none are named.
        role: who asks, for the error about what it may not read.
        stable: ends are last stable offsets, before the first open transaction: what the roles can read now.
    """

    def __init__(
        self,
        settings: Settings,
        names: Collection[str] = tuple(BY_NAME),
        *,
        role: str = "operators",
        stable: bool = False,
    ) -> None:
        self._settings, self._names, self._role, self._stable = settings, names, role, stable
        self._admin = AIOKafkaAdminClient(**client_options(settings))
        self._consumer: AIOKafkaConsumer
        self._opened: contextlib.AsyncExitStack
        self._partitions: list[TopicPartition] = []
        self._known: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> "EndOffsets":
        """Connect and learn the partitions. Raises `KafkaError`, or `MissingAclsError` where one may not be read."""
        async with contextlib.AsyncExitStack() as opened:
            opened.push_async_callback(self._admin.close)
            await self._admin.start()
            found, _ = await describe_topics(self._admin, [self._settings.topic(name) for name in self._names])
            granted: Granted = {("topic", name): described.operations for name, described in found.items()}
            if missing := missing_acls([Acl("topic", name, "Read") for name in found], granted):
                raise MissingAclsError(self._role, missing, self._settings)
            consumer = groupless_consumer(
                self._settings,
                fetch_max_wait_ms=_FETCH_WAIT_MS,
                fetch_min_bytes=0,  # an end is answered at once, not when something comes
                max_partition_fetch_bytes=1,  # the watermark is wanted, not the records
                isolation_level="read_committed" if self._stable else "read_uncommitted",
            )
            self._consumer = await opened.enter_async_context(consumer)
            self._opened = opened.pop_all()
        self._note_partitions(found)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def _find_partitions(self) -> None:
        """Ask again how many partitions the topics have: one that was added meanwhile has an end, too."""
        found, _ = await describe_topics(self._admin, [self._settings.topic(name) for name in self._names])
        self._note_partitions(found)

    def _note_partitions(self, found: Mapping[str, Described]) -> None:
        self._partitions = [
            TopicPartition(name, number) for name, topic in found.items() for number in range(topic.partitions)
        ]

    async def end_offsets(self, names: Collection[str] | None = None) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition, none older than this call.

        Args:
            names: topics without their prefix, of those that are asked for at all; all of them where none are named.

        Raises:
            TimeoutError: the broker does not answer fetches.
        """
        await self._find_partitions()
        consumer, wanted = self._consumer, self._of_topics(names)
        if not wanted:
            return {}
        consumer.assign(wanted)  # forgets all watermarks: what is read below was answered after this line
        try:
            new = [tp for tp in wanted if tp not in self._known]
            if new:
                await consumer.seek_to_beginning(*new)
            for tp in wanted:
                if tp in self._known:
                    consumer.seek(tp, self._known[tp])
            deadline_s = time.monotonic() + _TIMEOUT_S
            while any(consumer.highwater(tp) is None for tp in wanted):
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"the broker at {self._settings.broker} does not answer fetches")
                await consumer.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=1)
            ends = consumer.last_stable_offset if self._stable else consumer.highwater
            fetched = {tp: ends(tp) or 0 for tp in wanted}
        finally:
            consumer.unsubscribe()  # else it would go on fetching until it is asked again
        listed = {} if self._stable else await consumer.end_offsets(wanted)
        self._known |= fetched
        return {tp: max(end, listed.get(tp, 0)) for tp, end in fetched.items()}

    async def start_offsets(self, names: Collection[str] | None = None) -> dict[TopicPartition, int]:
        """The offset of the first record that each partition still has, or would have.

        Args:
            names: as in `end_offsets`.
        """
        return await self._consumer.beginning_offsets(self._of_topics(names))

    async def committed(self, role: str, names: Collection[str] | None = None) -> dict[TopicPartition, int]:
        """The group's committed offset of each partition that the role reads, -1 where there is none.

        Args:
            role: whose group.
            names: topics without their prefix, of those that it reads; all of them where none are named.
        """
        wanted = self._of_topics(TOPICS_READ_BY[role] if names is None else names)
        deadline_s = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                answer = await self._admin.list_consumer_group_offsets(self._settings.group(role), partitions=wanted)
                break
            except NO_COORDINATOR:
                # A new cluster makes its offsets topic when it is first asked; a coordinator may also be moving.
                if time.monotonic() > deadline_s:
                    raise
                await asyncio.sleep(0.1)
        return {tp: answer[tp].offset if tp in answer else -1 for tp in wanted}

    async def applied(self, role: str, names: Collection[str]) -> dict[TopicPartition, int]:
        """How far the group has committed each partition; where it has no commit, the log's start: it begins there."""
        committed = await self.committed(role, names)
        none = [tp for tp, offset in committed.items() if offset < 0]
        starts = await self._consumer.beginning_offsets(none) if none else {}
        return committed | {tp: starts.get(tp, 0) for tp in none}

    async def cluster_id(self) -> str:
        """The cluster's own id, asked now: offsets of another one mean other records."""
        return str((await self._admin.describe_cluster()).get("cluster_id") or "")

    def _of_topics(self, names: Collection[str] | None) -> list[TopicPartition]:
        if names is None:
            return self._partitions
        full = {self._settings.topic(name) for name in names}
        return [tp for tp in self._partitions if tp.topic in full]

    async def commits(self) -> dict[str, dict[TopicPartition, int]]:
        """`committed` of each role."""
        return dict(zip(TOPICS_READ_BY, await asyncio.gather(*map(self.committed, TOPICS_READ_BY)), strict=True))

    async def lags(self, commits: Mapping[str, Mapping[TopicPartition, int]] | None = None) -> Lags:
        """How far each role is behind.

        Commits are read first, ends afterwards. So all zero means that everything has come to rest: what a role makes
        of its input is acknowledged before its commit, hence within the ends.

        Args:
            commits: those of each role, where they were asked for already.
        """
        commits = await self.commits() if commits is None else commits
        ends = await self.end_offsets()
        lags: Lags = {}
        for role, offsets in commits.items():
            by_topic = lags[role] = dict.fromkeys(TOPICS_READ_BY[role], 0)
            for tp, end in ends.items():
                name = tp.topic.removeprefix(self._settings.topic_prefix)
                if name in by_topic:
                    by_topic[name] += max(0, end - max(0, offsets.get(tp, 0)))
        return lags


def total_lag(lags: Lags, role: str | None = None) -> int:
    """Records that one role, or all, are behind."""
    return sum(sum(by_topic.values()) for name, by_topic in lags.items() if role in (None, name))


async def read_topic(
    settings: Settings, name: str, first: Callable[[int, int], int] = lambda partition, end: 0
) -> AsyncIterator[ConsumerRecord]:
    """Every record that the topic holds when this is called, partition by partition.

    Args:
        settings: where the broker is.
        name: the topic without its prefix.
        first: given a partition and its end, the offset from which on it is read.

    Raises:
        MissingAclsError: we may not read it.
        aiokafka.errors.KafkaError: the broker does not answer.
    """
    async with EndOffsets(settings, [name]) as asked:
        ends = {tp: end for tp, end in (await asked.end_offsets()).items() if first(tp.partition, end) < end}
    if not ends:
        return
    async with groupless_consumer(settings) as consumer:
        for tp, end in ends.items():
            consumer.assign([tp])
            if start := first(tp.partition, end):
                consumer.seek(tp, start)
            else:
                await consumer.seek_to_beginning(tp)
            while await consumer.position(tp) < end:
                for record in (await consumer.getmany(tp, timeout_ms=_FETCH_WAIT_MS)).get(tp, []):
                    if record.offset < end:
                        yield record


async def first_record(settings: Settings, place: TopicPartition, offset: int) -> ConsumerRecord | None:
    """The first record at an offset or behind it that the log still has; None where there is none. Raises as below."""
    (found,) = await first_records(settings, [(place, offset)])
    return found


async def first_records(
    settings: Settings, wanted: Sequence[tuple[TopicPartition, int]]
) -> list[ConsumerRecord | None]:
    """The same of each place, in their order.

    Raises:
        aiokafka.errors.KafkaError: the broker does not answer.
        MissingAclsError: we may not read one of the topics.
        TimeoutError: it does not answer fetches.
    """
    async with EndOffsets(settings, {place.topic.removeprefix(settings.topic_prefix) for place, _ in wanted}) as asked:
        ends = await asked.end_offsets()
    async with groupless_consumer(settings) as consumer:
        return [await _first_of(consumer, place, offset, ends.get(place, 0)) for place, offset in wanted]


async def _first_of(consumer: AIOKafkaConsumer, place: TopicPartition, offset: int, end: int) -> ConsumerRecord | None:
    consumer.assign([place])
    consumer.seek(place, offset)
    async with asyncio.timeout(_TIMEOUT_S):
        while await consumer.position(place) < end:
            for record in (await consumer.getmany(place, timeout_ms=_FETCH_WAIT_MS, max_records=1)).get(place, []):
                return record
    return None
