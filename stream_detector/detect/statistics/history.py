"""The last executions of one workflow, ordered by when they finished: what profile `classic` judges by."""

from array import array
from bisect import bisect_left, bisect_right
from typing import Final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64, mypyc_attr, u8

DURATIONS: Final = 30
"""Executions whose durations make mean and spread (W20)."""
OUTCOMES: Final = 40
"""The failure spike compares the last 10 outcomes, the current one among them, with up to 30 before them."""
WINDOW_MS: Final = 30 * 86_400_000
"""An execution more than 30 days older than the event counts no more (W19)."""
_BEFORE_FIRST_MS: Final = 31 * 86_400_000
_ALL: Final = (1 << OUTCOMES) - 1
_HEAD: Final = 18


@mypyc_attr(acyclic=True)
class History:
    """Finish times (ms after `base_ms`), raw durations in s (0 means not recorded), outcomes (bit 0 is the newest)."""

    __slots__ = ("base_ms", "durations", "outcomes", "times")

    def __init__(self) -> None:
        self.base_ms = 0
        self.times = array("I")
        self.durations = array("d")
        self.outcomes = 0

    def add(self, finished_ms: int, failed: bool, duration_s: float) -> None:
        """Put one execution in its place; the oldest beyond 40 leaves."""
        after = finished_ms - self.base_ms
        if not 0 <= after <= 0xFFFFFFFF:
            after = self._move_base(finished_ms)
        times, durations = self.times, self.durations
        if not times or after >= times[-1]:
            times.append(after)
            durations.append(duration_s)
            self.outcomes = (self.outcomes << 1 | failed) & _ALL
        else:
            self._insert(after, failed, duration_s)
        if len(times) > OUTCOMES:
            del times[0]
        if len(durations) > DURATIONS:
            del durations[0]

    def _insert(self, after: int, failed: bool, duration_s: float) -> None:
        at = bisect_right(self.times, after)
        newer = len(self.times) - at
        below = (1 << newer) - 1
        self.outcomes = ((self.outcomes >> newer << 1 | failed) << newer | self.outcomes & below) & _ALL
        if len(self.durations) >= newer:
            self.durations.insert(len(self.durations) - newer, duration_s)
        self.times.insert(at, after)

    def _move_base(self, finished_ms: int) -> int:
        base_ms = finished_ms - _BEFORE_FIRST_MS
        moved = base_ms - self.base_ms
        gone = bisect_left(self.times, moved)
        self.times = array("I", [time - moved for time in self.times[gone:]])
        kept = len(self.times)
        self.durations = self.durations[-kept:] if kept else array("d")
        self.outcomes &= (1 << kept) - 1
        self.base_ms = base_ms
        return _BEFORE_FIRST_MS

    def rewind(self, at_ms: int) -> None:
        """Date no execution after `at_ms`."""
        base_ms = min(self.base_ms, at_ms - _BEFORE_FIRST_MS)
        moved = self.base_ms - base_ms
        self.times = array("I", [min(time + moved, at_ms - base_ms) for time in self.times])
        self.base_ms = base_ms

    def within(self, finished_ms: int) -> int:
        """How many of the kept executions are at most 30 days older than `finished_ms`."""
        times = self.times
        oldest = finished_ms - WINDOW_MS - self.base_ms
        if not times or times[0] >= oldest:
            return len(times)
        return len(times) - bisect_left(times, oldest)

    def recorded(self, counted: int) -> array:  # type: ignore[type-arg]
        """The durations in seconds of the last `counted` executions, at most 30, those not recorded left out."""
        durations = self.durations
        if counted < len(durations):
            durations = durations[len(durations) - counted :]
        return array("d", [d for d in durations if d]) if 0.0 in durations else durations

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 18 bytes, 4 an execution and 8 a duration."""
        write_i64_le(w, self.base_ms)
        w.append(u8(len(self.times)))
        w.append(u8(len(self.durations)))
        write_i64_le(w, self.outcomes)
        w.write(self.times.tobytes())
        w.write(self.durations.tobytes())

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on, if new; returns where it ends."""
        self.base_ms, self.outcomes = read_i64_le(packed, at), read_i64_le(packed, at + 10)
        middle = at + _HEAD + 4 * i64(packed[at + 8])
        end = middle + 8 * i64(packed[at + 9])
        self.times.frombytes(packed[at + _HEAD : middle])
        self.durations.frombytes(packed[middle:end])
        return end
