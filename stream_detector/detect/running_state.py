"""The running executions of one workflow, as its baseline keeps them: when each began, and when it has run too long.

A start is noted until its end, which names the same execution. Sources repeat and reorder both: a start that comes
twice is one, the start of what has ended is none, an end without a start is the normal case.

Each has a base, from which its time is counted: its start plus what ends of this workflow take to arrive, so that no
run is taken to hang because its source is read once an hour. Where its start arrives after its limit, it has a minute
for its end to follow, as after an outage of whoever sends. By its limit after the base it has run too long, by twice
the limit it is critical. A limit that is not given is learned, and asked for
again when its time comes: what was learned meanwhile counts.
"""

import struct
from math import exp, log
from typing import Any, Final
from zlib import crc32

from librt.strings import BytesWriter, read_f32_le, read_i16_le, write_f32_le, write_i16_le
from msgspec import json
from mypy_extensions import i16, i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import f32, put_u16, put_u32, u16, u32
from stream_detector.detect.statistics.level import Q
from stream_detector.detect.statistics.limit import Longest
from stream_detector.detect.statistics.readings import GRID, numbers, on_grid

MOST: Final = 16
"""So many running executions of a workflow are watched; more are counted."""
FORGOTTEN_AFTER: Final = 10.0
"""Times the usual: the end of a run that has taken longer was lost, or never comes. One that was reported stays until
its end, for as long as there is a place for it."""
MOST_LIMITS: Final = 3.0
"""Times its limit: not before."""
MOST_S: Final = 30 * 86_400.0
"""Nothing is kept for longer."""
ENDED: Final = 32
"""Ends of runs that can end again under one number that are remembered, 8 bytes each."""

QUIET, WARNED, CRITICAL, OVER = 0, 1, 2, 3
"""Stages of a running execution: nothing reported; at its limit; at twice; forgotten, and the end is to be sent."""

OPENED, ONGOING, RESOLVED = 1, 2, 4
"""Bits of the messages about one: its opening, at twice its limit, the end of what is forgotten."""

_STAGE: Final = 3
_CLOSED: Final = 4
_OFF: Final = 8
_GIVEN: Final = 16
_ROBUST: Final = 1
_ENTRY: Final = struct.Struct("<qfIIBBH")
_MOST_ABOUT: Final = 600
_STALE: Final = 8
_RISE_TIMES, _RISE_S = 4.0, 600.0
_DECAY: Final = 0.01
_MARGIN: Final = 1.2
"""Delays follow their maximum, which sinks by a hundredth a run, and a fifth more is waited. One that is much longer
than all before it counts in steps: an outage of whoever sends must not blind the workflow for weeks."""
_MOST_DELAY_S: Final = 7_200.0
"""What arrives later is history that is published now, or comes after an outage: it says nothing of the next one."""
_FOLLOWS_S: Final = 60.0


@mypyc_attr(acyclic=True)
class Execution:
    """A running execution, in 24 bytes and its id.

    Attributes:
        start_ms: when it began, by its start.
        base_s: from when on its time counts, epoch s.
        limit_s: given, or frozen when it was reported; 0 where it is to be learned.
        given: the limit came with the start, or by a setting.
        off: it is never reported, only its start is remembered.
        closed: a person has closed what was reported.
        stage: what was reported of it; `fresh` and `unsent` have a bit for each message: found just now, not packed;
            found by the clock, and not acknowledged yet.
    """

    __slots__ = (
        *("attempt", "base_s", "closed", "fresh", "given", "id", "limit_s", "off", "stage", "start_ms", "unsent"),
    )

    def __init__(self, execution_id: str, attempt: i64, start_ms: i64, base_s: i64, limit_s: float) -> None:
        self.id, self.attempt, self.start_ms, self.base_s = execution_id, attempt, start_ms, base_s
        self.limit_s: float = f32(limit_s)
        self.given: bool = limit_s > 0.0
        self.off: bool = False
        self.closed: bool = False
        self.stage: i64 = QUIET
        self.fresh: i64 = 0
        self.unsent: i64 = 0

    @property
    def is_reported(self) -> bool:
        """Whether an incident of it is open."""
        return (self.stage == WARNED or self.stage == CRITICAL) and not self.closed

    def due_s(self, stage: i64, limit_s: float) -> i64:
        """When that stage is reported by a limit, epoch s."""
        return self.base_s + whole_s(limit_s * (2.0 if stage == CRITICAL else 1.0))

    def pack(self) -> bytes:
        """24 bytes and its id."""
        raw = self.id.encode()
        flags = int(self.stage) | (_CLOSED if self.closed else 0) | (_OFF if self.off else 0)
        flags |= _GIVEN if self.given else 0
        fields = int(self.start_ms), self.limit_s, int(self.base_s), int(self.attempt)
        return _ENTRY.pack(*fields, flags, int(self.unsent), len(raw)) + raw


