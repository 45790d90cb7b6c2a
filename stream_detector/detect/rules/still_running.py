"""UnusualExecutionTime: an execution that has not ended though it has run for longer than its limit (X30).

`warning` at its limit, `critical` at twice, each once; it ends with the execution. The limit came with the start
(`limit_s`), or is that of MAX_DURATION_RULES, or is learned from how long this workflow runs (`statistics/limit`).
"""

from typing import Any, Final, NamedTuple

from stream_detector.detect import wording
from stream_detector.detect.due_anomaly import above, due_anomaly
from stream_detector.detect.running_state import CRITICAL, WARNED, Execution, UsualRun
from stream_detector.events import Anomaly, Profile, Severity, State
from stream_detector.events.anomaly import EndReason
from stream_detector.events.ids import SEPARATOR, derived_id

NAME: Final = "still_running"


class About(NamedTuple):
    """What a message of a running execution is made of: itself, what is usual, what its starts have in common."""

    key: str
    execution: Execution
    usual: UsualRun
    shared: dict[str, Any]
    profile: Profile


def incident_id(one: Execution) -> str:
    """Of an execution and its attempt; also the id of its opening."""
    return _id_of(one, "")


def _id_of(one: Execution, stage: str) -> str:
    return derived_id(NAME, f"{one.id}{SEPARATOR}{one.attempt}", stage)


def too_long(about: About, stage: int) -> Anomaly:
    """The report of a stage, `WARNED` or `CRITICAL`, dated by when it was due."""
    one, usual, name = about.execution, about.usual, about.shared["name"]
    is_critical = stage == CRITICAL
    at_ms = 1000 * int(one.due_s(stage, one.limit_s))
    elapsed_s = (at_ms - int(one.start_ms)) / 1000
    elapsed, limit = wording.duration(elapsed_s), wording.duration(one.limit_s)
    usually = ""
    if usual.usual_s > 0.0:
        usually = f": it usually takes {wording.duration(usual.usual_s)} (longest of the last {_longest(usual)})"
    higher = "in limit_s of its start, or by MAX_DURATION_RULES" if one.given else "by MAX_DURATION_RULES"
    return _anomaly(
        about,
        own_id=_id_of(one, "critical" if is_critical else ""),
        state="ongoing" if is_critical else "opened",
        severity="critical" if is_critical else "warning",
        at_ms=at_ms,
        description=f"{name} has been running for {elapsed}{usually}; limit {limit}; still running",
        current_s=elapsed_s,
        gates=[
            f"its end has not come {elapsed} after its start",
            f"{'twice the' if is_critical else 'the'} limit, {limit}, and the time until ends arrive have passed",
            "the limit was given" if one.given else _learned(usual),
        ],
        steps=[
            "See in the log of this execution what it does now: it may wait for a lock, a free machine or an answer",
            "If it hangs, cancel it: any end of it, a cancellation too, resolves this anomaly",
            f"If it may take this long, set a higher limit {higher}",
        ],
    )


def _learned(usual: UsualRun) -> str:
    usually = wording.duration(usual.usual_s)
    return f"the limit is learned: usually {usually}, longest of the last {_longest(usual)}"


def _longest(usual: UsualRun) -> str:
    return f"{usual.runs}: {'over ' if usual.is_capped else ''}{wording.duration(usual.longest_s)}"


def ended(about: About, at_ms: int, end_reason: EndReason, how: str) -> Anomaly:
    """The end of what was reported of an execution.

    Args:
        at_ms: when it ended, or was given up.
        how: what has ended it, as the end of a sentence that begins with the workflow's name: "has ended well".
    """
    one, usual = about.execution, about.usual
    took_s = max(at_ms - int(one.start_ms), 0) / 1000
    usually = f"; it usually takes {wording.duration(usual.usual_s)}" if usual.usual_s > 0.0 else ""
    limit = wording.duration(one.limit_s)
    return _anomaly(
        about,
        own_id=_id_of(one, "resolved"),
        state="resolved",
        severity="info",
        at_ms=at_ms,
        description=f"{about.shared['name']} {how}, {wording.duration(took_s)} after its start{usually}; limit {limit}",
        current_s=took_s,
        gates=[f"it {how}"],
        steps=["Look at how this execution ended, and whether its work is done"],
        end_reason=end_reason,
    )


def _anomaly(
    about: About,
    *,
    own_id: str,
    state: State,
    severity: Severity,
    at_ms: int,
    description: str,
    current_s: float,
    gates: list[str],
    steps: list[str],
    end_reason: EndReason | None = None,
) -> Anomaly:
    one, shared = about.execution, about.shared
    lasted_s = max(0.0, at_ms / 1000 - int(one.due_s(WARNED, one.limit_s))) if end_reason is not None else None
    return due_anomaly(
        about.key,
        shared["name"],
        one.id,
        at_ms,
        id=own_id,
        incident_id=incident_id(one),
        state=state,
        anomaly_type="UnusualExecutionTime",
        severity=severity,
        description=description,
        attempt=int(one.attempt),
        metrics=above(current_s, about.usual.usual_s or one.limit_s, "s"),
        investigation_steps=steps,
        gates=gates,
        detector=NAME,
        profile=about.profile,
        duration_s=lasted_s,
        end_reason=end_reason,
        labels=shared["labels"],
        url=shared["url"],
        source=shared["source"],
    )
