"""W27: what a message about one anomaly says, before any channel's layout: the same facts everywhere."""

from dataclasses import dataclass

from stream_detector.events import Anomaly
from stream_detector.events.anomaly import STATES
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.escape import one_line, paragraph
from stream_detector.notify.rendering.words import (
    amount,
    anomaly_link,
    duration,
    mark_of,
    minute,
    number,
    type_words,
)
from stream_detector.notify.subject import RESOLVED


@dataclass(frozen=True)
class Alert:
    """The facts, each on one line and free of control characters, not yet escaped for a channel."""

    mark: str
    title: str
    description: str
    facts: tuple[tuple[str, str], ...]
    steps: tuple[str, ...]
    link: str


def headline(anomaly: Anomaly) -> tuple[str, str]:
    """Mark and title: how bad, what, and where."""
    name = one_line(anomaly.entity_name) or one_line(anomaly.entity_id)
    kind = RESOLVED if anomaly.state == RESOLVED else anomaly.severity
    return mark_of(kind), f"{one_line(kind).capitalize()}: {type_words(anomaly.anomaly_type)} in {name}"


def alert(anomaly: Anomaly, config: NotifyConfig) -> Alert:
    """Type, severity, description, current, baseline, deviation, z-score, investigation steps, link."""
    mark, title = headline(anomaly)
    resolved = anomaly.state == RESOLVED
    metrics = anomaly.metrics
    # A state of a later version is shown as it is; those that we know are in the title.
    state = () if anomaly.state in STATES else (("State", one_line(anomaly.state)),)
    lasted = (("Lasted", duration(anomaly.duration_s)),) if anomaly.duration_s is not None else ()
    severity = RESOLVED if resolved else one_line(anomaly.severity)
    return Alert(
        mark=mark,
        title=title,
        description=paragraph(anomaly.description),
        facts=(
            ("Type", one_line(anomaly.anomaly_type)),
            ("Severity", severity),
            *state,
            *lasted,
            ("Current", amount(metrics, metrics.current_value)),
            ("Baseline", amount(metrics, metrics.baseline_value)),
            ("Deviation", amount(metrics, metrics.deviation, signed=True)),
            ("Z-score", "none for this rule" if metrics.z_score is None else number(metrics.z_score)),
            ("Detected", minute(anomaly.detected_at)),
        ),
        steps=() if resolved else tuple(filter(None, (one_line(step, 2_000) for step in anomaly.investigation_steps))),
        link=anomaly_link(config.base_url, anomaly),
    )


def alert_text(facts: Alert) -> str:
    """The whole as plain text."""
    lines = [f"{facts.mark} {facts.title}", ""]
    if facts.description:
        lines += [facts.description, ""]
    lines += [f"{name}: {value}" for name, value in facts.facts]
    if facts.steps:
        lines += ["", "What to look at:"]
        lines += [f"{number}. {step}" for number, step in enumerate(facts.steps, 1)]
    return "\n".join([*lines, "", f"Details: {facts.link}"])
