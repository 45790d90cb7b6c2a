"""A run that did not come: learned times, or a rule of EXPECT_RULES, say that it should have.

Unlike the other rules it judges no execution: there is none. It is asked what was due (`detect/missed.py`), and the
anomaly names the workflow and, in place of an execution, the last one that came.
"""

from typing import Final

from msgspec import Struct

from stream_detector.detect import wording
from stream_detector.detect.due_anomaly import above, due_anomaly
from stream_detector.detect.statistics.schedule_text import ScheduleView
from stream_detector.detect.statistics.tails import UNKNOWN
from stream_detector.detect.times import Miss, Times
from stream_detector.events import Anomaly, Metrics, Profile
from stream_detector.events.anomaly import EndReason, State
from stream_detector.events.anomaly_types import Severity
from stream_detector.events.ids import derived_id
from stream_detector.events.variant import key_parts

NAME: Final = "missed_run"
_ON_TIME_S: Final = 900


class About(Struct, frozen=True, gc=False):
    """What a run that did not come is described by.

    Attributes:
        key: the state key.
        times: of the key.
        view: of its schedule.
        by_rule: the schedule is that of a rule, not a learned one.
    """

    key: str
    times: Times
    view: ScheduleView
    by_rule: bool
    profile: Profile

    @property
    def workflow_id(self) -> str:
        """The workflow's."""
        return key_parts(self.key).entity_id

    @property
    def name(self) -> str:
        """What people call it."""
        return self.times.name or self.workflow_id


class Comer(Struct, frozen=True, gc=False):
    """The run that ends an incident: its id, the id of its event, when it started, the time that its schedule goes by
    (its start, or its end) and when it ended the incident; epoch s."""

    execution_id: str
    event_id: str
    start_s: int
    regular_s: int
    at_s: int


def id_of(key: str, due_s: int) -> str:
    """The same run has the same id however often, and by whomever, it is found to be missing."""
    return derived_id(NAME, key, str(due_s))


def missed(about: About, place: int) -> Anomaly:
    """The anomaly of the miss at `place` of the row: the first opens the incident, the last one may retire it."""
    times = about.times
    miss, is_last = times.misses[place], times.retired and place == len(times.misses) - 1
    own_id = id_of(about.key, miss.due_s) if place else times.incident_id
    if is_last and place:
        return _anomaly(
            *(about, own_id, "resolved", "info", 1000 * miss.due_s, _retired(about)),
            steps=_steps_when_retired(about),
            gates=_gates(about, miss),
            metrics=_runs(len(times.misses)),
            end_reason="retired",
            lasted_s=float(miss.due_s - times.misses[0].due_s),
        )
    state: State = "ongoing" if place else "opened"
    return _anomaly(
        *(about, own_id, state, "warning", 1000 * miss.due_s, _missing(about, miss, place + 1)),
        steps=_steps(about),
        gates=_gates(about, miss),
        metrics=_runs(place + 1, about.view),
    )


def ended(about: About, comer: Comer, came_s: int) -> Anomaly:
    """The end of an incident by the run that came.

    Args:
        came_s: the usual start of the missed run that it is; 0: it is another one.
    """
    times, start = about.times, wording.instant(1000 * comer.start_s)
    first = times.misses[0]
    late_s = comer.regular_s - came_s
    if not came_s:
        due = wording.instant(1000 * times.misses[-1].due_s)
        text = f"{about.name} runs again: {comer.execution_id} started {start}; the run due by {due} did not come"
        steps = [f"See why the run due by {due} did not come: the next one did"]
    elif late_s > _ON_TIME_S:
        text = f"{about.name} came {wording.duration(late_s)} late: {comer.execution_id} started {start}"
        steps = [f"Nothing to do: execution {comer.execution_id} has come"]
    else:
        known = wording.duration(max(comer.at_s - times.misses[-1].due_s, 0))
        text = (
            f"{about.name} came: {comer.execution_id} started on time, {start}; its event came {known} after it was due"
        )
        steps = [f"See whether the run took long, or what delays the events{_of_source(times)}"]
    return _anomaly(
        *(
            about,
            derived_id(NAME, about.key, comer.event_id, "ended"),
            "resolved",
            "info",
            1000 * comer.at_s,
            text,
        ),
        steps=steps,
        gates=[f"{comer.execution_id} started {start}; it usually {_verb(times.by_end)} {about.view.text}"],
        metrics=above(float(max(late_s, 0)), 0.0, "s") if came_s else _runs(0),
        end_reason="recovered" if came_s else "superseded",
        lasted_s=max(0.0, float(comer.at_s - first.due_s)),
        execution_id=comer.execution_id,
    )


