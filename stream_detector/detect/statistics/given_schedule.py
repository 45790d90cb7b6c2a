"""When the next run is due where a rule gives it (EXPECT_RULES), in place of what was learned.

The rule says when a run starts and how much later it is due. Where only the ends of runs are known, an event comes as
much later as the run takes and as its delivery takes: those two are learned, as upper quantiles.
"""

from typing import Final, Protocol

from librt.strings import BytesWriter, read_f32_le, write_f32_le
from mypy_extensions import i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import f32, put_u16, put_u32, u16, u32
from stream_detector.detect.statistics.schedule.schedule import MOST_EXCUSED, RETIRED_AFTER, Missed

_UP: Final = 0.05
_DOWN: Final = 0.05 * 0.01 / 0.99
"""So that both follow their 99 % quantiles."""
_MOST: Final = 0xFFFF
_SIZE: Final = 29


class Rule(Protocol):
    """What is expected (`timing_rules.Expectation`). Times are epoch seconds, 0 where there is none."""

    @property
    def interval_s(self) -> int:
        """The next run starts so long after the last one; 0: at given times."""

    def next_after(self, at_s: int) -> tuple[int, int]:
        """The first usual start after a time, and when it is due by the rule."""

    def next_after_run(self, start_s: int) -> tuple[int, int]:
        """The same of what is expected after a run that started then."""


@mypyc_attr(acyclic=True)
class GivenSchedule:
    """Of one workflow under a rule. All times are epoch seconds.

    Attributes:
        rule: a hash of the rule.
        usual_s, due_s: of the run that is expected next; 0: none is.
        told_s: the usual start of the last run that is missed, 0 once one has come.
        missed: how many are, in a row.
        asked, served: how many runs were expected, and how many of them came.
        run_s, delay_s: upper quantiles of durations and delivery delays.
    """

    __slots__ = ("asked", "delay_s", "due_s", "missed", "rule", "run_s", "served", "told_s", "usual_s")

    def __init__(self) -> None:
        self.rule: i64 = 0
        self.usual_s: i64 = 0
        self.due_s: i64 = 0
        self.told_s: i64 = 0
        self.missed: i64 = 0
        self.asked: i64 = 0
        self.served: i64 = 0
        self.run_s: float = 0.0
        self.delay_s: float = 0.0

    def begin(self, rule: Rule, code: i64, after_s: i64, last_s: i64) -> None:
        """Go by a rule from now on.

        Args:
            code: the rule's hash.
            after_s: since when it holds.
            last_s: when the last run started; 0 where there was none.
        """
        self.rule, self.missed, self.told_s, self.asked, self.served = code, 0, 0, 0, 0
        found = rule.next_after_run(int(last_s)) if last_s else rule.next_after(int(after_s))
        if found[0] and found[1] + self._tails() <= after_s:
            found = rule.next_after(int(after_s))
        self._expect(found)

    def _tails(self) -> int:
        return int(self.run_s + self.delay_s)

    def _expect(self, found: tuple[int, int]) -> None:
        usual_s, due_s = found
        self.usual_s = usual_s
        self.due_s = due_s + self._tails() if usual_s else 0

    def _as_now(self, rule: Rule) -> tuple[int, int]:
        """The run that is expected next, by the rule as it is now."""
        return rule.next_after(int(self.usual_s) - (rule.interval_s or 1)) if self.usual_s else (0, 0)

    def note(self, rule: Rule, start_s: i64, run_s: float, delay_s: float) -> i64:
        """Take one run. Returns the usual start of the missed run that it is, come late, else 0."""
        self.run_s, self.delay_s = _tail(self.run_s, run_s), _tail(self.delay_s, delay_s)
        after = rule.next_after_run(int(start_s))
        came: i64 = 0
        if self.told_s:
            following = rule.next_after(int(self.told_s))[0]
            is_late = start_s < following if rule.interval_s else after[0] <= following
            if is_late and after[0] > self.told_s:
                came = self.told_s
                self.served = min(self.served + 1, _MOST)
        if not came and after[0] > self.usual_s:
            self.asked, self.served = min(self.asked + 1, _MOST), min(self.served + 1, _MOST)
        if after[0] > self.told_s:
            self.told_s = self.missed = 0
        self._expect(after if after[0] > self.usual_s else self._as_now(rule))
        return came

    def due(self, rule: Rule, now_s: i64) -> list[Missed]:
        """The runs that are missed by now, oldest first; after three in a row nothing more is due."""
        found: list[Missed] = []
        if self.due_s and self.due_s <= now_s:  # its grace period may be another one by now
            self._expect(self._as_now(rule))
        while self.due_s and self.due_s <= now_s:
            self.missed += 1
            self.asked = min(self.asked + 1, _MOST)
            self.told_s = self.usual_s
            found.append(Missed(int(self.usual_s), int(self.due_s), int(self.missed)))
            if self.missed >= RETIRED_AFTER:
                self.due_s = 0
            else:
                self._expect(rule.next_after(int(self.usual_s)))
        return found

    def excuse(self, rule: Rule, until_s: i64) -> int:
        """Take the runs that were due by then for neither come nor missed. Returns how many they are."""
        count = 0
        while self.due_s and self.due_s <= until_s:
            count += 1
            self._expect(rule.next_after(int(self.usual_s if count < MOST_EXCUSED else until_s)))
        return count

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 29 bytes."""
        for number in (self.rule, self.usual_s, self.due_s, self.told_s):
            put_u32(w, number)
        put_u16(w, self.asked)
        put_u16(w, self.served)
        w.append(u8(self.missed))
        write_f32_le(w, self.run_s)
        write_f32_le(w, self.delay_s)

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on; returns where it ends."""
        self.rule, self.usual_s = u32(packed, at), u32(packed, at + 4)
        self.due_s, self.told_s = u32(packed, at + 8), u32(packed, at + 12)
        self.asked, self.served = u16(packed, at + 16), u16(packed, at + 18)
        self.missed = i64(packed[at + 20])
        self.run_s, self.delay_s = read_f32_le(packed, at + 21), read_f32_le(packed, at + 25)
        return at + _SIZE


def _tail(tail: float, value: float) -> float:
    """Follow an upper quantile: up at once, down little by little."""
    return f32(value if value >= tail else tail - _DOWN * tail)
