"""W27: what a message about one anomaly says, before any channel's layout: the same facts everywhere."""

from collections.abc import Sequence
from functools import cached_property

from stream_detector.events import Anomaly
from stream_detector.events.anomaly import STATES
from stream_detector.events.variant import shown_name
from stream_detector.notify.rendering.escape import name_line, one_line, paragraph
from stream_detector.notify.rendering.words import (
    amount,
    anomaly_link,
    decimals,
    difference,
    duration,
    known,
    mark_of,
    minute,
    number,
    points,
    type_words,
)
from stream_detector.notify.subject import MISSED_RUN, RESOLVED, STILL_RUNNING, is_new_normal, is_of_the_clock

NO_Z_SCORE = "none for this rule"
EXCERPT_LINES = 8
EXCERPT_LINE_LIMIT = 160
"""Characters of a line of the excerpt."""
_OF_THE_CLOCK = {MISSED_RUN: "Missed run", STILL_RUNNING: "Long run"}
"""What people call it, by its detector: their type has other cases, too."""
EXCERPT_HEADING = "Last lines of the output:"
STEP_LIMIT = 1_000
"""Characters of one investigation step: an anomaly that another program wrote may have 200 of 10,000."""


def alert_numbers(anomaly: Anomaly) -> tuple[str, str, str, str]:
    """Current, baseline, deviation and z-score as they are shown; scores with the digits that were published."""
    metrics, scores = anomaly.metrics, anomaly.scores
    if scores is not None:
        places = decimals((scores.previous, scores.current))
        delta = difference(scores.current, scores.previous)
        shown = points(scores.current, places), points(scores.previous, places), points(delta, places, signed=True)
        return *shown, NO_Z_SCORE
    return (
        amount(metrics, metrics.current_value),
        amount(metrics, metrics.baseline_value),
        amount(metrics, metrics.deviation, signed=True),
        NO_Z_SCORE if metrics.z_score is None else number(metrics.z_score),
    )


def anomaly_name(anomaly: Anomaly, limit: int | None = None) -> str:
    """What it is about on one line, of a workflow with the variant: `app (pull request)`. Never blank.

    Args:
        limit: characters of the name.
    """
    at_most = () if limit is None else (limit,)
    name = name_line(anomaly.entity_name, *at_most) or name_line(anomaly.entity_id, *at_most) or "unknown"
    return shown_name(name, name_line(anomaly.variant or "") or None)


def headline(anomaly: Anomaly, kinds: Sequence[str] = ()) -> tuple[str, str]:
    """Mark and title: how bad, what, and where.

    Args:
        kinds: the types, in words, of several anomalies that are one reading.
    """
    name = anomaly_name(anomaly)
    if is_new_normal(anomaly):
        return mark_of("info"), f"New normal: {type_words(anomaly.anomaly_type)} in {name}"
    kind = RESOLVED if anomaly.state == RESOLVED else known(anomaly.severity)
    if is_of_the_clock(anomaly) and len(kinds) < 2:
        what = f"{_OF_THE_CLOCK[anomaly.detector]} of {name}"
        if kind != RESOLVED and anomaly.detector == STILL_RUNNING:
            what += " (still running)"
        if kind == RESOLVED and anomaly.end_reason != "recovered":  # the run has not come, or did not end well
            return mark_of("info"), f"Ended: {what}"
        return mark_of(kind), f"{kind.capitalize()}: {what}"
    what = joined(kinds) or type_words(anomaly.anomaly_type)
    return mark_of(kind), f"{kind.capitalize()}: {what} in {name}"


def joined(kinds: Sequence[str]) -> str:
    """Types in words as one list, each once.

    >>> joined(["Performance degradation", "Unusual execution time", "Performance degradation"])
    'Performance degradation and unusual execution time'
    """
    first, *more = dict.fromkeys(kinds) or [""]
    return " and ".join([first, *(kind[:1].lower() + kind[1:] for kind in more)])


class Alert:
    """An anomaly in words: type, severity, description, current, baseline, deviation, z-score, steps, link.

    Each is on one line and free of control characters, not yet escaped for a channel.
    """

    def __init__(self, anomaly: Anomaly, base_url: str, others: Sequence[str] = ()) -> None:
        """`others`: the types of further anomalies that are the same reading, seen by other rules."""
        self._anomaly = anomaly
        self._types = list(dict.fromkeys([anomaly.anomaly_type, *others]))
        self.mark, self.title = headline(anomaly, [type_words(one) for one in self._types])
        self.description = paragraph(anomaly.description)
        self.link = anomaly_link(base_url, anomaly)
        self._is_resolved = anomaly.state == RESOLVED and not is_new_normal(anomaly)

    @cached_property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """(name, value) of each number and word, in the order in which they stand."""
        anomaly = self._anomaly
        # A state of a later version is shown as it is; those that we know are in the title.
        state = () if anomaly.state in STATES else (("State", known(anomaly.state)),)
        lasted = (("Lasted", duration(anomaly.duration_s)),) if anomaly.duration_s is not None else ()
        return (
            ("Type", ", ".join(map(known, self._types))),
            ("Severity", RESOLVED if self._is_resolved else known(anomaly.severity)),
            *state,
            *lasted,
            *zip(("Current", "Baseline", "Deviation", "Z-score"), alert_numbers(anomaly), strict=True),
            ("Detected", minute(anomaly.detected_at)),
        )

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """What to look at; nothing once it has recovered."""
        steps = () if self._is_resolved else self._anomaly.investigation_steps
        return tuple(filter(None, (one_line(step, STEP_LIMIT) for step in steps)))

    @cached_property
    def excerpt(self) -> tuple[str, ...]:
        """The last lines that the execution printed."""
        rows = (one_line(row, EXCERPT_LINE_LIMIT) for row in (self._anomaly.excerpt or "").splitlines())
        return tuple(filter(None, rows))[-EXCERPT_LINES:]


def alert_text(alert: Alert) -> str:
    """The whole as plain text."""
    lines = [f"{alert.mark} {alert.title}", ""]
    if alert.description:
        lines += [alert.description, ""]
    lines += [f"{name}: {value}" for name, value in alert.facts]
    if alert.steps:
        lines += ["", "What to look at:"]
        lines += [f"{number}. {step}" for number, step in enumerate(alert.steps, 1)]
    if alert.excerpt:
        lines += ["", EXCERPT_HEADING, *(f"  {row}" for row in alert.excerpt)]
    return "\n".join([*lines, "", f"Details: {alert.link}"])
