"""One execution: score it against the workflow's baseline, then learn it."""

from typing import Final

from msgspec import UNSET
from msgspec.structs import replace
from mypy_extensions import i64

from stream_detector.detect import anomaly, clock, due, investigation, running, wording
from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.codec.crc32 import crc32_of
from stream_detector.detect.codec.recent_ids import (
    RECENT_IDS,
    WITH_STARTS,
    hash_of_id,
    is_recent,
    is_retry,
    remember,
    remember_uncounted,
)
from stream_detector.detect.config import Config
from stream_detector.detect.finding import Finding
from stream_detector.detect.incident import Incident, age_former, remember_ended, take_up
from stream_detector.detect.judge import COUNTS, RECOVERS, REPEATS, judge
from stream_detector.detect.outcome import APPLIED, BACKFILLED, DUPLICATE, IGNORED, LATE, LATE_MS, Outcome
from stream_detector.detect.rules import consecutive_failures, pattern_deviation, shared, spike_in_failures
from stream_detector.detect.times import REST_RUNS
from stream_detector.detect.variant_state import LABEL, is_of_branches
from stream_detector.events import Anomaly, Completion, State
from stream_detector.events.anomaly_types import SEVERITIES, TYPES
from stream_detector.events.completion import COUNTED, FAILED, recorded_duration_s
from stream_detector.events.times import epoch_ms

_DAY_MS: Final = 86_400_000
_LONGEST_S: Final = 1e12
_LAST_3: Final = 0b111
_STREAK: Final = (consecutive_failures.NAME, 0)
_SPIKE: Final = (spike_in_failures.NAME, 0)
_ALWAYS: Final = shared.ALWAYS
_REST_RUNS: Final = REST_RUNS
_COUNTED: Final = COUNTED
_FAILED: Final = FAILED
_UNSET: Final = UNSET
"""Names of this module: a compiled function finds them in 2 ns, and those of another, uncompiled one in 40."""


def step_completion(
    baseline: WorkflowBaseline,
    event: Completion,
    config: Config,
    record_ms: int | None,
    backfill: bool,
    explain: list[str] | None,
) -> Outcome:
    """Judge and learn one execution, in this order."""
    # 1. Known already?
    event_hash = hash_of_id(event.execution_id, event.attempt)
    if is_recent(baseline.ids, event_hash):
        return DUPLICATE
    ids = baseline.ids
    if config.profile_rules:
        config = config.for_execution(event)
    finished_ms = epoch_ms(event.finished_at)
    # 2. What was due before it came, and what of it ends by it?
    has_clock, rest = config.has_clock, baseline.rest
    if baseline.running is None:
        baseline.ids = remember(ids, event_hash)
        is_at_rest = rest & _REST_RUNS and not config.expect_rules
        if is_at_rest if has_clock else not rest and baseline.times is None:  # by far the most
            baseline.rest = rest - 1 if has_clock else 0
            return _judged(baseline, event, config, record_ms, backfill, explain, ids, event_hash, finished_ms, False)
    else:
        baseline.ids = remember(ids, event_hash, WITH_STARTS)
    event, own, was_reported = due.before_completion(baseline, event, config, ids, finished_ms, record_ms, backfill)
    judged = _judged(baseline, event, config, record_ms, backfill, explain, ids, event_hash, finished_ms, was_reported)
    if explain is not None:
        due.explain_times(baseline, config, explain)
    if baseline.running is not None:
        running.refresh(baseline)
    return Outcome(judged.kind, [*own, *judged.anomalies]) if own else judged


def _judged(
    baseline: WorkflowBaseline,
    event: Completion,
    config: Config,
    record_ms: int | None,
    backfill: bool,
    explain: list[str] | None,
    ids: bytes,
    event_hash: i64,
    finished_ms: i64,
    was_reported: bool,
) -> Outcome:
    """The rest of it; `baseline.ids` has the event already, `ids` those before it."""
    # 3. One that counts in nothing?
    status = event.status
    if status not in _COUNTED:
        _remember_uncounted(baseline, ids, event_hash)
        if explain is not None:
            explain.append(f"{status} counts in no rate, streak or duration")
        return IGNORED
    # 4. When was it?
    behind_ms = baseline.newest_ms - finished_ms
    corrected: Finding | None = None
    if behind_ms > LATE_MS:
        corrected = _corrected(baseline, event, finished_ms, record_ms, explain)
        if corrected is None:
            _remember_uncounted(baseline, ids, event_hash)
            return _late(baseline, event, config, finished_ms, behind_ms, explain)
    else:
        clock.advance(baseline, finished_ms, -1 if record_ms is None else record_ms)
    baseline.retired = False
    failed = status in _FAILED
    duration_s = _timed_s(event, config)
    by_robust = config.profile == "robust"
    attempt: i64 = COUNTS
    if by_robust and event.attempt > 1:
        attempt = _of_attempt(baseline, ids, event, failed, explain)
    _count(baseline, event, failed, finished_ms, attempt)
    # 5. Score.
    findings, ended = judge(baseline, event, finished_ms, failed, duration_s, by_robust, attempt, explain)
    if event.resources or event.steps or baseline.days.may_spike() or _ALWAYS:
        more, more_ended = shared.judge(baseline, event, failed, explain)
        if more and findings:
            more = pattern_deviation.without_repeats(more, findings)
        findings, ended = [*findings, *more], [*ended, *more_ended]
    if was_reported:
        findings = running.without_reported(findings, explain)
    if corrected is not None:
        findings = [corrected, *findings]
    live = not backfill
    anomalies = _open(baseline, event, config, finished_ms, findings, live) if findings else ()
    if ended:
        anomalies = [*anomalies, *_end(baseline, event, config, ended)]
    # 6. Learn.
    _learn(baseline, event, finished_ms, failed, duration_s, by_robust, attempt)
    if backfill:
        return BACKFILLED
    return Outcome("applied", anomalies) if anomalies else APPLIED


