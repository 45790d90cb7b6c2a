"""What a notifier that died before its checkpoint had put onto `notifications`: its successor decides the same again,
and writes none of it a second time.

An outcome's id is made from what it is about, so the repeat has the id of the first. With each checkpoint the state
holds up to where the outcomes were acknowledged; what lies behind that is read by whoever owns the state next, before
it decides anything. So a notifier that dies at the same place at each start writes once what it decides there.
"""

import time
from collections.abc import Mapping
from typing import Protocol

import msgspec
from aiokafka.errors import KafkaError

from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.preflight import SetupError
from stream_detector.kafka.topics import NOTIFICATIONS
from stream_detector.notify.state.keys import WRITTEN, State, read_if_sound, write
from stream_detector.notify.state.state_models import OutcomesWritten
from stream_detector.settings import Settings
from stream_detector.telemetry.log_events import OutcomesNotRead

MOST_EACH, FIRST_EACH = 20_000, 1_000
"""So many records of a partition are read at most; where an earlier version wrote the state, the newest of them."""
SETTLED_S = 600.0
"""Whoever lives for so long is in no loop: what it has not decided again by then, it will not."""


class _Outcome(msgspec.Struct):
    id: str


_outcome = msgspec.json.Decoder(_Outcome)


class Sends(Protocol):
    """What is asked of the producer (`delivery.batch_producer`)."""

    @property
    def ends(self) -> Mapping[tuple[str, int], int]:
        """(topic, partition) -> the offset behind the last acknowledged record."""


class WrittenOutcomes:
    """Of the owner of the notifier's state.

    Args:
        settings: where the broker is.
        sends: the producer that writes the outcomes.
    """

    def __init__(self, settings: Settings, sends: Sends) -> None:
        self._settings, self._sends = settings, sends
        self._repeats: set[str] = set()
        """Ids on the topic of what no checkpoint holds yet."""
        self._read_at_s = 0.0

    async def read(self, state: State) -> None:
        """Read what was written behind the state's last checkpoint. Where that cannot be, nothing is a repeat."""
        noted = read_if_sound(state, WRITTEN, OutcomesWritten)

        def first(partition: int, end: int) -> int:
            if noted is None:
                return max(0, end - FIRST_EACH)
            return max(noted.ends.get(partition, 0), end - MOST_EACH)

        found: set[str] = set()
        try:
            async for record in read_topic(self._settings, NOTIFICATIONS, first):
                try:
                    found.add(_outcome.decode(record.value or b"").id)
                except (msgspec.MsgspecError, UnicodeError, RecursionError):
                    continue  # none of ours
        except (KafkaError, OSError, TimeoutError, SetupError) as error:
            OutcomesNotRead(str(error) or type(error).__name__).emit()
        self._repeats, self._read_at_s = found, time.monotonic()

    def is_written(self, outcome_id: str) -> bool:
        """Whether the topic has it already; True once."""
        if outcome_id not in self._repeats:
            return False
        self._repeats.remove(outcome_id)
        return True

    def note(self, state: State) -> None:
        """Put into the state up to where outcomes are acknowledged: what they were decided from is in it as well."""
        if self._repeats and time.monotonic() < self._read_at_s + SETTLED_S:
            return  # some were decided by nobody whose state is kept: the next one has to know them, too
        self._repeats.clear()
        noted = read_if_sound(state, WRITTEN, OutcomesWritten) or OutcomesWritten()
        acknowledged = {number: end for (topic, number), end in self._sends.ends.items() if topic == NOTIFICATIONS}
        if noted.ends | acknowledged != noted.ends:
            write(state, WRITTEN, OutcomesWritten(ends=noted.ends | acknowledged))