@mypyc_attr(acyclic=True)
class Running:
    """The running executions of a workflow that has starts, and what is learned of it for their limits.

    Attributes:
        executions: `MOST` at most; `unwatched` counts more.
        due_s: when one of them is reported or forgotten next, epoch s; 0 for none.
        robust: whether the workflow is judged by profile `robust`.
        delay_s: nearly the longest time from an end to its arrival.
        longest: of the last 80 to 120 executions; `capped` is the number of the last one that counts as its limit.
        limit_s, usual_s: what was learned when it was last asked, `stale` executions ago; 0.0 while these are too few.
        ended: of the last runs that can end again under one number a hash of it (4 bytes) and when it ended (4).
        about: what they have in common for the one who reads of them: name, labels, source and link.
    """

    __slots__ = (
        *("about", "capped", "delay_s", "due_s", "ended", "executions", "limit_s", "longest", "robust", "stale"),
        *("unwatched", "usual_s"),
    )

    def __init__(self) -> None:
        self.executions: list[Execution] = []
        self.unwatched: i64 = 0
        self.due_s: i64 = 0
        self.robust: bool = True
        self.delay_s: float = 0.0
        self.longest = Longest()
        self.capped: i64 = 0
        self.limit_s: float = 0.0
        self.usual_s: float = 0.0
        self.stale: i64 = 0
        self.ended: bytes = b""
        self.about: dict[str, Any] = {}

    @property
    def has_unsent(self) -> bool:
        """Whether the clock has found what is still to be sent."""
        return any(one.unsent for one in self.executions)

    @property
    def reported(self) -> int:
        """How many of them run for longer than their limit."""
        return sum(one.is_reported for one in self.executions)

    def find(self, execution_id: str) -> Execution | None:
        """The one with that id."""
        for one in self.executions:
            if one.id == execution_id and one.stage != OVER:
                return one
        return None

    def drop(self, one: Execution) -> None:
        """It runs no more."""
        self.executions.remove(one)
        if not self.executions:
            self.unwatched, self.about = 0, {}

    def settle(self) -> None:
        """What was found before was found: only what the clock's task has marked is to be sent."""
        for one in list(self.executions):
            one.fresh = 0
            if one.stage == OVER and not one.unsent:
                self.drop(one)

    def share(self, about: dict[str, Any]) -> None:
        """A start came: what it says of itself, as far as all that run say the same."""
        known = self.about
        if not self.executions or not known:
            self.about = about
            return
        labels, others = about["labels"], known["labels"]
        common = {name: value for name, value in labels.items() if others.get(name) == value}
        url = about["url"] if about["url"] == known["url"] else None
        self.about = about | {"labels": common, "url": url}

    def note_delay(self, delay_s: float) -> None:
        """An end took so long to arrive."""
        known = self.delay_s
        if delay_s > _MOST_DELAY_S:
            return
        found = min(max(delay_s, 0.0), _RISE_TIMES * known + _RISE_S)
        self.delay_s = f32(max(found, known - _DECAY * (known - found)))

    def base_of(self, start_ms: i64, arrival_ms: i64, limit_s: float) -> i64:
        """From when on the time of a run counts, epoch s: a clock that is ahead lets no run begin after its arrival.

        Args:
            limit_s: given with the start, 0.0 where it is learned.
        """
        limit_s = limit_s or self.limit_s
        base_ms = min(start_ms, arrival_ms) + i64(_MARGIN * self.delay_s * 1000.0)
        if limit_s > 0.0:
            base_ms = max(base_ms, arrival_ms - i64(max(limit_s - _FOLLOWS_S, 0.0) * 1000.0))
        return (base_ms + 999) // 1000

    def note_ended(self, run: str, finished_s: i64) -> None:
        """A run has ended that may do so again under its number."""
        w = BytesWriter()
        w.write(self.ended[-8 * (ENDED - 1) :])
        put_u32(w, crc32(run.encode()))
        put_u32(w, finished_s)
        self.ended = w.getvalue()

    def has_ended(self, run: str, start_s: i64) -> bool:
        """Whether a run has ended under that number since then."""
        hashed: i64 = crc32(run.encode())
        for at in range(0, len(self.ended), 8):
            if u32(self.ended, at) == hashed and u32(self.ended, at + 4) >= start_s:
                return True
        return False

    @property
    def is_stale(self) -> bool:
        """Whether the limit is to be learned again: it takes 30 us, and one execution more or less moves it little."""
        return self.limit_s <= 0.0 or self.stale >= _STALE

    def learn(self, duration_s: float, limit_s: float) -> None:
        """One more execution with a duration has ended; it counts up to its limit, 0.0 for none."""
        if 0.0 < limit_s < duration_s:
            duration_s = limit_s
            self.capped = on_grid(log(limit_s + Q))
        self.longest.add(duration_s)
        self.stale = min(self.stale + 1, 0xFF)

    def take_limit(self, usual: "UsualRun") -> None:
        """What is usual was learned again."""
        self.limit_s, self.usual_s, self.stale = usual.limit_s, f32(usual.usual_s), 0

    def forgotten_after_s(self, limit_s: float) -> float:
        """How long after its base a run is forgotten, in seconds: ten times the usual, thrice its limit; 30 d at most.

        While too few executions are known, 30 days.
        """
        if self.limit_s <= 0.0:
            return MOST_S
        return min(max(FORGOTTEN_AFTER * self.usual_s, MOST_LIMITS * limit_s), MOST_S)

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 30 bytes and 8 an end in `ended`; with running executions `about` and these."""
        kept = [one for one in self.executions if one.stage != OVER or one.unsent]
        w.append(u8(len(kept)))
        w.append(u8(self.unwatched))
        w.append(u8(_ROBUST if self.robust else 0))
        put_u32(w, self.due_s)
        write_f32_le(w, self.delay_s)
        write_f32_le(w, self.limit_s)
        write_f32_le(w, self.usual_s)
        w.append(u8(self.stale))
        write_i16_le(w, i16(self.capped))
        self.longest.pack(w)
        w.append(u8(len(self.ended) // 8))
        w.write(self.ended)
        if kept:
            about = _bounded(self.about)
            put_u16(w, len(about))
            w.write(about)
            for one in kept:
                w.write(one.pack())

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on, if new; returns where it ends."""
        count, self.unwatched, flags = i64(packed[at]), i64(packed[at + 1]), i64(packed[at + 2])
        self.robust = flags & _ROBUST != 0
        self.due_s, self.delay_s = u32(packed, at + 3), read_f32_le(packed, at + 7)
        self.limit_s, self.usual_s = read_f32_le(packed, at + 11), read_f32_le(packed, at + 15)
        self.stale = i64(packed[at + 19])
        self.capped = i64(read_i16_le(packed, at + 20))
        at = self.longest.fill(packed, at + 22)
        begin, at = at + 1, at + 1 + 8 * i64(packed[at])
        self.ended = packed[begin:at]
        if count:
            begin, at = at + 2, at + 2 + u16(packed, at)
            self.about = json.decode(packed[begin:at])
        for _ in range(count):
            start_ms, limit_s, base_s, attempt, bits, unsent, size = _ENTRY.unpack_from(packed, at)
            begin, at = at + _ENTRY.size, at + _ENTRY.size + size
            if at > len(packed):
                raise ValueError("the id of a running execution is cut off")
            one = Execution(packed[begin:at].decode(), attempt, start_ms, base_s, limit_s)
            one.stage, one.unsent = bits & _STAGE, unsent
            one.closed, one.off, one.given = bits & _CLOSED != 0, bits & _OFF != 0, bits & _GIVEN != 0
            self.executions.append(one)
        return at