def _remember_uncounted(baseline: WorkflowBaseline, ids: bytes, event_hash: i64) -> None:
    """Of an event that counts in no rate; the last id then still says whose attempt the next event may be."""
    if baseline.failures.n:  # profile `robust`
        most = WITH_STARTS if baseline.running is not None else RECENT_IDS
        baseline.ids = remember_uncounted(ids, event_hash, most)


def _of_attempt(
    baseline: WorkflowBaseline, ids: bytes, event: Completion, failed: bool, explain: list[str] | None
) -> i64:
    """Profile `robust` counts executions: what a further attempt of the last one means for its outcome.

    It is `COUNTS` where another execution came between, or the attempts before it are not known.
    """
    if not baseline.failures.n or not is_retry(ids, event.execution_id, event.attempt):
        return COUNTS
    attempt: i64 = RECOVERS if baseline.failures.last_failed and not failed else REPEATS
    if explain is not None:
        means = "has succeeded, so its failure does not count" if attempt == RECOVERS else "counts once"
        explain.append(f"attempt {event.attempt} of the last execution, which {means} in streaks and failure rates")
    return attempt


def _count(baseline: WorkflowBaseline, event: Completion, failed: bool, finished_ms: i64, attempt: i64) -> None:
    """Count its outcome in the streak and in the ages of what has ended."""
    if attempt != REPEATS:
        baseline.streak = min(baseline.streak + 1, 0xFFFFFFFF) if failed else 0
        if baseline.former:
            baseline.former = age_former(baseline.former, failed)
    if baseline.variant_state is not None:
        is_new = attempt == COUNTS and is_of_branches(event.variant)
        baseline.variant_state.note(event.labels.get(LABEL, "") if is_new else None, failed, finished_ms)


