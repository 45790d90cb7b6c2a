"""A producer's clock that was wrong must not mute a key: its newest event goes back, and what follows from it.

What lies more than an hour before the newest event is late and not judged. An event from a clock that is a year ahead
would so make everything late for a year. Whether that clock was wrong is decided by records and the key's state alone,
so detector, API and replay answer the same whenever they are asked: the newest event carries when its record was
stamped, and `NEEDED` different executions in a row that were stamped more than 10 minutes before that, and lie more
than an hour before it, say that it was ahead. A record's timestamp counts as the event's own time where it is earlier
than that: where it is not believed (absent, 0, in seconds), or is the start of the execution.

The key is judged from the last of them on. What is dated by the wrong clock takes the time of that one. The days, and
the executions of profile `classic`, are lost where time moves on by more than they reach back: those of before a move
of more than `WINDOW_MOVE_MS` are set aside, and taken up again where it goes back to them and they are more.
"""

from typing import Final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64, u8

from stream_detector.detect.baseline import Baseline, ScoreBaseline, WorkflowBaseline
from stream_detector.detect.codec.recent_ids import is_recent, remember
from stream_detector.detect.incident import rewind_incidents
from stream_detector.detect.outcome import LATE_MS
from stream_detector.detect.statistics.days import DAYS, Days

NEEDED: Final = 3
NEEDED_SCORES: Final = 2
"""A score is compared with the one before it alone, and comes seldom."""
CLOCKS_DIFFER_MS: Final = 600_000
"""As between an event and its record (`events.times.FUTURE_MS`)."""
WINDOW_MOVE_MS: Final = 8 * 86_400_000
"""More than between the executions of a weekly workflow."""
_DAY_MS: Final = 86_400_000


def is_newest_wrong(baseline: Baseline, event_hash: i64, at_ms: i64, stamped_ms: i64, needed: i64) -> bool:
    """Whether a late event is the last of so many that say that the newest was ahead of its time; it is noted.

    They must be in order, as those of a working clock are: a history that comes with its last event first says nothing.

    Args:
        event_hash: of the execution, or of the score.
        stamped_ms: the record's timestamp, or the event's own time where that is later.
    """
    if stamped_ms >= baseline.newest_record_ms - CLOCKS_DIFFER_MS:
        baseline.before_newest = b""
        return False
    noted, last_ms = baseline.before_newest, at_ms
    hashes = b""
    if noted and read_i64_le(noted, 0) - at_ms <= LATE_MS:
        hashes, last_ms = noted[8:], max(at_ms, read_i64_le(noted, 0))
    if not is_recent(hashes, event_hash):  # attempts of one execution are one
        hashes = remember(hashes, event_hash)
    w = BytesWriter()
    write_i64_le(w, last_ms)
    w.write(hashes)
    baseline.before_newest = w.getvalue()
    return counted(baseline) >= needed


def advance(baseline: WorkflowBaseline, at_ms: i64, record_ms: i64) -> None:
    """Take an event that is not late: it is the newest where nothing is dated after it."""
    if baseline.before_newest:
        baseline.before_newest = b""
    newest_ms = baseline.newest_ms
    if at_ms > newest_ms:
        if newest_ms and at_ms - newest_ms > WINDOW_MOVE_MS:
            _move_window(baseline, at_ms)
        elif baseline.aside:
            _drop_window(baseline, at_ms)
        baseline.newest_ms = at_ms
        baseline.newest_record_ms = record_ms if record_ms > at_ms else at_ms


def counted(baseline: Baseline) -> i64:
    """How many events in a row say that the newest was ahead of its time."""
    noted = i64(len(baseline.before_newest))
    return noted // 8 - 1 if noted else 0


def go_back(baseline: WorkflowBaseline, at_ms: i64, stamped_ms: i64) -> None:
    """Make an earlier event the newest; everything that is dated later takes its time."""
    moved_ms = baseline.newest_ms - at_ms
    baseline.newest_ms, baseline.newest_record_ms, baseline.before_newest = at_ms, stamped_ms, b""
    baseline.level.rewind(at_ms)
    baseline.evidence.rewind(at_ms)
    if baseline.variant_state is not None:
        baseline.variant_state.rewind(at_ms)
    if baseline.times is not None:
        baseline.times.rewind(at_ms // 1000)
        baseline.set_due()
    rewind_incidents(baseline.incidents, at_ms)
    rewind_incidents(baseline.former, at_ms)
    if moved_ms > WINDOW_MOVE_MS:
        _move_window(baseline, at_ms)
    else:
        _rewind_window(baseline, at_ms)


def go_back_score(baseline: ScoreBaseline, at_ms: i64, stamped_ms: i64) -> None:
    """Make a time before the newest score the newest: its previous score is the last before the gap it lies in, else
    the late one before it. Detection of drifts starts anew."""
    baseline.newest_ms, baseline.newest_record_ms, baseline.before_newest = at_ms, stamped_ms, b""
    before = next((one for one in baseline.earlier if one.at_ms <= at_ms < one.at_ms + one.gap_ms), None)
    baseline.previous = baseline.pending
    if before is not None:
        baseline.previous, baseline.newest_ms = before.score, before.at_ms
    baseline.pending = None
    baseline.earlier = tuple(one for one in baseline.earlier if one.at_ms < baseline.newest_ms)
    baseline.drift.reset()


def _move_window(baseline: WorkflowBaseline, to_ms: i64) -> None:
    """Move days and executions far; they are set aside as they were, and those that were there are taken up again
    where they belong to that time and are more."""
    before, aside, day = _packed_window(baseline), baseline.aside, to_ms // _DAY_MS
    _rewind_window(baseline, to_ms)
    if aside:
        days = Days()
        end = days.fill(aside, 1)
        if 0 <= day - days.day < DAYS:
            days.move_to(day)
            baseline.days.move_to(day)
            if days.outcomes()[0] > baseline.days.outcomes()[0]:
                baseline.days = days
                baseline.forget_executions()
                if aside[0]:
                    baseline.history.fill(aside, end)
    baseline.aside = before


def _drop_window(baseline: WorkflowBaseline, at_ms: i64) -> None:
    """Forget what was set aside once all of it is older than the days reach back."""
    days = Days()
    days.fill(baseline.aside, 1)
    if at_ms // _DAY_MS - days.day >= DAYS:
        baseline.aside = b""


def _rewind_window(baseline: WorkflowBaseline, at_ms: i64) -> None:
    day = at_ms // _DAY_MS
    if day < baseline.days.day:
        baseline.days.move_to(day)
    if baseline.has_executions:
        baseline.history.rewind(at_ms)


def _packed_window(baseline: WorkflowBaseline) -> bytes:
    w = BytesWriter()
    w.append(u8(baseline.has_executions))
    baseline.days.pack(w)
    if baseline.has_executions:
        baseline.history.pack(w)
    return w.getvalue()
