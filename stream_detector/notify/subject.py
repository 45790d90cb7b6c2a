"""What a message is about: one anomaly, or one score run with all its anomalies."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from stream_detector.events import Anomaly, Movement, RunSummary, SummaryAnomaly
from stream_detector.events.anomaly import EndReason, State, severity_rank
from stream_detector.events.anomaly_types import CLOCK_RULES, describe
from stream_detector.events.ids import derived_id
from stream_detector.events.variant import state_key

CRITICAL_THRESHOLDS = 3
"""A score change is critical from so many thresholds on, as in detection."""

WINDOW = "window~"
"""How detection's ids begin for scores without a run, summed up by entity type and minute."""

RESOLVED: State = "resolved"
"""The state of an anomaly that ends its incident. One of a later version is treated as one that goes on."""

NEW_NORMAL: EndReason = "new_normal"
SUPERSEDED: EndReason = "superseded"


MISSED_RUN, STILL_RUNNING = "missed_run", "still_running"
"""The detectors of what is found though no event says it: a run that did not come, an execution that goes on."""


def is_missed_run(anomaly: Anomaly) -> bool:
    """Whether it is about a run that did not come when it was expected."""
    return anomaly.detector == MISSED_RUN


def is_of_the_clock(anomaly: Anomaly) -> bool:
    """Whether time found it and no event: its end is news whatever ended it, since nothing else is reported instead."""
    return anomaly.detector in CLOCK_RULES


def is_new_normal(anomaly: Anomaly) -> bool:
    """Whether it ends its incident without being well again: detection has accepted what lasts."""
    return anomaly.state == RESOLVED and anomaly.end_reason == NEW_NORMAL


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run's summary with its parts put together; of a later revision what it has that no earlier one had."""

    run_id: str
    ended_at: datetime
    anomalies: tuple[SummaryAnomaly, ...]
    started_at: datetime | None = None
    parts: int = 1
    revision: int = 1
    follow_up: int = 0
    """Counts the revisions with something new."""
    published_after_s: float = 0.0
    """How long after its own time the newest of its scores was published."""
    status: str = "completed"
    error: str = ""
    scored: int = 0
    failures: int = 0
    expected: int | None = None
    not_waited_for: tuple[str, ...] = ()
    """What was published before its end and is not in it, in words."""
    reported_before: int = 0
    """Anomalies that earlier revisions had."""
    movement: Movement | None = None
    """How many of its entities moved which way, where that is known."""

    @property
    def named(self) -> bool:
        """Whether a producer gave the run its id; else it is a minute of scores that came without one."""
        return not self.run_id.startswith(WINDOW)


Subject = Anomaly | Run


def published_after_s(subject: Subject) -> float:
    """How long after it happened it was published, by the record alone; 0 where no record says."""
    if isinstance(subject, Run):
        return subject.published_after_s
    if subject.published_at is None:
        return 0.0
    return (subject.published_at - subject.detected_at).total_seconds()


def will_resolve(opened: Anomaly) -> bool:
    """Whether detection will say when it is over; of a type of a later version that is not known."""
    return describe(opened.anomaly_type).has_end(opened.profile, opened.severity, opened.detector)


def is_in_run_summary(anomaly: Anomaly) -> bool:
    """Whether a summary will list it: every score change, since scores outside a run are summed up by the minute."""
    return describe(anomaly.anomaly_type).in_run_summary


def severity_of_change(anomaly: SummaryAnomaly) -> str:
    """The severity that detection gave it, which a summary does not repeat."""
    return "critical" if abs(anomaly.delta) >= CRITICAL_THRESHOLDS * abs(anomaly.threshold) else "warning"


def severity_of(subject: Subject) -> str:
    """An anomaly's own, or the worst within a run."""
    if isinstance(subject, Anomaly):
        return subject.severity
    return "critical" if any(severity_of_change(a) == "critical" for a in subject.anomalies) else "warning"


def worst_of(*severities: str) -> str:
    """The most severe. Interned, since `omit_defaults` leaves a default out by identity: so the state's bytes stay.

    >>> worst_of("info", "critical", "warning")
    'critical'
    """
    return sys.intern(max(severities, key=severity_rank))


def message_id(subject: Subject | RunSummary) -> str:
    """The same for the same anomaly or revision of a run, whatever is replayed."""
    if isinstance(subject, Anomaly):
        return _message_id("anomaly", subject.id)
    if subject.revision > 1:
        return derived_id("message", "run", subject.run_id, str(subject.revision))
    return _message_id("run", subject.run_id)


@lru_cache(maxsize=1 << 14)
def _message_id(kind: str, subject_id: str) -> str:
    """Asked some ten times about a subject on its way through the policy."""
    return derived_id("message", kind, subject_id)


def key_of_anomaly(anomaly: Anomaly) -> str:
    """Its state key, which silences and retirements name: as `events.variant` makes it.

    A kind of a later version has keys of its own: a silence of a score does not match them.
    """
    return state_key(anomaly.entity_kind, anomaly.entity_id, anomaly.variant)


def largest_first(anomalies: tuple[SummaryAnomaly, ...]) -> list[SummaryAnomaly]:
    """S18: the largest change first; equal ones by name, so that the order is the same each time."""
    return sorted(anomalies, key=lambda a: (-abs(Decimal(a.delta)), a.entity_name, a.entity_id))


def instant(at_s: float) -> datetime:
    """Unix seconds as an instant in UTC."""
    return datetime.fromtimestamp(at_s, UTC)
