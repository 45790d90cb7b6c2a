"""The baseline of one key: everything that is remembered about a workflow or a scored entity."""

import struct
from decimal import Decimal
from math import fsum, sqrt
from typing import ClassVar, Final, Literal, NamedTuple

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from msgspec import Struct
from mypy_extensions import i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import put_u16, put_u32, u16, u32
from stream_detector.detect.codec.packed import (
    BEFORE_GAP,
    BEFORE_NEWEST,
    CHANGES,
    DRIFT,
    DUE_AT,
    EARLIER,
    EXECUTIONS,
    FROZEN,
    FURTHER_AT,
    HEAD,
    HEAD_3,
    HEAD_4,
    MORE_EVIDENCE,
    MOST_CHANGES,
    RETIRED,
    RUNNING,
    SCORE,
    TIMES,
    UNSENT,
    USUAL_TIME,
    VERSION,
    VERSION_4,
    WORKFLOW,
    PackedError,
    check_kind,
    check_version,
)
from stream_detector.detect.incident import Incidents, has_frozen, pack_incidents, unpack_incidents
from stream_detector.detect.running_state import Running
from stream_detector.detect.statistics.days import Days
from stream_detector.detect.statistics.evidence import Evidence
from stream_detector.detect.statistics.failures import Failures
from stream_detector.detect.statistics.history import History
from stream_detector.detect.statistics.level import WARM, Level
from stream_detector.detect.statistics.page_hinkley import Drift, Fields
from stream_detector.detect.statistics.resources import Resources
from stream_detector.detect.times import Times, resting_in
from stream_detector.detect.variant_state import VariantState

Status = Literal["learning", "normal", "anomalous"]
MULTIPLIER_STEP, MOST_FEEDBACKS = Decimal("0.25"), 8
"""Each feedback "expected" or "not an anomaly" raises the key's gates by a quarter, eight times at most."""
_USUAL = Decimal(1)
MOST_EARLIER: Final = 4
"""Scores before a gap that are kept."""
LEAST_TIMED = 10
"""Fewer recorded durations than these give no z (W6)."""


class NamedBaseline(Struct, frozen=True, gc=False):
    """A mean over `window_size` executions, and their standard deviation."""

    value: float
    std_dev: float
    window_size: int


