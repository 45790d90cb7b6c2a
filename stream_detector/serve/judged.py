"""What the detector has judged, with everything that it found stored: offsets below which that holds.

A look takes them in this order, so that nothing that the detector found can be missing below them:
1. the ends of the input topics, for events of which only is known that they were published before;
2. what the detector's group has committed of them: a commit follows the acknowledgement of what came out;
3. the end of `rekeyed`, where repartitioned events went, and wait until the detector has committed that;
4. the ends of `alerts` and `dead-letters`, and wait until the recorder has committed these.
All requests share one look. What was waited for goes on after a request has given up, so that the next one finds it.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from stream_detector.kafka.end_offsets import EndOffsets
from stream_detector.kafka.preflight import SetupError
from stream_detector.kafka.topics import ALERTS, COMPLETIONS, DEAD_LETTERS, REKEYED, SCORES
from stream_detector.serve.broker import BrokerAwayError
from stream_detector.settings import Settings
from stream_detector.store.epochs import stream_identity
from stream_detector.store.position import Position

Offsets = Mapping[TopicPartition, int]

_SOURCES = COMPLETIONS, SCORES
_OUTPUTS = ALERTS, DEAD_LETTERS
_TOPICS = (*_SOURCES, REKEYED, *_OUTPUTS)
_POLL_S = 0.1
_LOOK_FOR_S = 60.0
"""So long a look waits for what it has seen the end of; then the next request begins another one."""
_MARKS = 10_000


class JudgedOffsets:
    """Asked for one position at a time; connects to Kafka when it is first asked.

    Args:
        settings: where the broker is.
        epoch_of: the stored epoch of a stream by its identity, None where nothing of it is stored.
    """

    def __init__(self, settings: Settings, epoch_of: Callable[[str], Awaitable[int | None]]) -> None:
        self._settings, self._epoch_of = settings, epoch_of
        self._ends: EndOffsets | None = None
        self._identity = ""
        self._looking: asyncio.Task[None] | None = None
        self._judged: Offsets = {}
        self._published: Offsets = {}
        """The ends of the input topics as the last look began."""
        self._marks: OrderedDict[tuple[str, Position], Offsets] = OrderedDict()
        """Of positions in a former stream: the ends when they were first asked for."""
        self._waiting_for = ""
        self._one_at_a_time = asyncio.Lock()
        """Whoever asks for what is not stored makes a connection."""

    async def why_not(self, topic: str, position: Position, *, within_s: float) -> str:
        """Why an event is not judged yet, or what was found is not stored yet; empty where both are.

        Args:
            topic: of the event, without its prefix.
            position: where it lay. One of a former stream counts as judged once everything is that had been published
                when it was first asked for: a restored event lies somewhere on the topic.
            within_s: so long is waited for it.

        Raises:
            BrokerAwayError: Kafka does not answer, or not to us, so that nothing is known.
        """
        if not self._settings.broker:
            raise BrokerAwayError("STREAM_DETECTOR_BROKER is not set")
        deadline_s = time.monotonic() + within_s
        place = TopicPartition(self._settings.topic(topic), position.partition)
        if self._identity and await self._is_judged(topic, place, position):
            return ""
        while True:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
                self._looking.add_done_callback(_retrieve)
            await asyncio.wait({self._looking}, timeout=max(0.0, deadline_s - time.monotonic()))
            if self._looking.done():
                self._looking.result()
                if await self._is_judged(topic, place, position):
                    return ""
            if time.monotonic() >= deadline_s:
                return self._waiting_for or self._behind(place, position)
            await asyncio.sleep(_POLL_S)

    async def why_not_stored(self, topic: str, *, within_s: float) -> str:
        """Why an event that is published already may not be stored yet; empty where it would be.

        Raises:
            BrokerAwayError: Kafka does not answer, or not to us, so that nothing is known.
        """
        if not self._settings.broker:
            raise BrokerAwayError("STREAM_DETECTOR_BROKER is not set")
        deadline_s = time.monotonic() + within_s
        try:
            ends = EndOffsets(self._settings, [topic], role="api")
            async with self._one_at_a_time, asyncio.timeout(_LOOK_FOR_S), ends:
                wanted = await ends.end_offsets()
                while True:
                    committed = await ends.committed("recorder", [topic])
                    behind = sum(max(0, end - max(0, committed.get(tp, 0))) for tp, end in wanted.items())
                    if not behind:
                        return ""
                    if time.monotonic() > deadline_s:
                        return f"the recorder has {behind} records of {topic} to store"
                    await asyncio.sleep(_POLL_S)
        except (KafkaError, OSError, SetupError) as error:
            raise _away(error) from error

    async def stop(self) -> None:
        """Nothing is under way afterwards."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._close()

    async def _is_judged(self, topic: str, place: TopicPartition, position: Position) -> bool:
        if await self._epoch_of(self._identity) == position.epoch:
            return self._judged.get(place, -1) > position.offset
        published = {tp: end for tp, end in self._published.items() if tp.topic == place.topic}
        mark = self._marks.setdefault((topic, position), published)
        if len(self._marks) > _MARKS:
            self._marks.popitem(last=False)
        return all(max(0, self._judged.get(tp, 0)) >= end for tp, end in mark.items())

    def _behind(self, place: TopicPartition, position: Position) -> str:
        if not self._identity:
            return "Kafka has not answered yet how far the detector is"
        done = max(0, self._judged.get(place, 0))
        name = f"{place.topic}-{place.partition}"
        return f"the detector has committed {name} up to offset {done}; the event is at {position.offset}"

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_FOR_S):
                ends = await self._connected()
                identity = stream_identity(await ends.cluster_id(), self._settings.topic_prefix)
                published = await ends.end_offsets(_SOURCES)  # 1
                committed = await ends.committed("detector", _SOURCES)  # 2
                await self._reached(ends, "detector", await ends.end_offsets([REKEYED]))  # 3
                await self._reached(ends, "recorder", await ends.end_offsets(_OUTPUTS))  # 4
                self._identity, self._published, self._judged = identity, published, committed
        except TimeoutError as error:
            await self._close()
            if not self._waiting_for:
                raise BrokerAwayError("it does not answer in time") from error
        except (KafkaError, OSError, SetupError) as error:
            await self._close()
            raise _away(error) from error
        finally:
            self._waiting_for = ""

    async def _reached(self, ends: EndOffsets, role: str, wanted: Offsets) -> None:
        names = {tp.topic.removeprefix(self._settings.topic_prefix) for tp in wanted}
        while True:
            committed = await ends.committed(role, names)
            behind = {tp: end for tp, end in wanted.items() if max(0, committed.get(tp, 0)) < end}
            if not behind:
                self._waiting_for = ""
                return
            (tp, end), *_ = behind.items()
            self._waiting_for = (
                f"the {role} has committed {tp.topic}-{tp.partition} up to offset {max(0, committed[tp])} of {end}"
            )
            await asyncio.sleep(_POLL_S)

    async def _connected(self) -> EndOffsets:
        if self._ends is None:
            self._ends = await EndOffsets(self._settings, _TOPICS, role="api").__aenter__()
        return self._ends

    async def _close(self) -> None:
        self._identity = ""
        ends, self._ends = self._ends, None
        if ends is not None:
            await ends.__aexit__(None, None, None)


def _away(error: Exception) -> BrokerAwayError:
    """What it means for who asked."""
    if isinstance(error, GroupAuthorizationFailedError):
        return BrokerAwayError(
            f"it does not allow Describe on group {error}: `stream-detector acls --role api` prints what to grant"
        )
    return BrokerAwayError(f"{type(error).__name__}: {error}".rstrip(": "))


def _retrieve(look: "asyncio.Task[None]") -> None:
    """Nobody may wait any more for how a look ends."""
    if not look.cancelled():
        look.exception()
