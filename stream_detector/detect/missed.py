"""Runs that did not come: what was due, what has come, and the ends of what was reported.

Arrival decides when a run is missing: the time at which the next event of the key came, or that of the clock. An event
that is older than what is usual for its source says only what was missing until its own time, since others like it may
follow: a history that is published today has no run that is missing today. For the same reason nothing that was due
before the newest event arrived is missing afterwards: it was decided then, or could not be.
"""

from typing import Final

from msgspec import Struct
from mypy_extensions import i64

from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.codec.binary import f32
from stream_detector.detect.codec.recent_ids import is_retry
from stream_detector.detect.config import Config
from stream_detector.detect.incident import Incident
from stream_detector.detect.rules import missed_run
from stream_detector.detect.rules.missed_run import About, Comer
from stream_detector.detect.statistics.given_schedule import GivenSchedule
from stream_detector.detect.statistics.schedule.schedule import RETIRED_AFTER, Missed, Schedule
from stream_detector.detect.statistics.schedule_text import ScheduleView, describe
from stream_detector.detect.times import Miss, Times, is_at_rest, rested_of, resting
from stream_detector.detect.variant_state import is_of_branches
from stream_detector.events import Anomaly, Completion, Start
from stream_detector.events.anomaly import EndReason
from stream_detector.events.ids import SEPARATOR, derived_id
from stream_detector.events.times import FUTURE_MS, epoch_ms
from stream_detector.events.variant import key_parts
from stream_detector.timing_rules import OFF, Expectation

_SLACK_S: Final = 900
"""An event may come so much later than others usually do, and still says what was due before it arrived."""
_LONGEST_S: Final = 1e8
_KNOWN_IDS: Final = 16
"""In bytes: of a key with one execution no times are kept, since most of those never run again."""
_OFF: Final = "its runs are not watched any more (CLOCK, EXPECT_RULES)"


class Arrival(Struct, frozen=True, gc=False):
    """An execution or its start, and when it came.

    Attributes:
        own_ms, arrival_ms: the time that the event is about, and when it arrived; epoch ms.
        is_backfill: it is learned, and nothing is reported.
        is_late: it is too old to say anything.
        is_known: its start was noted before.
        ids: of the last events before it.
    """

    event: Completion | Start
    own_ms: int
    arrival_ms: int
    is_backfill: bool = False
    is_late: bool = False
    is_known: bool = False
    ids: bytes = b""


def _rule_of(baseline: WorkflowBaseline, times: Times, config: Config) -> Expectation | None:
    """By what a key is watched while no event is there: a rule, None for what is learned; `OFF`: it is not watched."""
    workflow_id = key_parts(baseline.key).entity_id
    if not config.for_key(workflow_id, times.labels).has_clock:
        return OFF
    return config.expectation(workflow_id, times.labels) if config.expect_rules else None


def follow_rule(baseline: WorkflowBaseline, times: Times, rule: Expectation | None, now_s: i64) -> None:
    """Go by the rule that holds now, or by what is learned, where it was otherwise before."""
    given = times.given
    if rule is None:
        if given is not None:
            times.given, times.rule, times.since_s = None, 0, 0
            _refresh(baseline, times)
        return
    code = rule.code
    if given is not None and given.rule == code:
        return
    times.given, schedule = GivenSchedule(), times.schedule
    if schedule is not None:
        times.given.run_s, times.given.delay_s, times.schedule = f32(schedule.run_s), f32(schedule.delay_s), None
    times.given.begin(rule, code, times.since_s if times.rule == code else now_s, times.last_s)
    _refresh(baseline, times)


# -- what is due -----------------------------------------------------------------------------------------------------


def due_missed(baseline: WorkflowBaseline, now_ms: int, config: Config) -> list[Anomaly]:
    """Decide which runs that were due up to now are missing; each is reported once."""
    times = baseline.times
    if times is None:
        return []
    times.fresh = 0
    now_s = now_ms // 1000
    if baseline.due_s > now_s:  # that of the key: nothing else may be due either
        return []
    rule = _rule_of(baseline, times, config)
    if rule is OFF or (rule is None and times.given is not None):
        return _give_up(baseline, config, now_ms, _OFF, "operator")
    follow_rule(baseline, times, rule, now_s)
    _excuse(baseline, times, rule, min(times.live_s, now_s))
    return _decide(baseline, times, rule, now_s, config)


