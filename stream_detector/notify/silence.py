"""What people asked not to hear about for a while."""

from collections.abc import Iterable, Mapping

from stream_detector.events import Anomaly, SummaryAnomaly
from stream_detector.events.ids import score_key
from stream_detector.notify.kept import Silence
from stream_detector.notify.subject import Run, Subject, instant, severity_of, severity_of_change, state_key
from stream_detector.notify.verdict import Verdict, passes, stops


def silence(subject: Subject, silences: Iterable[Silence], now_s: float) -> Verdict:
    """Stops what a silence in force matches; a run only where each of its anomalies is silenced."""
    active = [s for s in silences if s.until_s > now_s]
    if isinstance(subject, Run):
        hidden = hidden_in(subject, active, now_s)
        if subject.anomalies and len(hidden) == len(subject.anomalies):
            return stops("suppressed", f"all {len(hidden)} anomalies of the run are silenced")
        return passes(f"{len(hidden)} of {len(subject.anomalies)} anomalies are silenced" if hidden else "no silence")
    facts = facts_of(subject) if active else {}
    for one in active:
        if matches(one, facts):
            return stops("suppressed", f"silenced by {one.by} until {instant(one.until_s):%Y-%m-%d %H:%M} UTC")
    return passes("no silence")


def hidden_in(run: Run, silences: Iterable[Silence], now_s: float) -> frozenset[str]:
    """The ids of the run's anomalies that a silence in force matches."""
    active = [s for s in silences if s.until_s > now_s]
    if not active:
        return frozenset()
    return frozenset(a.id for a in run.anomalies if any(matches(s, facts_in_run(a, run.run_id)) for s in active))


def matches(one: Silence, facts: Mapping[str, str]) -> bool:
    """Whether everything that the silence names is so. One that names nothing matches nothing."""
    wanted = {**one.matchers}
    if one.entity:
        wanted["key"] = one.entity
    if one.incident_id:
        wanted["incident"] = one.incident_id
    return bool(wanted) and all(facts.get(name) == value for name, value in wanted.items())


def facts_of(anomaly: Anomaly) -> dict[str, str]:
    """What a matcher may name: type, severity, kind, entity, workflow, name, run, key, incident, and every label."""
    return {
        **anomaly.labels,
        **({"workflow": anomaly.entity_id} if anomaly.entity_kind == "workflow" else {}),
        "type": anomaly.anomaly_type,
        "severity": anomaly.severity,
        "kind": anomaly.entity_kind,
        "entity": anomaly.entity_id,
        "name": anomaly.entity_name,
        "run": anomaly.run_id or "",
        "key": state_key(anomaly),
        "incident": anomaly.incident_id,
    }


def facts_of_run(run: Run) -> dict[str, str]:
    """What a route's matcher may name of a whole run; a summary carries no labels, so no label matches."""
    return {
        "type": "SignificantScoreChange",
        "severity": severity_of(run),
        "kind": "score",
        "run": run.run_id,
    }


def facts_in_run(anomaly: SummaryAnomaly, run_id: str) -> dict[str, str]:
    """The same of a run's anomaly; a summary carries no labels, so no label matches."""
    return {
        "type": "SignificantScoreChange",
        "severity": severity_of_change(anomaly),
        "kind": "score",
        "entity": anomaly.entity_id,
        "name": anomaly.entity_name,
        "run": run_id,
        "key": score_key(anomaly.entity_id),
        "incident": anomaly.id,
    }