def _learn(
    baseline: WorkflowBaseline,
    event: Completion,
    finished_ms: i64,
    failed: bool,
    duration_s: float,
    by_robust: bool,
    attempt: i64,
) -> None:
    if attempt == COUNTS:
        baseline.days.add(finished_ms // _DAY_MS, failed, duration_s)
    elif attempt == RECOVERS:
        baseline.days.take_failure_out()
    if not by_robust:  # which has learned level and failures already, and needs no raw history
        baseline.history.add(finished_ms, failed, duration_s)
    if not failed:
        # What an incident is compared with was there before it: nothing is learned of it while one is open, nor from an
        # execution that may belong to one, of a shift or soon after a failure.
        outcomes = baseline.failures.outcomes if by_robust else baseline.history.outcomes
        calm = not baseline.incidents and outcomes & _LAST_3 == 0
        baseline.evidence.learn(event, finished_ms, duration_s, calm)


def _corrected(
    baseline: WorkflowBaseline, event: Completion, finished_ms: i64, record_ms: int | None, explain: list[str] | None
) -> Finding | None:
    """What is reported where this late execution shows that the newest was ahead of its time; else None."""
    if record_ms is None:
        return None
    stamped_ms: i64 = max(finished_ms, record_ms)
    if not clock.is_newest_wrong(baseline, hash_of_id(event.execution_id), finished_ms, stamped_ms, clock.NEEDED):
        return None
    ahead_ms = baseline.newest_ms
    clock.go_back(baseline, finished_ms, stamped_ms)
    name = wording.name_of(event)
    found = pattern_deviation.clock_was_ahead(name, ahead_ms, finished_ms, clock.NEEDED, "executions")
    if explain is not None:
        explain.extend(found.gates)
    return found


def _timed_s(event: Completion, config: Config) -> float:
    """Its recorded duration, 0.0 where it has none."""
    given = event.duration_s
    if given is _UNSET:  # by far the most say it: no call for them
        given = recorded_duration_s(event, config.duration_from_times)
    return given if given is not None and 0.0 < given <= _LONGEST_S else 0.0


def _late(
    baseline: WorkflowBaseline,
    event: Completion,
    config: Config,
    finished_ms: int,
    behind_ms: int,
    explain: list[str] | None,
) -> Outcome:
    """Learned without alert, and not counted in the streak. Beyond 30 days not learned."""
    if explain is not None:
        learned = "not learned" if behind_ms > due.TOO_LATE_MS else "learned"
        explain.append(f"finished {behind_ms / LATE_MS:.1f} h before the newest: {learned}, not evaluated")
        in_a_row = clock.counted(baseline)
        if in_a_row:
            explain.append(f"its record is stamped before that of the newest: {in_a_row} of {clock.NEEDED} in a row")
    if behind_ms <= due.TOO_LATE_MS:
        failed = event.status in _FAILED
        timed_s = _timed_s(event, config)
        baseline.days.add(finished_ms // _DAY_MS, failed, timed_s)
        if config.profile == "classic":
            baseline.history.add(finished_ms, failed, timed_s)
        elif timed_s:
            baseline.level.update(timed_s, finished_ms, late=True)
    return LATE


def _open(
    baseline: WorkflowBaseline, event: Completion, config: Config, at_ms: int, findings: list[Finding], live: bool
) -> list[Anomaly]:
    """Each finding opens an incident or belongs to an open one. What is not live is kept in mind and not reported."""
    reported = []
    for found in findings:
        own_id = incident_id = anomaly.anomaly_id(found, baseline, event)
        state: State = "opened"
        if found.opens_incident:
            place = found.detector, crc32_of(found.subject)
            known = baseline.incidents.get(place)
            is_superseded = live and known is not None and known.is_replaced
            if known is not None and known.reported and is_superseded:
                reported.append(_superseded(baseline, event, config, found, known))
            if known is None or (live and not known.reported) or is_superseded:
                # Its readings never were inside the gates of the one that it takes the place of.
                frozen = found.frozen if known is None else known.frozen
                incident = baseline.incidents[place] = Incident(own_id, at_ms, found.severity, live, frozen)
                if known is not None:
                    incident.had_streak = known.had_streak
                elif baseline.former:
                    take_up(baseline.former, place, incident)
                if frozen is not None:
                    frozen.quiet = 0
            else:
                state, incident_id = "ongoing", known.id
                known.severity = max(known.severity, found.severity, key=SEVERITIES.index)
        if live:
            steps = investigation.steps_for_completion(
                event,
                baseline.evidence,
                found,
                others_since_ms=_others_since(baseline, found, incident_id),
                has_succeeded=not baseline.evidence.good_ms and _has_succeeded(baseline),
            )
            reported.append(
                anomaly.build_anomaly(
                    found, event, config, own_id=own_id, incident_id=incident_id, state=state, steps=steps
                )
            )
    return reported


def _has_succeeded(baseline: WorkflowBaseline) -> bool:
    count, failures = baseline.days.outcomes()
    return failures < count


def _others_since(baseline: WorkflowBaseline, found: Finding, incident_id: str) -> int:
    """Since when another incident has been open that began before this one, in epoch ms; 0: there is none."""
    own = baseline.incidents.get((found.detector, crc32_of(found.subject)))
    own_ms = own.since_ms if own is not None and own.id == incident_id else baseline.newest_ms
    others = [one.since_ms for one in baseline.incidents.values() if one.reported and one.since_ms < own_ms]
    return min(others, default=0)


def _superseded(
    baseline: WorkflowBaseline, event: Completion, config: Config, found: Finding, known: Incident
) -> Anomaly:
    """The end of an incident that was quiet, by the one that `found` opens in its place."""
    end = replace(found, severity="info", end_reason="superseded")
    return anomaly.build_anomaly(
        end,
        event,
        config,
        own_id=anomaly.anomaly_id(replace(end, subject=f"{found.subject} superseded"), baseline, event),
        incident_id=known.id,
        state="resolved",
        steps=["Look at the incident that this execution opens in its place"],
        duration_s=anomaly.lasted_s(known, event.finished_at),
    )


def _end(baseline: WorkflowBaseline, event: Completion, config: Config, ended: list[Finding]) -> list[Anomaly]:
    """Each ending closes its incident; the end of one that was never reported is not either."""
    reported = []
    for end in ended:
        place = end.detector, crc32_of(end.subject)
        incident = baseline.incidents.pop(place)
        remember_ended(baseline.former, place, incident, end.end_reason == "new_normal")
        if place == _STREAK and _SPIKE in baseline.incidents:
            baseline.incidents[_SPIKE].had_streak = True
        if incident.reported:
            reported.append(
                anomaly.build_anomaly(
                    end,
                    event,
                    config,
                    own_id=anomaly.anomaly_id(end, baseline, event),
                    incident_id=incident.id,
                    state="resolved",
                    steps=investigation.steps_for_end(event, baseline.evidence, end, others=bool(baseline.incidents)),
                    duration_s=anomaly.lasted_s(incident, event.finished_at),
                )
            )
    if any(end.end_reason == "new_normal" and TYPES[end.anomaly_type].is_timing for end in ended):
        baseline.evidence.accept()
    return reported