def _decide(
    baseline: WorkflowBaseline, times: Times, rule: Expectation | None, now_s: int, config: Config, report: bool = True
) -> list[Anomaly]:
    """What is missing by now."""
    while times.due_s and times.due_s <= now_s:
        usual_s, due_s = times.usual_s, times.due_s
        for one in _next_missed(times, rule):
            if report:
                _note_miss(baseline.key, times, Miss(int(usual_s), int(due_s)), one.in_a_row)
        _refresh(baseline, times)
    baseline.set_due()
    return _anomalies(baseline, times, config, times.fresh) if times.fresh else []


def _next_missed(times: Times, rule: Expectation | None) -> list[Missed]:
    """Decide about the run that is due next."""
    schedule, given = times.schedule, times.given
    if given is not None and rule is not None:
        return given.due(rule, given.due_s)
    return schedule.due(schedule.due_s) if schedule is not None else []


def _note_miss(key: str, times: Times, miss: Miss, in_a_row: int) -> None:
    if not times.misses:
        times.incident_id = missed_run.id_of(key, miss.due_s)
    times.misses.append(miss)
    times.retired = in_a_row >= RETIRED_AFTER and len(times.misses) > 1
    times.fresh += 1


def _refresh(baseline: WorkflowBaseline, times: Times) -> None:
    """Take over when the next run is due; each feedback gives it a quarter more time."""
    schedule, given = times.schedule, times.given
    times.usual_s = times.due_s = 0
    if given is not None:
        times.usual_s, times.due_s = given.usual_s if given.due_s else 0, given.due_s
    elif schedule is not None and schedule.due_s:
        times.usual_s, times.due_s = schedule.usual_s, schedule.due_s
    if baseline.feedbacks and times.due_s:
        more = float(baseline.threshold_multiplier) - 1.0
        times.due_s += i64(int(more * float(times.due_s - times.usual_s)))


def refresh_missed(baseline: WorkflowBaseline) -> None:
    """After a decision of a person: the next run may be due at another time."""
    if baseline.times is not None:
        _refresh(baseline, baseline.times)
        baseline.set_due()