@mypyc_attr(acyclic=True)
class Baseline:
    """What both kinds have: recent event ids, open incidents, feedback.

    `streak` counts the failures in a row (of a score: 0). `retired` says that the key may be forgotten. `former` are
    the incidents that ended lately, for what they were held against.

    `newest_ms` is the time of the newest event, `newest_record_ms` the timestamp of its record, or its own time where
    that is later. `before_newest` has what the last events are that say that it was ahead of its time: when the last of
    them was (epoch ms), and their hashes, 8 bytes each (`detect/clock.py`).
    """

    __slots__ = (
        *("before_newest", "feedbacks", "former", "ids", "incidents", "key", "newest_ms", "newest_record_ms"),
        *("retired", "streak"),
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.ids: bytes = b""
        self.retired: bool = False
        self.clear()

    def clear(self) -> None:
        """Empty what was learned; recent ids stay, so that nothing is counted twice."""
        self.newest_ms: i64 = 0
        self.newest_record_ms: i64 = 0
        self.before_newest: bytes = b""
        self.streak: i64 = 0
        self.feedbacks: i64 = 0
        self.incidents: Incidents = {}
        self.former: Incidents = {}

    @property
    def threshold_multiplier(self) -> Decimal:
        """What the key's gates are multiplied by: 1 without feedback."""
        return 1 + MULTIPLIER_STEP * int(self.feedbacks) if self.feedbacks else _USUAL

    @property
    def status(self) -> Status:
        """Whether an incident is open, else whether there is enough history to judge by."""
        if self.is_anomalous:
            return "anomalous"
        return "normal" if self.is_warm else "learning"

    @property
    def is_anomalous(self) -> bool:
        """Whether an incident that was reported is open."""
        return any(incident.reported for incident in self.incidents.values())

    @property
    def is_warm(self) -> bool:
        """Whether there is enough history to judge by."""
        raise NotImplementedError

    def pack(self) -> bytes:
        """Versioned bytes; the layout is in `codec/packed`."""
        raise NotImplementedError

    def _pack_head(self, kind: i64, flags: i64, further: i64 = 0, due_s: i64 = 0) -> BytesWriter:
        """What both kinds have.

        Args:
            further: the further flags, which only version 5 has.
            due_s: when something is due, epoch s.
        """
        ids, incidents, former = self.ids, self.incidents, self.former
        if former or (incidents and has_frozen(incidents)):
            flags |= FROZEN
        before_newest = self.before_newest
        if before_newest:
            flags |= BEFORE_NEWEST
        w = BytesWriter()
        w.append(u8(VERSION if further else VERSION_4))
        w.append(u8(kind))
        w.append(u8(flags | RETIRED if self.retired else flags))
        w.append(u8(len(ids) // 8))
        write_i64_le(w, self.newest_ms)
        put_u32(w, self.streak)
        put_u16(w, self.feedbacks)
        put_u16(w, len(incidents) + len(former))
        write_i64_le(w, self.newest_record_ms)
        if further:
            put_u32(w, due_s)
            w.append(u8(further))
        w.write(ids)
        if before_newest:
            w.append(u8(len(before_newest) // 8))
            w.write(before_newest)
        if incidents:
            w.write(pack_incidents(incidents))
        if former:
            w.write(pack_incidents(former, former=True))
        return w

    def fill(self, packed: bytes) -> None:
        """Become what was packed, whatever it was before. Raises `PackedError`."""
        check_version(packed)
        try:
            at = self._fill_rest(packed, self._fill_head(packed))
            if at != len(packed):
                raise ValueError(f"expected {at} bytes, found {len(packed)}")
        except (struct.error, ValueError, ArithmeticError, IndexError) as error:
            raise PackedError(f"truncated or damaged baseline: {error}") from error

    def _fill_head(self, packed: bytes) -> i64:
        """What both kinds have; returns where it ends."""
        self.retired = packed[2] & RETIRED != 0
        self.newest_ms, self.streak, self.feedbacks = read_i64_le(packed, 4), u32(packed, 12), u16(packed, 16)
        version, begin = packed[0], i64(HEAD_3)
        if version >= VERSION_4:
            self.newest_record_ms, begin = read_i64_le(packed, HEAD_3), HEAD if version >= VERSION else HEAD_4
        else:  # it is not known: no event was accepted that was dated later than its record
            self.newest_record_ms = self.newest_ms
        at = begin + 8 * i64(packed[3])
        self.ids = packed[begin:at]
        self.before_newest = b""
        if packed[2] & BEFORE_NEWEST:
            begin, at = at + 1, at + 1 + 8 * i64(packed[at])
            self.before_newest = packed[begin:at]
        incidents = u16(packed, 18)
        if incidents:
            self.incidents, self.former, at = unpack_incidents(packed, at, incidents)
        elif self.incidents or self.former:
            self.incidents, self.former = {}, {}
        return at

    def _fill_rest(self, packed: bytes, at: i64) -> i64:
        """What its kind has besides, from `at` on; returns where it ends."""
        raise NotImplementedError

    def named_baselines(self) -> dict[str, NamedBaseline]:
        """The named baselines; a score has none."""
        return {}

    def shown_baselines(self) -> dict[str, NamedBaseline]:
        """The named baselines as people see them."""
        return self.named_baselines()

    @staticmethod
    def new(key: str) -> "WorkflowBaseline | ScoreBaseline":
        """An empty baseline. Raises `ValueError` for a key of neither kind."""
        if key.startswith((WorkflowBaseline.PREFIX, WorkflowBaseline.VARIANT_PREFIX)):
            return WorkflowBaseline(key)
        if key.startswith(ScoreBaseline.PREFIX):
            return ScoreBaseline(key)
        raise ValueError("a state key begins with workflow:, workflow/<variant>: or score:")

    @staticmethod
    def unpack(key: str, packed: bytes) -> "WorkflowBaseline | ScoreBaseline":
        """The baseline that `pack` gave, to be kept. Raises `PackedError`."""
        baseline = Baseline.new(key)
        baseline.fill(packed)
        return baseline


@mypyc_attr(acyclic=True)
class WorkflowBaseline(Baseline):
    """What is remembered about one workflow: `history` in profile `classic`, `level` and `failures` in `robust`.

    `variant_state` is what the key of a variant has in addition, None where the key names none. `aside` has days and
    history, packed, of before the last large gap (`detect/clock.py`).

    `times` is what is known of when its runs come, None while that is nothing; `rest` is not 0 while nothing of them is
    remembered (`times.resting`). `due_s` is when the next of them is due, or anything else of the key; epoch s, 0 where
    nothing is. `running` has the executions that run, None before the first start.
    """

    PREFIX: ClassVar[str] = "workflow:"
    VARIANT_PREFIX: ClassVar[str] = "workflow/"
    __slots__ = (
        *("_history", "aside", "days", "due_s", "evidence", "failures", "level", "resources", "rest", "times"),
        *("running", "variant_state"),
    )

    def clear(self) -> None:
        """Empty what was learned."""
        super().clear()
        self.days, self.evidence, self.resources = Days(), Evidence(), Resources()
        self._history: History | None = None
        self.aside: bytes = b""
        self.variant_state: VariantState | None = VariantState() if self.key.startswith("workflow/") else None
        self.forget_times()
        self.forget_level()

    def forget_times(self) -> None:
        """Empty what is known of when its runs come: nothing is due."""
        self.times: Times | None = None
        self.rest: i64 = 0
        self.running: Running | None = None
        self.due_s: i64 = 0

    def set_due(self) -> None:
        """Something of the key is due at another time now."""
        due_s = self.times.due_s if self.times is not None else 0
        running_s = self.running.due_s if self.running is not None else 0
        self.due_s = min(due_s, running_s) if due_s and running_s else due_s or running_s

    def forget_level(self) -> None:
        """Empty what profile `robust` judges by."""
        self.level, self.failures = Level(), Failures()

    def with_key(self, key: str) -> "WorkflowBaseline":
        """The same under the key of a variant: it has taken it over."""
        self.key = key
        self.variant_state = VariantState()
        return self

    @property
    def history(self) -> History:
        """The last executions, made when first asked for: profile `robust` has none."""
        if self._history is None:
            self._history = History()
        return self._history

    @property
    def has_executions(self) -> bool:
        """Whether there is anything in `history`."""
        return self._history is not None and len(self._history.times) > 0

    def forget_executions(self) -> None:
        """Empty `history`."""
        self._history = None

    @property
    def is_warm(self) -> bool:
        """Whether there are enough recorded durations for a z."""
        if self.level.n >= WARM:
            return True
        return self.has_executions and len(self.history.recorded(self.history.within(self.newest_ms))) >= LEAST_TIMED

    @property
    def is_anomalous(self) -> bool:
        """Whether an incident that was reported is open, a run is missing, or an execution runs too long."""
        if self.times is not None and self.times.is_missed:
            return True
        return super().is_anomalous or (self.running is not None and self.running.reported > 0)

    def pack(self) -> bytes:
        """Versioned bytes; `fill` gives an equal baseline."""
        executions = self.has_executions
        more, timed = self.evidence.has_more, self.evidence.time.n > 0
        flags: i64 = EXECUTIONS if executions else 0
        if more:
            flags |= MORE_EVIDENCE
        if timed:
            flags |= USUAL_TIME
        aside = self.aside
        if aside:
            flags |= BEFORE_GAP
        times, rest = self.times, self.rest
        further: i64 = TIMES if times is not None or rest else 0
        if times is not None and times.unsent:
            further |= UNSENT
        running = self.running
        if running is not None:
            further |= RUNNING | UNSENT if running.has_unsent else RUNNING
        w = self._pack_head(WORKFLOW, flags, further, self.due_s)
        if self.variant_state is not None:
            self.variant_state.pack(w)
        self.days.pack(w)
        self.evidence.pack(w, more, timed)
        self.resources.pack(w)
        if executions:
            self.history.pack(w)
        if aside:
            put_u16(w, len(aside))
            w.write(aside)
        if times is not None:
            times.pack(w)
        elif rest:
            put_u16(w, rest)
        if running is not None:
            running.pack(w)
        if self.failures.n:
            self.level.pack(w)
            self.failures.pack(w)
            w.append(u8(0))  # calm executions in a row, which an incident counts itself now
        return w.getvalue()

    def _fill_rest(self, packed: bytes, at: i64) -> i64:
        check_kind(packed, WORKFLOW)
        version = packed[0]
        if self.variant_state is not None:
            at = self.variant_state.fill(packed, at)
        at = self.days.fill(packed, at)
        flags = i64(packed[2])
        at = self.evidence.fill(packed, at, flags & MORE_EVIDENCE != 0, flags & USUAL_TIME != 0)
        at = self.resources.fill(packed, at)
        self.forget_executions()
        if packed[2] & EXECUTIONS or version == 1:
            at = self.history.fill(packed, at)
        self.aside = b""
        if flags & BEFORE_GAP:
            begin, at = at + 2, at + 2 + u16(packed, at)
            self.aside = packed[begin:at]
        self.forget_times()
        if version >= VERSION:
            at = self._fill_times(packed, at)
        if at == len(packed) or version == 1:
            self.forget_level()
        if at < len(packed):
            at = self.level.fill_1(packed, at) if version == 1 else self.level.fill(packed, at)
            at = self.failures.fill(packed, at)
            at += 1
        return at

    def _fill_times(self, packed: bytes, at: i64) -> i64:
        self.due_s = u32(packed, DUE_AT)
        if packed[FURTHER_AT] & TIMES:
            self.rest = resting_in(packed, at)
            if self.rest:
                at += 2
            else:
                self.times = Times()
                at = self.times.fill(packed, at)
        if packed[FURTHER_AT] & RUNNING:
            self.running = Running()
            at = self.running.fill(packed, at)
        return at

    def named_baselines(self) -> dict[str, NamedBaseline]:
        """`failure_rate`, `success_rate` (shares of 1) and `execution_time` (seconds) over 30 days (W17 to W19)."""
        count, failures, timed, mean, squares = self.days.totals()
        rate = failures / count if count else 0.0
        deviation = sqrt(rate * (1 - rate) * count / (count - 1)) if count > 1 else 0.0
        return {
            "failure_rate": NamedBaseline(rate, deviation, count),
            "execution_time": NamedBaseline(mean, sqrt(squares / (timed - 1)) if timed > 1 else 0.0, timed),
            "success_rate": NamedBaseline(1.0 - rate if count else 0.0, deviation, count),
        }

    def shown_baselines(self) -> dict[str, NamedBaseline]:
        """As people see them: `execution_time` is what the next duration is compared with.

        In `classic` these are the last 30 durations; in `robust` it is the level, half of its upper two sigma as the
        deviation. The mean of 30 days is named `execution_time_30_days`; it stands for both where neither judges yet.
        """
        named = self.named_baselines()
        month = named["execution_time"]
        return named | {"execution_time": self._compared_time(month), "execution_time_30_days": month}

    def _compared_time(self, otherwise: NamedBaseline) -> NamedBaseline:
        if self.has_executions:
            times = self.history.recorded(self.history.within(self.newest_ms))
            n = len(times)
            if n:
                mean = fsum(times) / n
                squares = fsum([(time - mean) ** 2 for time in times])
                is_flat = n < 2 or min(times) == max(times)
                return NamedBaseline(times[0] if is_flat else mean, 0.0 if is_flat else sqrt(squares / (n - 1)), n)
        elif self.level.n >= WARM:
            _, expected, upper = self.level.expected_range(self.newest_ms)
            return NamedBaseline(expected, (upper - expected) / 2, int(self.level.n))
        return otherwise


class EarlierScore(NamedTuple):
    """A score, when it was, and how long after it the next one came (ms)."""

    at_ms: int
    gap_ms: int
    score: Decimal


@mypyc_attr(acyclic=True)
class ScoreBaseline(Baseline):
    """What is remembered about one scored entity: its last score, and the drift since the last significant change.

    `earlier` are scores before the largest gaps for how long ago they were, the oldest first; `pending` is the last
    late score that says that the newest was ahead of its time (`detect/clock.py`).
    """

    PREFIX: ClassVar[str] = "score:"
    __slots__ = ("changes", "drift", "earlier", "pending", "previous")

    def clear(self) -> None:
        """Empty what was learned."""
        super().clear()
        self.previous: Decimal | None = None
        self.drift = Drift()
        self.earlier: tuple[EarlierScore, ...] = ()
        self.pending: Decimal | None = None
        self.changes: tuple[float, ...] = ()
        """The sizes of its last moves from score to score, 30 at most, the newest last; in single precision."""

    def pack(self) -> bytes:
        """Versioned bytes; `fill` gives an equal baseline."""
        changes, earlier = self.changes, self.earlier
        w = self._pack_head(SCORE, (CHANGES if changes else 0) | (BEFORE_GAP if earlier else 0))
        if self.before_newest:
            pending = str(self.pending).encode()
            w.append(u8(len(pending)))
            w.write(pending)
        test, digits = self.drift.fields, b"" if self.previous is None else str(self.previous).encode()
        sums = test.rise, test.fall, test.least, test.most
        w.write(DRIFT.pack(test.n, test.mean, self.drift.scale, *sums, len(digits)))
        w.write(digits)
        if changes:
            w.write(struct.pack(f"<B{len(changes)}f", len(changes), *changes))
        if earlier:
            w.append(u8(len(earlier)))
            for one in earlier:
                digits = str(one.score).encode()
                w.write(EARLIER.pack(one.at_ms, one.gap_ms, len(digits)) + digits)
        return w.getvalue()

    def remember_change(self, size: float) -> None:
        """A move of the score; the oldest of 30 goes."""
        (kept,) = struct.unpack("<f", struct.pack("<f", size))
        self.changes = (*self.changes[1 - MOST_CHANGES :], kept)

    def remember_gap(self, to_ms: int) -> None:
        """The next score lies at `to_ms`; of five gaps the one goes that is the least for how long ago it was."""
        if self.previous is None or to_ms <= self.newest_ms:
            return
        known = [*self.earlier, EarlierScore(int(self.newest_ms), int(to_ms - self.newest_ms), self.previous)]
        if len(known) > MOST_EARLIER:
            known.remove(min(known[:-1], key=lambda one: one.gap_ms / (to_ms - one.at_ms)))
        self.earlier = tuple(known)

    def _fill_rest(self, packed: bytes, at: i64) -> i64:
        check_kind(packed, SCORE)
        self.pending = None
        if packed[2] & BEFORE_NEWEST:
            begin, at = at + 1, at + 1 + i64(packed[at])
            self.pending = Decimal(packed[begin:at].decode())
        n, mean, self.drift.scale, *sums, digits = DRIFT.unpack_from(packed, at)
        self.drift.fields = Fields(n, mean, *sums)
        at += DRIFT.size + digits
        self.previous = Decimal(packed[at - digits : at].decode()) if digits else None
        self.changes = ()
        if packed[2] & CHANGES:
            count = i64(packed[at])
            self.changes = struct.unpack_from(f"<{count}f", packed, at + 1)
            at += 1 + 4 * count
        return self._fill_earlier(packed, at)

    def _fill_earlier(self, packed: bytes, at: i64) -> i64:
        earlier: list[EarlierScore] = []
        if packed[2] & BEFORE_GAP:
            left, at = i64(packed[at]), at + 1
            while left > 0:
                at_ms, gap_ms, size = EARLIER.unpack_from(packed, at)
                begin, at = at + EARLIER.size, at + EARLIER.size + size
                earlier.append(EarlierScore(at_ms, gap_ms, Decimal(packed[begin:at].decode())))
                left -= 1
        self.earlier = tuple(earlier)
        return at

    @property
    def is_warm(self) -> bool:
        """Whether there is a score to compare with."""
        return self.previous is not None