def _bounded(about: dict[str, Any]) -> bytes:
    """As JSON of at most `_MOST_ABOUT` bytes: the link goes first, then the largest labels, then the name is cut."""
    packed = json.encode(about)
    if len(packed) <= _MOST_ABOUT:
        return packed
    kept = about | {"url": None}
    labels: dict[str, str] = dict(about["labels"])
    while len(packed := json.encode(kept | {"labels": labels})) > _MOST_ABOUT and labels:
        del labels[max(labels, key=lambda name: len(name) + len(labels[name]))]
    if len(packed) > _MOST_ABOUT:
        packed = json.encode(kept | {"labels": {}, "name": kept["name"][:64]})
    return packed


@mypyc_attr(acyclic=True)
class UsualRun:
    """What is known of how long a workflow runs: the median (s), the longest (s) of `runs`, and the learned limit (s).

    `usual_s` and `limit_s` are 0.0 while too few executions are known. `is_capped`: the longest took longer, and counts
    as its limit.
    """

    __slots__ = ("is_capped", "limit_s", "longest_s", "runs", "usual_s")

    def __init__(self, readings: bytes, longest: Longest, limit_s: float, capped: i64 = 0) -> None:
        known = sorted(numbers(readings))
        self.is_capped: bool = capped != 0 and capped == longest.reading
        self.runs: int = int(longest.count)
        self.longest_s: float = seconds_of(int(longest.reading)) if self.runs else 0.0
        self.usual_s: float = seconds_of(known[len(known) // 2]) if known else 0.0
        self.limit_s: float = f32(limit_s)


def seconds_of(reading: int) -> float:
    """The middle of what lies on one place of the grid of `readings`, in seconds."""
    return exp((reading + 0.5) / GRID) - Q


def whole_s(seconds: float) -> i64:
    """Rounded up.

    >>> whole_s(2.0), whole_s(2.1)
    (2, 3)
    """
    whole = i64(seconds)
    return whole if float(whole) >= seconds else whole + 1