def given_up(about: About, at_ms: int, why: str, own_id: str, end_reason: EndReason) -> Anomaly:
    """The end of an incident of which nobody waits for the run any more: the state was retired, the clock put off."""
    first = about.times.misses[0]
    return _anomaly(
        *(about, own_id, "resolved", "info", at_ms, f"{about.name} is no longer waited for: {why}"),
        steps=["Look at the newest executions of this workflow"],
        gates=[why],
        metrics=_runs(len(about.times.misses)),
        end_reason=end_reason,
        lasted_s=max(0.0, at_ms / 1000 - first.due_s),
    )


def describe(view: ScheduleView, by_rule: bool, by_end: bool = False) -> str:
    """When it runs and by when the next run is due, in words.

    >>> describe(ScheduleView("weekdays 02:00 to 02:04 UTC", 31, 31, 1_767_232_800, 1_767_234_000), False)
    'usually starts weekdays 02:00 to 02:04 UTC; 31 of 31 came; next due by 2026-01-01 02:20 UTC'
    """
    how = f"expected {view.text} (EXPECT_RULES)" if by_rule else f"usually {_verb(by_end)} {view.text}"
    due = f"next due by {wording.instant(1000 * view.due_s)}" if view.due_s else "no run is due"
    return f"{how}; {view.came} of {view.expected} came; {due}"


def _verb(by_end: bool) -> str:
    return "ends" if by_end else "starts"


def _anomaly(
    about: About,
    own_id: str,
    state: State,
    severity: Severity,
    at_ms: int,
    description: str,
    *,
    steps: list[str],
    gates: list[str],
    metrics: Metrics,
    end_reason: EndReason | None = None,
    lasted_s: float | None = None,
    execution_id: str = "",
) -> Anomaly:
    times = about.times
    return due_anomaly(
        about.key,
        about.name,
        execution_id or times.last_id,
        at_ms,
        id=own_id,
        incident_id=times.incident_id,
        state=state,
        anomaly_type="PatternDeviation",
        severity=severity,
        description=description,
        metrics=metrics,
        investigation_steps=steps,
        gates=gates,
        detector=NAME,
        profile=about.profile,
        duration_s=lasted_s,
        end_reason=end_reason,
        labels=times.labels,
        source=times.source or None,
    )


def _runs(missing: int, view: ScheduleView | None = None) -> Metrics:
    """How many runs are missing where none should; `confidence` is the share of those expected that came until then."""
    confidence = (view.came + 1) / (view.expected + 2) if view is not None else UNKNOWN
    return above(float(missing), 0.0, "missed runs", confidence)


def _missing(about: About, miss: Miss, in_a_row: int) -> str:
    due = wording.instant(1000 * miss.due_s)
    again = f" again, {in_a_row} times in a row now" if in_a_row > 1 else ""
    what = "come" if about.times.by_end else "start"
    return f"{about.name} did not {what}{again}: {_usually(about)} and was due by {due}; {_last(about.times)}"


def _usually(about: About) -> str:
    view = about.view
    if about.by_rule:
        return f"it is expected {view.text}"
    return f"it usually {_verb(about.times.by_end)} {view.text} ({view.came} of {view.expected} runs came)"


def _last(times: Times) -> str:
    if not times.last_s:
        since = f", and is expected since {wording.instant(1000 * int(times.since_s))}" if times.since_s else ""
        return f"it has never been seen{since}"
    last = f"{times.last_id} on " if times.last_id else ""
    return f"the last run was {last}{wording.instant(1000 * int(times.last_s))}"


def _retired(about: About) -> str:
    times = about.times
    since = f"since {wording.instant(1000 * int(times.last_s or times.since_s))}"
    return (
        f"{about.name} has not come {since}: {len(times.misses)} runs in a row are missing. It is taken for retired:"
        " nothing more is reported until it runs"
    )


def _gates(about: About, miss: Miss) -> list[str]:
    view = about.view
    usually = f"usually {_verb(about.times.by_end)} {view.text}"
    return [
        f"expected {view.text} (EXPECT_RULES)" if about.by_rule else usually,
        f"{view.came} of {view.expected} expected runs came before",
        f"usual start {wording.instant(1000 * miss.usual_s)}, due by {wording.instant(1000 * miss.due_s)}",
    ]


def _of_source(times: Times) -> str:
    return f" of {times.source}" if times.source else ""


def _steps(about: About) -> list[str]:
    times = about.times
    source = f" in {times.source}" if times.source else ""
    steps = [f"See whether {about.name} is still enabled{source}, and whether its scheduler and its host run"]
    if times.last_id:
        steps.append(f"Look at execution {times.last_id}, the last one that came")
    else:
        steps.append("See whether its events reach this system: none has ever come")
    if about.by_rule:
        steps.append("If it is not expected any more, change its rule in EXPECT_RULES")
    else:
        steps.append(
            "If it was stopped on purpose, retire it; if its times have changed, they are learned by its next runs"
        )
    return steps


def _steps_when_retired(about: About) -> list[str]:
    return [
        f"If {about.name} should still run, start it: it has missed {len(about.times.misses)} runs",
        "If it was stopped on purpose, there is nothing to do",
    ]
