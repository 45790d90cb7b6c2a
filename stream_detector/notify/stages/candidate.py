"""Gathering: what the policy must know about an anomaly or a run before it decides, read in one go."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from stream_detector.events import Anomaly
from stream_detector.events.label_counts import LabelCounts
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.rendering.line import line_of
from stream_detector.notify.stages.incidents import History, read_history
from stream_detector.notify.stages.matching import (
    facts_of,
    matching_routes,
    route_to,
    silence_of,
    silenced_in_run,
    stored_silences,
)
from stream_detector.notify.stages.verdict import Verdict, passes, silenced_reason, stops
from stream_detector.notify.state.keys import State
from stream_detector.notify.state.state_models import Line
from stream_detector.notify.subject import Subject

NO_ROUTE = Route(channels=())
"""Where no route leads to a channel."""


@dataclass(frozen=True)
class Candidate:
    """An anomaly or a run on its way, with what is known of it beforehand."""

    subject: Subject
    now_s: float
    config: NotifyConfig
    history: History
    """What people know of its incident."""
    groups: Mapping[str, str]
    """Bucket -> the group that its incident was sent with."""
    severity: str
    """What thresholds are compared with."""
    routes: Mapping[str, Route]
    """Channel -> the route by which the channel gets it, `NO_ROUTE` where none leads there."""
    silence: Verdict
    counts: LabelCounts | None = None
    """How common its labels are among all executions."""

    @cached_property
    def line(self) -> Line:
        """What it is in one line."""
        return line_of(self.subject, self.config, self.now_s)


def gather(state: State, subject: Subject, now_s: float, config: NotifyConfig) -> Candidate:
    """Read what is known of it. An incident goes on by the route that notified a channel of its opening."""
    history = read_history(state, subject)
    severity = history.severity(subject)
    matching = matching_routes(facts_of(subject) | {"severity": severity}, config)
    routes = {
        channel: route_to(channel, matching, config, history.route_notified_by(channel)) or NO_ROUTE
        for channel in config.channels
    }
    silence = check_silences(state, subject, now_s)
    return Candidate(subject, now_s, config, history, history.groups, severity, routes, silence)


def check_silences(state: State, subject: Subject, now_s: float) -> Verdict:
    """Stops what a silence in force matches; a run only where each of its anomalies is silenced."""
    silences = stored_silences(state)
    if isinstance(subject, Anomaly):
        found = silence_of(subject, silences, now_s)
        return stops("suppressed", silenced_reason(found)) if found else passes("no silence")
    anomalies, silenced = subject.anomalies, silenced_in_run(subject, silences, now_s)
    if anomalies and len(silenced) == len(anomalies):
        return stops("suppressed", f"all {len(silenced)} anomalies of the run are silenced")
    return passes(f"{len(silenced)} of {len(anomalies)} anomalies are silenced" if silenced else "no silence")
