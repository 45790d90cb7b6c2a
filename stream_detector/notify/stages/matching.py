"""What routes and silences may name of an anomaly or a run, and which of them match it."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from stream_detector.events import Anomaly, SummaryAnomaly
from stream_detector.events.decisions import silence_in_force
from stream_detector.events.ids import score_key
from stream_detector.events.source_census import PLAIN_SOURCE
from stream_detector.events.variant import names_of
from stream_detector.notify.config import INBOX, NotifyConfig, Route
from stream_detector.notify.state.keys import RETIRED, SILENCE, SILENCES, State, keys_of, read_if_sound
from stream_detector.notify.state.state_models import Decisions, Silence, Silences, TargetSilences
from stream_detector.notify.subject import (
    Run,
    Subject,
    is_of_the_clock,
    key_of_anomaly,
    severity_of,
    severity_of_change,
)

Facts = Mapping[str, str]


def facts_of(subject: Subject) -> dict[str, str]:
    """What a matcher may name: type, severity, kind, entity, workflow, variant, name, run, key, incident, every label,
    and the source of what its missing events show.

    A run has type, severity, kind and run alone; a summary carries no labels, so no label matches.
    """
    if isinstance(subject, Run):
        return {
            "type": "SignificantScoreChange",
            "severity": severity_of(subject),
            "kind": "score",
            "run": subject.run_id,
        }
    return {
        **({"source": subject.source or PLAIN_SOURCE} if is_of_the_clock(subject) else {}),
        **subject.labels,
        **({"workflow": subject.entity_id} if subject.entity_kind == "workflow" else {}),
        **({"variant": subject.variant} if subject.variant is not None else {}),
        "type": subject.anomaly_type,
        "severity": subject.severity,
        "kind": subject.entity_kind,
        "entity": subject.entity_id,
        "name": subject.entity_name,
        "run": subject.run_id or "",
        "key": key_of_anomaly(subject),
        "incident": subject.incident_id,
    }


def matching_routes(facts: Facts, config: NotifyConfig) -> tuple[Route, ...]:
    """The routes that take it, in their order; what the file's routes do not take goes by that of the settings."""
    found = []
    for route in config.routes:
        if _route_matches(route, facts):
            found.append(route)
            if not route.continues:
                return tuple(found)
    return (*found, config.fallback)


def route_to(
    channel: str, matching: Sequence[Route], config: NotifyConfig, notified_by: str | None = None
) -> Route | None:
    """The route by which this channel gets it: the first of those `matching` that names the channel, or None.

    The inbox always goes by the settings alone. What was sent by a route (`notified_by`) ends by it, while it is there.
    """
    if channel == INBOX:
        return config.fallback
    if notified_by is not None:
        return named_route(notified_by, config)
    for route in matching:
        if route.channels is None or channel in route.channels:
            return route
    return None


def named_route(name: str, config: NotifyConfig) -> Route:
    """The route of that name, or that of the settings where it is gone."""
    return next((route for route in config.routes if route.name == name), config.fallback)


def route_of_bucket(bucket: str, config: NotifyConfig) -> Route:
    """The route that a bucket was counted by, or that of the settings where it is gone."""
    return named_route(bucket.partition("/")[2], config)


def stored_silences(state: State) -> list[Silence]:
    """Every silence that is kept; some may have ended.

    Where that value cannot be read, what was decided about each target has it still: what is on the list of silences
    must be in force (X14), and no alert may fail for it.
    """
    if state.get(SILENCES) is None:
        return []
    kept = read_if_sound(state, SILENCES, Silences)
    if kept is not None:
        return kept.silences
    targets = (read_if_sound(state, key, TargetSilences) for key in keys_of(state, SILENCE))
    found = (silence_of_target(state, target, 0.0) for target in targets if target is not None)
    return [one for one in found if one is not None]


def silence_of_target(state: State, target: TargetSilences, now_s: float) -> Silence | None:
    """The silence of a target that is in force at `now_s`."""
    names = names_of(target.entity) if target.entity else ()
    found = [read_if_sound(state, RETIRED + name, Decisions) for name in names]
    one = silence_in_force(target.records, [each for one in found if one for each in one.records], now_s)
    if one is None:
        return None
    return Silence(
        entity=target.entity,
        incident_id=target.incident_id,
        matchers=target.matchers,
        until_s=one.until_s,
        by=one.by or "somebody",
    )


def silence_of(anomaly: Anomaly, silences: Iterable[Silence], now_s: float) -> Silence | None:
    """The first silence in force that matches it."""
    active = [one for one in silences if one.until_s > now_s]
    facts = facts_of(anomaly) if active else {}
    return next((one for one in active if _silence_matches(one, facts)), None)


def silenced_in_run(run: Run, silences: Iterable[Silence], now_s: float) -> frozenset[str]:
    """The ids of the run's anomalies that a silence in force matches."""
    active = [one for one in silences if one.until_s > now_s]
    if not active:
        return frozenset()
    return frozenset(
        a.id for a in run.anomalies if any(_silence_matches(one, _facts_in_run(a, run.run_id)) for one in active)
    )


def _route_matches(route: Route, facts: Facts) -> bool:
    """Whether every fact that the route names is there and like one of its patterns."""
    return all(
        any(fnmatchcase(value, pattern) for value in _values(name, facts) for pattern in patterns)
        for name, patterns in route.match.items()
    )


def _silence_matches(silence: Silence, facts: Facts) -> bool:
    """Whether everything that the silence names is so. One that names nothing matches nothing."""
    wanted = {**silence.matchers}
    if silence.entity:
        wanted["key"] = silence.entity
    if silence.incident_id:
        wanted["incident"] = silence.incident_id
    return bool(wanted) and all(value in _values(name, facts) for name, value in wanted.items())


def _values(name: str, facts: Facts) -> tuple[str, ...]:
    """What a matcher may give for a fact: its value, for the key of a variant also that of its whole workflow."""
    if name not in facts:
        return ()
    return names_of(facts[name]) if name == "key" else (facts[name],)


def _facts_in_run(anomaly: SummaryAnomaly, run_id: str) -> dict[str, str]:
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
