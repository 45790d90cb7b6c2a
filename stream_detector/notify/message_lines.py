"""Lines of a combined message: a digest, a group or a reminder shows one for each incident."""

from collections.abc import Sequence
from typing import Literal

from stream_detector.events.anomaly import severity_rank
from stream_detector.events.ids import derived_id
from stream_detector.notify.state.state_models import Combined, Line
from stream_detector.notify.subject import RESOLVED

_ORDER = {"critical": 0, "warning": 1, "info": 2, RESOLVED: 3}
"""A severity of a later version stands before all."""


def line_kind(line: Line) -> str:
    """Its severity, or `resolved`."""
    return RESOLVED if line.state == RESOLVED else line.severity


def most_severe_first(lines: Sequence[Line]) -> list[Line]:
    """The lines, the most severe first, ends last; equal ones by time."""
    return sorted(lines, key=lambda line: (_ORDER.get(line_kind(line), -1), line.at_s))


def worst_severity(lines: Sequence[Line]) -> str:
    """The severity of a message with these lines: an end counts as info."""
    return max((line.severity for line in lines if line.state != RESOLVED), key=severity_rank, default="info")


def newest_of_each_incident(lines: Sequence[Line]) -> list[Line]:
    """One line an incident: what opened and ended while it waited is shown once, as ended."""
    newest: dict[str, Line] = {}
    for line in lines:
        newest[line.incident_id or line.message_id] = line
    return list(newest.values())


def combine(
    kind: Literal["digest", "group", "reminder"],
    lines: Sequence[Line],
    *,
    shared: Sequence[tuple[str, str]] = (),
    since_s: float,
    members: int = 0,
    active: int = 0,
    all_resolved: bool = False,
) -> Combined:
    """What a message with these lines leads with."""
    counts: dict[str, int] = {}
    for line in sorted(newest_of_each_incident(lines), key=lambda line: _ORDER.get(line_kind(line), -1)):
        counts[line_kind(line)] = counts.get(line_kind(line), 0) + 1
    return Combined(
        kind=kind,
        count=len(lines),
        counts=counts,
        shared=list(shared),
        since_s=since_s,
        members=members,
        active=active,
        all_resolved=all_resolved,
    )


def combined_message_id(*parts: str) -> str:
    """The same for the same message, whatever is replayed."""
    return derived_id("message", *parts)
