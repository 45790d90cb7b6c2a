"""One workflow's schedule: each run is noted, and what has not come is asked for."""

from typing import Final, NamedTuple

from mypy_extensions import i64, mypyc_attr

from stream_detector.detect.statistics.schedule.expected import (
    due_of,
    early_of,
    has_late_run,
    has_run,
    hour_offset,
    is_edge,
    pending_of,
    usual_before,
)
from stream_detector.detect.statistics.schedule.following import (
    came_late,
    follow,
    follow_shift,
    follow_tails,
    mark_hour,
)
from stream_detector.detect.statistics.schedule.learned import (
    DAILY,
    HOUR,
    INTERVAL,
    LEAST_RUNS,
    Learned,
)
from stream_detector.detect.statistics.schedule.learning import is_trusted, learn

RETIRED_AFTER: Final = 3
_MEMORY: Final = 60.0
MOST_EXCUSED: Final = 2_000
"""After so many, all that are older are: what ran every five minutes a year ago would take a second."""


class Missed(NamedTuple):
    """A run that did not come: when it usually starts and when it was due, epoch s; the how manyth in a row."""

    usual_s: int
    due_s: int
    in_a_row: int


@mypyc_attr(acyclic=True)
class Schedule(Learned):
    """The learned times of one workflow, and what is due by them."""

    __slots__ = ()

    @property
    def usual_s(self) -> i64:
        """When the run usually starts that is due next; 0 where none is."""
        return pending_of(self) if self.due_s else 0

    def note(self, start_s: i64, run_s: float, delay_s: float) -> i64:
        """Take one run. Returns the usual start of the missed run that it is, come late, else 0.

        Args:
            start_s: epoch s.
            run_s: how long it ran.
            delay_s: how long after its end its event arrived.
        """
        if self.rests:
            self.wait -= 1
            if self.wait <= 0:
                self.rests, self.wait = False, LEAST_RUNS
            return 0
        follow_tails(self, run_s, delay_s)
        if self.kind and self.has_hours:
            mark_hour(self, start_s)
        self.remember(start_s)
        came = came_late(self, start_s) if self.reported_s else i64(0)
        self.wait -= 1
        if self.wait <= 0 and learn(self) and self.has_hours and not self.since_hour:
            for start in self.starts():
                mark_hour(self, start)
        if self.kind:
            follow(self, start_s)
            if self.due_s == 0:
                self.missed = 0
                self.settled_s = max(self.settled_s, usual_before(self, start_s))
            self._advance()
        return came

    def due(self, now_s: i64) -> list[Missed]:
        """The runs that are missed by now, oldest first; after three in a row nothing more is due."""
        found: list[Missed] = []
        while self.due_s and self.due_s <= now_s:
            slot = pending_of(self)
            due_s = self.due_s = due_of(self, slot) if slot else 0
            if not slot or due_s > now_s:
                break
            if has_run(self, slot) or (self.kind == INTERVAL and has_late_run(self, slot)):
                self._settle(slot, True)
            else:
                is_reported = is_trusted(self) and self.asked >= self._least_asked()
                at_edge = self.missed > 0 and self._is_at_edge(slot)
                self._settle(slot, False)
                if not at_edge:
                    self.missed += 1
                    if is_reported:
                        found.append(Missed(int(slot), int(due_s), int(self.missed)))
                        self.reported_s = slot
                if self.missed >= RETIRED_AFTER:
                    self.due_s = 0
                    break
            slot = pending_of(self)
            self.due_s = due_of(self, slot) if slot else 0
        return found

    def excuse(self, until_s: i64) -> i64:
        """Take the runs that were due by then for neither come nor missed. Returns how many they are."""
        count: i64 = 0
        while self.due_s and self.due_s <= until_s:
            slot = pending_of(self)
            if slot and due_of(self, slot) <= until_s:
                if has_run(self, slot):
                    self._settle(slot, True)
                else:
                    count += 1
                    self.settled_s = slot if count < MOST_EXCUSED else until_s
                slot = pending_of(self)
            self.due_s = due_of(self, slot) if slot else 0
        return count

    def _advance(self) -> None:
        """Settle what has come; set when the next run is due."""
        latest = self.newest + self.tolerance_s
        slot = pending_of(self)
        while slot and has_run(self, slot):
            self._settle(slot, True)
            if slot > latest:
                break
            slot = pending_of(self)
        self.due_s = due_of(self, slot) if slot else 0

    def _settle(self, slot: i64, came: bool) -> None:
        self.settled_s = slot
        asked, served = self.asked, self.served
        if asked >= _MEMORY:
            asked -= asked / _MEMORY
            served -= served / _MEMORY
        if came:
            if self.kind == DAILY and len(self.times) > 1:
                follow_shift(self, slot)
            elif self.kind != INTERVAL:
                self.votes = 0
            self.came_s = slot
            self.missed = self.reported_s = 0
        self.set_shares(asked + 1.0, served + 1.0 if came else served)

    def _least_asked(self) -> float:
        """So many runs must have been expected before one is missed."""
        return 32.0 if self.kind == INTERVAL else 8.0 if self.has_hours else 4.0

    def _is_at_edge(self, slot: i64) -> bool:
        """Whether it is in the first or last hour in which it runs: more misses there may be hours that have moved."""
        return self.kind == INTERVAL and is_edge(self, (slot - hour_offset(self) + early_of(self)) // HOUR)
