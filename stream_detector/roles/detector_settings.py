"""How the detectors of a group agree on the settings that judge, by the topic `detector-settings`.

All that is judged at a time is judged under the same settings, and which they were is known afterwards. Before a
detector joins its group it
1. reads the topic: the settings in force are those of the newest revision, whose first record holds;
2. starts where its own are the same;
3. else asks, and refuses to start where another detector answers, or is still a member of the group after a session;
4. publishes the next revision, with the offsets that the group has committed;
5. reads the topic up to its own record: of two detectors that start at once, the first on the topic holds, and the
   other one refuses.
A detector that dies between 4 and its first event leaves a revision of no events. From then on each detector follows
the topic: it answers questions of 3, and ends where others are in force. A version that does not know the topic takes
no part.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

import stream_detector
from stream_detector.composition import detection_texts, differing_settings
from stream_detector.events import RefusedError
from stream_detector.events.decode import decode_detector_settings
from stream_detector.events.detector_settings import DetectorSettings
from stream_detector.events.encode import encode
from stream_detector.kafka.client import client_options
from stream_detector.kafka.describe import wait_for_group
from stream_detector.kafka.end_offsets import EndOffsets
from stream_detector.kafka.groupless_consumer import groupless_consumer
from stream_detector.kafka.preflight import SetupError
from stream_detector.kafka.topics import COMPLETIONS, DETECTOR_SETTINGS, REKEYED, SCORES
from stream_detector.settings import PREFIX, Settings
from stream_detector.telemetry.log_events import RecordIgnored

_SOURCES = COMPLETIONS, SCORES, REKEYED
_POLL_MS = 200
_FETCH_WAIT_MS, _FOLLOW_WAIT_MS = 20, 2_000
_ANSWER_WITHIN_S = 8.0
"""So long an answer may take of a detector that is busy, where the broker does not know who is there."""
_GONE_AFTER_S = 3.0
"""After the session time-out, in which a detector that was killed is still a member of its group."""
_AGAIN_S = 5.0


class SettingsConflictError(SetupError):
    """Another detector of the group runs with other settings."""

    def __init__(self, group: str, mine: Mapping[str, str], theirs: Mapping[str, str]) -> None:
        differing = differing_settings(mine, theirs)
        both = "; ".join(
            f"{PREFIX}{name.upper()} is {mine.get(name, '')!r} here and {theirs.get(name, '')!r} there"
            for name in differing
        )
        super().__init__(
            f"another detector of the group {group} runs with other settings: {both}. All detectors of a group must"
            " have the same. To change a setting, stop all of them, then start them with the new one"
        )


class SettingsLog:
    """One detector's part in the agreement.

    Args:
        settings: of this detector.
        fail: ends the process.
    """

    def __init__(self, settings: Settings, fail: Callable[[str], None]) -> None:
        self._settings, self._fail = settings, fail
        self._mine = detection_texts(settings)
        self._place = TopicPartition(settings.topic(DETECTOR_SETTINGS), 0)
        self._in_force: DetectorSettings | None = None
        self._next = 0
        self._following: asyncio.Task[None] | None = None

    async def agree(self) -> None:
        """The settings of this detector are in force afterwards, and it follows the topic.

        Raises:
            SettingsConflictError: another detector runs with other settings.
            KafkaError: the broker does not answer.
        """
        async with groupless_consumer(self._settings, fetch_max_wait_ms=_FETCH_WAIT_MS) as consumer:
            async for record in self._read_on(consumer):  # 1
                self._note(record)
            if not self._is_same(self._in_force):  # 2
                await self._start_revision(consumer)
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """It follows the topic no longer."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    def _is_same(self, other: DetectorSettings | None) -> bool:
        return other is not None and not differing_settings(self._mine, other.settings)

    def _conflict(self, other: DetectorSettings) -> SettingsConflictError:
        return SettingsConflictError(self._settings.group("detector"), self._mine, other.settings)

    async def _start_revision(self, consumer: AIOKafkaConsumer) -> None:
        producer = AIOKafkaProducer(**client_options(self._settings), acks="all")
        await producer.start()
        try:
            if self._in_force is not None:
                await self._demand_alone(consumer, producer)  # 3
            async with EndOffsets(self._settings, _SOURCES, role="detector") as ends:
                committed = await ends.committed("detector", _SOURCES)
            offsets: dict[str, dict[int, int]] = {}
            for tp, offset in committed.items():
                if offset >= 0:
                    topic = tp.topic.removeprefix(self._settings.topic_prefix)
                    offsets.setdefault(topic, {})[tp.partition] = offset
            await self._publish(producer, "in_force", offsets=offsets)  # 4
        finally:
            await producer.stop()
        async for record in self._read_on(consumer):  # 5
            self._note(record)
        if self._in_force is not None and not self._is_same(self._in_force):
            raise self._conflict(self._in_force)

    async def _demand_alone(self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
        """Return once no other detector runs; asks those that do. Raises `SettingsConflictError` where one answers."""
        assert self._in_force is not None
        question, began_s = str(uuid4()), time.monotonic()
        await self._publish(producer, "question", question=question)
        admin = AIOKafkaAdminClient(**client_options(self._settings))
        await admin.start()
        try:
            while True:
                group = await wait_for_group(admin, self._settings.group("detector"))
                if not group.members:
                    return
                async for record in self._read_on(consumer):
                    found = self._note(record)
                    if found is not None and found.kind == "answer" and found.question == question:
                        raise self._conflict(found)
                waited_s = time.monotonic() - began_s
                if group.is_certain and waited_s > self._settings.session_timeout_s + _GONE_AFTER_S:
                    raise self._conflict(self._in_force)
                if not group.is_certain and waited_s > _ANSWER_WITHIN_S:
                    return
                await asyncio.sleep(_POLL_MS / 1000)
        finally:
            await admin.close()

    async def _publish(
        self,
        producer: AIOKafkaProducer,
        kind: str,
        *,
        offsets: Mapping[str, Mapping[int, int]] | None = None,
        question: str | None = None,
    ) -> None:
        revision = self._in_force.revision if self._in_force is not None else 0
        record = DetectorSettings(
            schema_version=1,
            kind=kind,  # type: ignore[arg-type]
            revision=revision + 1 if kind == "in_force" else revision,
            settings=self._mine,
            offsets=offsets or {},
            question=question,
            at=datetime.now(UTC),
            version=stream_detector.__version__,
        )
        await producer.send_and_wait(self._place.topic, encode(record), key=kind.encode(), partition=0)

    async def _read_on(self, consumer: AIOKafkaConsumer) -> AsyncIterator[ConsumerRecord]:
        """What the topic holds now and was not read yet."""
        consumer.assign([self._place])  # forgets the end that was known
        consumer.seek(self._place, self._next)
        end: int | None = None
        while end is None or self._next < end:
            records = (await consumer.getmany(self._place, timeout_ms=_POLL_MS)).get(self._place, [])
            for record in records:
                self._next = record.offset + 1
                yield record
            known = consumer.highwater(self._place)
            if known is not None:
                end = known if end is None else max(end, known)
                self._next = max(self._next, await consumer.position(self._place))

    def _note(self, record: ConsumerRecord) -> DetectorSettings | None:
        """Keep it where it starts a revision; None where it cannot be read."""
        try:
            found = decode_detector_settings(record.value)
        except RefusedError as error:
            RecordIgnored(DETECTOR_SETTINGS, 0, record.offset, error.message).emit()
            return None
        if found.kind == "in_force" and (self._in_force is None or found.revision > self._in_force.revision):
            self._in_force = found
        return found

    # -- while it runs -------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            try:
                await self._follow_once()
            except (KafkaError, OSError):
                await asyncio.sleep(_AGAIN_S)

    async def _follow_once(self) -> None:
        async with groupless_consumer(self._settings, fetch_max_wait_ms=_FOLLOW_WAIT_MS) as consumer:
            consumer.assign([self._place])
            consumer.seek(self._place, self._next)
            while True:
                found = await consumer.getmany(self._place, timeout_ms=_FOLLOW_WAIT_MS)
                for record in found.get(self._place, []):
                    self._next = record.offset + 1
                    await self._heed(self._note(record))

    async def _heed(self, found: DetectorSettings | None) -> None:
        if self._in_force is not None and not self._is_same(self._in_force):
            self._fail(str(self._conflict(self._in_force)))
        elif found is not None and found.kind == "question" and not self._is_same(found):
            await self._answer(found)

    async def _answer(self, question: DetectorSettings) -> None:
        producer = AIOKafkaProducer(**client_options(self._settings), acks="all")
        await producer.start()
        try:
            await self._publish(producer, "answer", question=question.question)
        finally:
            await producer.stop()
