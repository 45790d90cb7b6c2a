"""S16 to S20: score changes as text, the same on every channel; and a run, or one change, as what they are about."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from stream_detector.events import Anomaly, SummaryAnomaly
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.escape import name_line, one_line
from stream_detector.notify.rendering.run_remark import run_remark
from stream_detector.notify.rendering.words import anomaly_link, decimals, difference, exact, minute, points, run_link
from stream_detector.notify.subject import Run, Subject, is_in_run_summary, largest_first

DROP, RISE = "⚠️", "📈"
INTRO = "Significant score changes detected:"


@dataclass(frozen=True)
class Changes:
    """Score changes of one message, the largest first."""

    changes: tuple[SummaryAnomaly, ...]
    detected_at: datetime
    link: str
    remark: str = ""
    """What stands above them, of a run that did not go as usual; one line."""


def changes_of(subject: Subject, config: NotifyConfig) -> Changes | None:
    """The changes of a run, or the one of a score change outside a run; None for any other anomaly."""
    if isinstance(subject, Run):
        return Changes(
            changes=tuple(largest_first(subject.anomalies)),
            detected_at=subject.ended_at,
            link=run_link(config.base_url, subject),
            remark=run_remark(subject),
        )
    if not is_in_run_summary(subject):
        return None
    return Changes(
        changes=(_change(subject),),
        detected_at=subject.detected_at,
        link=anomaly_link(config.base_url, subject),
    )


def heading(config: NotifyConfig) -> str:
    """S17."""
    return f"⚠️ {one_line(config.product_name)} Anomaly Alert"


def change_values(change: SummaryAnomaly) -> tuple[str, str, str]:
    """Previous, current and the signed difference, all with the decimals of the longer published value."""
    places = decimals((change.previous, change.current))
    return points(change.previous, places), points(change.current, places), points(change.delta, places, signed=True)


def entity_name(change: SummaryAnomaly) -> str:
    """The entity's name, or its id where it has none."""
    return name_line(change.entity_name) or name_line(change.entity_id)


def one_line_form(change: SummaryAnomaly) -> str:
    """S16, S20: `Lido: 7.5 → 5.8 (-1.7) ⚠️ SIGNIFICANT CHANGE`."""
    previous, current, delta = change_values(change)
    mark = DROP if change.direction == "down" else RISE
    return f"{entity_name(change)}: {previous} → {current} ({delta}) {mark} SIGNIFICANT CHANGE"


def entity_line(change: SummaryAnomaly) -> str:
    """S18: `• Lido: 7.5 → 5.8 (-1.7) ⬇️`."""
    previous, current, delta = change_values(change)
    return f"• {entity_name(change)}: {previous} → {current} ({delta}) {'⬇️' if change.direction == 'down' else '⬆️'}"


def threshold_words(changes: Changes) -> str:
    """S19: `Threshold: ±0.5`; each one where entities have several."""
    distinct = sorted({change.threshold for change in changes.changes})
    return "Threshold: " + " / ".join(f"±{points(value, decimals([value]))}" for value in distinct)


def footer_lines(changes: Changes) -> list[str]:
    """S19, two lines."""
    return [f"{threshold_words(changes)} | Detected: {minute(changes.detected_at)}", f"Dashboard: {changes.link}"]


def batch_text(
    changes: Changes,
    config: NotifyConfig,
    *,
    limit: int | None = None,
    escape: Callable[[str], str] = str,
) -> str:
    """S17 to S19 as one text. With `limit`, of at most so many characters once escaped: what is over is counted."""
    top = [escape(heading(config)), "", INTRO, ""]
    bottom = ["", *(escape(line) for line in footer_lines(changes))]
    lines = [escape(entity_line(change)) for change in changes.changes]
    if limit is not None:
        lines = _fit(lines, limit - sum(len(line) + 1 for line in top + bottom))
    return "\n".join([*top, *lines, *bottom])


def _fit(lines: list[str], room: int) -> list[str]:
    if sum(len(line) + 1 for line in lines) <= room:
        return lines
    kept: list[str] = []
    room -= len(_more(len(lines))) + 1
    for line in lines:
        if len(line) + 1 <= room:
            room -= len(line) + 1
            kept.append(line)
    return [*kept, _more(len(lines) - len(kept))]


def _more(count: int) -> str:
    return f"• … and {count:,} more on the dashboard"


def _change(anomaly: Anomaly) -> SummaryAnomaly:
    metrics, scores = anomaly.metrics, anomaly.scores
    return SummaryAnomaly(
        id=anomaly.id,
        entity_id=anomaly.entity_id,
        entity_name=anomaly.entity_name,
        previous=scores.previous if scores else exact(metrics.baseline_value),
        current=scores.current if scores else exact(metrics.current_value),
        delta=difference(scores.current, scores.previous) if scores else exact(metrics.deviation),
        direction="down" if metrics.direction == "down" else "up",
        threshold=exact(metrics.threshold) if metrics.threshold is not None else Decimal(0),
    )