def excuse_missed(baseline: WorkflowBaseline, from_ms: int, to_ms: int, config: Config) -> int:
    """Nothing was taken in meanwhile: what was due then is not missing. Returns how many runs were expected in it."""
    times = baseline.times
    if times is None or not times.due_s or times.due_s <= from_ms // 1000:
        return 0
    rule = _rule_of(baseline, times, config)
    count = 0 if rule is OFF else _excuse(baseline, times, rule, to_ms // 1000)
    baseline.set_due()
    return count


def _excuse(baseline: WorkflowBaseline, times: Times, rule: Expectation | None, until_s: int) -> int:
    if not times.due_s or times.due_s > until_s:
        return 0
    schedule, given = times.schedule, times.given
    count = 0
    if given is not None and rule is not None:
        count = given.excuse(rule, until_s)
    elif schedule is not None:
        count = schedule.excuse(until_s)
    _refresh(baseline, times)
    return count


# -- what has come ---------------------------------------------------------------------------------------------------


def due_before(baseline: WorkflowBaseline, arrival: Arrival, config: Config) -> list[Anomaly]:
    """What was missing before an event of the key came."""
    times = baseline.times
    if times is None:
        return []
    times.fresh = 0
    if arrival.is_late or not times.due_s:
        return []
    is_behind = arrival.arrival_ms - arrival.own_ms > 1000 * (_delay_s(times) + _SLACK_S)
    if not is_behind and not arrival.is_backfill:
        return due_missed(baseline, arrival.arrival_ms, config)
    rule = _rule_of(baseline, times, config)
    if rule is OFF or (rule is None) != (times.given is None):
        return []
    return _decide(baseline, times, rule, arrival.own_ms // 1000, config, report=not arrival.is_backfill)


def _delay_s(times: Times) -> float:
    if times.given is not None:
        return times.given.delay_s
    return times.schedule.delay_s if times.schedule is not None else 0.0


def note_run(baseline: WorkflowBaseline, arrival: Arrival, config: Config) -> list[Anomaly]:
    """Learn when a run came; the end of what was reported as missing.

    A branch, or the pull request of one, has no times of its own.

    Args:
        config: that of this execution; its clock is on.
    """
    event = arrival.event
    if event.variant is not None and is_of_branches(event.variant):
        return []
    rule = config.expectation(event.workflow_id, event.labels) if config.expect_rules else None
    if rule is OFF:
        return _give_up(baseline, config, arrival.arrival_ms, _OFF, "operator")
    if is_at_rest(baseline.rest) and rule is None:
        baseline.rest -= isinstance(event, Completion)
        return []
    times, is_noted = baseline.times, arrival.is_known
    if times is None:
        times, is_noted = _begin(baseline, arrival, rule is not None), False  # there was nothing to note its start in
        if times is None:
            return []
    follow_rule(baseline, times, rule, arrival.arrival_ms // 1000)
    found: list[Anomaly] = []
    start_s = _start_ms(event) // 1000
    is_wrong = start_s * 1000 > arrival.arrival_ms + FUTURE_MS or start_s <= 0
    is_known = is_noted and not times.by_end
    if not (arrival.is_late or is_known or is_wrong or _is_repeated(times, arrival, start_s)):
        found = _take(baseline, times, arrival, rule, start_s, config)
    times.live_s = max(times.live_s, arrival.arrival_ms // 1000)
    _refresh(baseline, times)
    baseline.set_due()
    return found


def _begin(baseline: WorkflowBaseline, arrival: Arrival, has_rule: bool) -> Times | None:
    """The part of a key whose second run this is, or that has rested for long enough."""
    if isinstance(arrival.event, Start) or (len(baseline.ids) < _KNOWN_IDS and not has_rule):
        return None
    times, rest = Times(), baseline.rest
    times.known_s = times.live_s = arrival.arrival_ms // 1000
    if not has_rule:
        times.schedule = Schedule()
        times.schedule.rested = int(rested_of(rest)) if rest else 0
    baseline.times, baseline.rest = times, 0
    return times


def _start_ms(event: Completion | Start) -> i64:
    """When it started; of an end whose times are one, by its duration."""
    start_ms = epoch_ms(event.started_at)
    if isinstance(event, Completion) and event.started_at == event.finished_at:
        duration_s = event.duration_s
        if isinstance(duration_s, float) and 0.0 < duration_s <= _LONGEST_S:
            return start_ms - i64(int(1000 * duration_s))
    return start_ms


def _is_repeated(times: Times, arrival: Arrival, start_s: i64) -> bool:
    """Whether it is a further attempt of the last run, or its start was noted already."""
    event = arrival.event
    if event.execution_id == times.last_id:
        return True
    if event.attempt > 1 and is_retry(arrival.ids, event.execution_id, event.attempt):
        return True
    if times.by_end:  # its start says nothing
        return isinstance(event, Start)
    return times.schedule is not None and times.schedule.has_start(start_s)


def _take(
    baseline: WorkflowBaseline, times: Times, arrival: Arrival, rule: Expectation | None, start_s: i64, config: Config
) -> list[Anomaly]:
    """One more run has come."""
    event, schedule, given = arrival.event, times.schedule, times.given
    delay_s = max(0.0, (arrival.arrival_ms - arrival.own_ms) / 1000)
    if arrival.is_backfill or arrival.own_ms < 1000 * times.known_s:
        # What lies before the key was known says nothing about how long its events take: it was sent as a history.
        delay_s = min(delay_s, _delay_s(times))
    own_s = i64(arrival.own_ms // 1000)
    about = _about(baseline, times, config) if times.is_missed else None  # by the run, all may be learned anew
    regular_s, came_s = start_s, i64(0)
    if given is None and isinstance(event, Completion):
        regular_s = times.note_both(start_s, own_s)
    run_s = max(0.0, float(own_s - regular_s))
    if given is not None and rule is not None:
        came_s = given.note(rule, regular_s, run_s, delay_s)
    else:
        if schedule is None:
            schedule = times.schedule = Schedule()
        came_s = i64(schedule.note(int(regular_s), run_s, delay_s))
    found: list[Anomaly] = []
    if times.misses and regular_s >= times.misses[0].usual_s - _SLACK_S:
        if about is not None and not arrival.is_backfill:
            # In a history its own time counts, as in all that is found of it.
            at_s = own_s if own_s >= times.misses[-1].due_s else i64(arrival.arrival_ms // 1000)
            comer = Comer(event.execution_id, _event_id(event), int(start_s), int(regular_s), int(at_s))
            found = [missed_run.ended(about, comer, int(came_s))]
        times.end_misses()
    if schedule is not None and schedule.rests:
        found += _give_up(baseline, config, arrival.arrival_ms, "it runs at no regular times any more", "superseded")
        baseline.rest = resting(schedule.rested, schedule.wait)
    else:
        _keep(times, event, start_s)
    return found


def _event_id(event: Completion | Start) -> str:
    return f"{event.execution_id}{SEPARATOR}{event.attempt}"


def _keep(times: Times, event: Completion | Start, start_s: i64) -> None:
    """What a message about the next run would name; nothing while no run is expected."""
    if not times.has_schedule:
        times.last_id, times.last_s, times.name, times.source, times.labels, times.seen = "", 0, "", "", {}, b""
        return
    if start_s < times.last_s:
        return
    times.last_id, times.last_s = event.execution_id, start_s
    name = event.workflow_name
    times.name = name if name and name != event.workflow_id else ""
    times.source = event.source or ""
    times.keep_labels(event.labels)


# -- what goes out ---------------------------------------------------------------------------------------------------


def view_of(baseline: WorkflowBaseline, config: Config) -> ScheduleView | None:
    """The schedule of a key in words; None where there is none."""
    times = baseline.times
    if times is None:
        return None
    given = times.given
    if given is None:
        found = describe(times.schedule) if times.schedule is not None else None
        return found._replace(usual_s=int(times.usual_s), due_s=int(times.due_s)) if found is not None else None
    rule = config.expectation(key_parts(baseline.key).entity_id, times.labels)
    text = rule.text if rule is not None else "as EXPECT_RULES had it"
    expected = int(given.asked - given.missed)
    return ScheduleView(text, min(int(given.served), expected), expected, int(times.usual_s), int(times.due_s))


def _about(baseline: WorkflowBaseline, times: Times, config: Config) -> About:
    view = view_of(baseline, config) or ScheduleView("at times that it has given up", 0, 0, 0, 0)
    config = config.for_key(key_parts(baseline.key).entity_id, times.labels)
    return About(baseline.key, times, view, times.given is not None, config.profile)


def _anomalies(baseline: WorkflowBaseline, times: Times, config: Config, newest: i64) -> list[Anomaly]:
    """Of so many of the newest misses."""
    about, count = _about(baseline, times, config), len(times.misses)
    return [missed_run.missed(about, place) for place in range(count - newest, count)]


def unsent_missed(baseline: WorkflowBaseline, config: Config) -> list[Anomaly]:
    """What the clock has found and is still to be sent, with the same ids."""
    times = baseline.times
    return _anomalies(baseline, times, config, times.unsent) if times is not None and times.unsent else []


def mark_missed_unsent(baseline: WorkflowBaseline) -> None:
    """What was found by the last look is to be sent, once a checkpoint holds it."""
    times = baseline.times
    if times is not None:
        times.unsent, times.fresh = min(times.unsent + times.fresh, len(times.misses)), 0


def mark_missed_sent(baseline: WorkflowBaseline) -> None:
    """What was to be sent is acknowledged."""
    if baseline.times is not None:
        baseline.times.unsent = 0


# -- ends that no run makes ------------------------------------------------------------------------------------------


def forget_missed(baseline: WorkflowBaseline, config: Config, at_ms: int) -> list[Anomaly]:
    """Nothing of a key's times is watched any more, by its profile or CLOCK."""
    return _give_up(baseline, config, at_ms, _OFF, "operator")


def _give_up(baseline: WorkflowBaseline, config: Config, at_ms: int, why: str, end_reason: EndReason) -> list[Anomaly]:
    """Forget the times of a key; the end of what was open."""
    times = baseline.times
    found: list[Anomaly] = []
    if times is not None and times.is_missed:
        found = [_given_up(baseline, times, config, at_ms, why, end_reason)]
    baseline.times, baseline.rest = None, 0
    baseline.set_due()
    return found


def _given_up(
    baseline: WorkflowBaseline, times: Times, config: Config, at_ms: int, why: str, end_reason: EndReason
) -> Anomaly:
    own_id = derived_id(missed_run.NAME, baseline.key, times.incident_id, end_reason)
    return missed_run.given_up(_about(baseline, times, config), at_ms, why, own_id, end_reason)


def open_missed(baseline: WorkflowBaseline) -> list[Incident]:
    """The incident of the runs that are missing."""
    times = baseline.times
    if times is None or not times.is_missed:
        return []
    return [Incident(times.incident_id, 1000 * times.misses[0].due_s, "warning", True)]


def close_missed(baseline: WorkflowBaseline, incident_id: str | None) -> None:
    """A person has closed an incident, or all of them; the next run that is missing opens another one."""
    times = baseline.times
    if times is not None and times.is_missed and incident_id in (None, times.incident_id):
        times.end_misses()
