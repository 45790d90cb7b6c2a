"""The keys of one partition that are due: which they are, what is decided of them, and what of it nobody knows yet.

The state comes first. What is found is an incident in the baseline, marked as to be sent; its alert goes out after the
checkpoint that holds it, and the mark is removed with the checkpoint after that. So whoever recovers the partition in
between sends it again, with the same id, and a moment of the clock never has to be repeated.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from stream_detector.delivery.state.changelog_record import payload_of
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect import Baseline, BaselineBuffer, Config, WorkflowBaseline
from stream_detector.detect.codec.packed import due_at, has_unsent
from stream_detector.events import Anomaly
from stream_detector.events.source_census import PLAIN_SOURCE
from stream_detector.roles.due_keys import DueKeys

_KEYS_PER_LOOK = 64
"""Keys between two looks at the clock: 0.1 ms where none is due."""
_PREFIXES = WorkflowBaseline.PREFIX.encode(), WorkflowBaseline.VARIANT_PREFIX.encode()


class Span(NamedTuple):
    """In which nobody took anything in; epoch ms by the broker. `from_ms` is 0 where nobody knows since when."""

    from_ms: int
    until_ms: int


class Rules(Protocol):
    """What decides (`detect.due`), pure."""

    def due(self, baseline: WorkflowBaseline, now_ms: int, config: Config) -> list[Anomaly]: ...
    def unsent(self, baseline: WorkflowBaseline, config: Config) -> list[Anomaly]: ...
    def mark_unsent(self, baseline: WorkflowBaseline) -> None: ...
    def mark_sent(self, baseline: WorkflowBaseline) -> None: ...
    def excuse(self, baseline: WorkflowBaseline, from_ms: int, to_ms: int, config: Config) -> int: ...


class DuePartition:
    """Of one partition, from when it was taken over until it is another worker's.

    Args:
        partition: it is ours.
        rules: what decides.
        config: the detection's.
        away: in which nobody took it in; None where it is not long.
    """

    def __init__(
        self, partition: StatePartition[bytes], rules: Rules, config: Config, away: Span | None = None
    ) -> None:
        self._partition, self._epoch, self._rules, self._config = partition, partition.epoch, rules, config
        self.keys = DueKeys()
        self.unsent: dict[str, int] = {}
        """Keys with alerts that nobody knows of yet -> the checkpoint that holds them."""
        self.expected_runs = 0
        """How many were expected while nobody took anything in."""
        self.first_expected_ms = 0
        self.is_noted_from = 0
        """The checkpoint from which on it may be noted that the partition is taken in."""
        self.census_wanted = True
        """Something was found, or has ended, since the last census."""
        self.are_expected = False
        """The runs that a rule expects were looked for."""
        self.newest_ms: dict[str | None, int] = {}
        """Source -> the record time of its newest event."""
        self._buffer = BaselineBuffer()
        self._to_collect: Iterator[bytes] | None = None
        self.away: Span | None = None
        self.begin(away)

    def begin(self, away: Span | None) -> None:
        """Look at all keys, in time: `collect`. What was due in this span is not missed."""
        self.away = away
        self._to_collect = iter([*self._partition.packed, *map(str.encode, self._partition.live)])

    def is_of(self, partition: StatePartition[bytes]) -> bool:
        """Whether this is about the partition as it is owned now."""
        return self._partition is partition and self._epoch == partition.epoch

    @property
    def is_collected(self) -> bool:
        """Whether all keys were looked at that were there when it was taken over."""
        return self._to_collect is None

    @property
    def may_tell(self) -> bool:
        """Whether what is due can be told: all keys are known, and nothing is due only because nobody was there."""
        return self._to_collect is None and self.away is None

    # -- taking over ---------------------------------------------------------------------------------------------

    def collect(self, seconds: float) -> None:
        """Look at keys for about so long."""
        until_s = time.perf_counter() + seconds
        while self._to_collect is not None and time.perf_counter() < until_s:
            for _ in range(_KEYS_PER_LOOK):
                raw = next(self._to_collect, None)
                if raw is None:
                    self._to_collect = None
                    break
                if raw.startswith(_PREFIXES):
                    self._collect(raw)

    def _collect(self, raw: bytes) -> None:
        key = raw.decode()
        packed = self.peek(key)
        if packed is None:
            return
        due_s, away = due_at(packed), self.away
        if due_s and away is not None and due_s * 1000 <= away.until_ms and (baseline := self._open(key)) is not None:
            self.excuse(baseline)
            packed = baseline.pack()
            self._partition.put(key, packed)
        self.look(key, packed)

    def look(self, key: str, packed: bytes) -> None:
        """The key has this value, which it did not get by an event of its own."""
        if due_s := due_at(packed):
            self.keys.note(key, due_s)
        if has_unsent(packed):
            self.unsent.setdefault(key, 0)

    def opener(self, buffer: BaselineBuffer) -> Callable[[str, bytes | None], Baseline]:
        """What opens a baseline on the buffer for an event of its key."""
        if self.away is None:
            return buffer.open

        def open_excused(key: str, packed: bytes | None) -> Baseline:
            baseline = buffer.open(key, packed)
            if isinstance(baseline, WorkflowBaseline):
                self.excuse(baseline)
            return baseline

        return open_excused

    def excuse(self, baseline: WorkflowBaseline) -> None:
        """What was due while nobody took anything in is not missed: to be called before an event of the key."""
        away, due_s = self.away, baseline.due_s
        if away is None or not due_s or due_s * 1000 > away.until_ms:
            return
        if runs := self._rules.excuse(baseline, *away, self._config):
            self.expected_runs += runs
            self.first_expected_ms = min(self.first_expected_ms or due_s * 1000, due_s * 1000)

    # -- what is due ---------------------------------------------------------------------------------------------

    def find(self, key: str, now_ms: int, checkpoint: int) -> bool:
        """Decide what is due of a key whose minute has passed. True if something was found.

        Args:
            now_ms: all that was published before it is applied.
            checkpoint: the first one that holds what is found.
        """
        packed = self.peek(key)
        if packed is None or not (due_s := due_at(packed)):
            return False
        if due_s * 1000 > now_ms:
            self.keys.note(key, due_s)
            return False
        if (baseline := self._open(key)) is None:
            return False
        found = self._rules.due(baseline, now_ms, self._config)
        if found:
            self._rules.mark_unsent(baseline)
            self.unsent[key] = checkpoint
            self.census_wanted = True
        self._partition.put(key, baseline.pack())
        if baseline.due_s:
            self.keys.note(key, max(baseline.due_s, now_ms // 1000))
        return bool(found)

    def take_safe(self, completed: int) -> list[tuple[str, list[Anomaly]]]:
        """Alerts that a checkpoint holds, by key: they are to be sent now, and are marked as sent.

        Args:
            completed: the last checkpoint whose changes are all safe.
        """
        taken = []
        for key in [key for key, checkpoint in self.unsent.items() if checkpoint <= completed]:
            del self.unsent[key]
            if (baseline := self._open(key)) is None:
                continue
            taken.append((key, self._rules.unsent(baseline, self._config)))
            self._rules.mark_sent(baseline)
            self._partition.put(key, baseline.pack())
        return taken

    # -- for a census --------------------------------------------------------------------------------------------

    def read(self, key: str) -> WorkflowBaseline | None:
        """The baseline, not to be changed."""
        packed = self.peek(key)
        return None if packed is None else self._unpack(key, packed)

    def sources(self) -> set[str]:
        """Those of which an event came since the partition is ours."""
        return {source or PLAIN_SOURCE for source in self.newest_ms}

    def forget_sources(self, most: int) -> None:
        """Keep those whose events are newest."""
        newest = self.newest_ms
        for source in sorted(newest, key=newest.__getitem__)[: max(0, len(newest) - most)]:
            del newest[source]

    def newest_of(self, source: str) -> int:
        """When the newest event of a source came since the partition is ours; 0: none did."""
        newest = self.newest_ms.get(source, 0)
        return max(newest, self.newest_ms.get(None, 0)) if source == PLAIN_SOURCE else newest

    # -- values --------------------------------------------------------------------------------------------------

    def peek(self, key: str) -> bytes | None:
        """The packed baseline, which stays where it is; None where there is none."""
        partition = self._partition
        if key in partition.deleted:
            return None
        if (value := partition.live.get(key)) is not None:
            return value
        written = partition.packed.get(key.encode())
        return payload_of(written) or None if written is not None else None

    def _open(self, key: str) -> WorkflowBaseline | None:
        """None where the key has no baseline any more, or bytes that the next event of it reports."""
        packed = self._partition.get(key)
        return None if packed is None else self._unpack(key, packed)

    def _unpack(self, key: str, packed: bytes) -> WorkflowBaseline | None:
        try:
            baseline: Baseline = self._buffer.open(key, packed)
        except Exception:  # as `PartitionStates.open`
            return None
        return baseline if isinstance(baseline, WorkflowBaseline) else None
