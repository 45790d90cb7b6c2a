"""Lines of a combined message: a digest, a group or a reminder shows one for each incident."""

from collections.abc import Sequence
from typing import Literal

from stream_detector.events.anomaly import severity_rank
from stream_detector.events.ids import derived_id
from stream_detector.notify.state.line_order import ENDED, kind_rank, line_kind
from stream_detector.notify.state.state_models import Bond, Combined, Line

NO_BOND = Bond()
"""Of lines that share nothing."""


def worst_severity(lines: Sequence[Line]) -> str:
    """The severity of a message with these lines: an end counts as info."""
    return max((line.severity for line in lines if line.state not in ENDED), key=severity_rank, default="info")


def newest_of_each_incident(lines: Sequence[Line]) -> list[Line]:
    """One line an incident: what opened and ended while it waited is shown once, as ended."""
    newest: dict[str, Line] = {}
    for line in lines:
        newest[line.incident_id or line.message_id] = line
    return list(newest.values())


def is_one_reading(lines: Sequence[Line]) -> bool:
    """Whether several anomalies are one reading of one execution, seen by several rules."""
    return len({line.reading for line in lines}) == 1 and bool(lines[0].reading)


def combine(
    kind: Literal["digest", "group", "reminder"],
    lines: Sequence[Line],
    *,
    shared: Sequence[tuple[str, str]] = (),
    bond: Bond = NO_BOND,
    since_s: float,
    members: int = 0,
    active: int = 0,
    all_resolved: bool = False,
) -> Combined:
    """What a message with these lines leads with."""
    counts: dict[str, int] = {}
    for line in sorted(newest_of_each_incident(lines), key=kind_rank):
        counts[line_kind(line)] = counts.get(line_kind(line), 0) + 1
    return Combined(
        kind=kind,
        count=len(lines),
        counts=counts,
        shared=list(shared),
        bond=bond,
        since_s=since_s,
        members=members,
        active=active,
        all_resolved=all_resolved,
    )


def combined_message_id(*parts: str) -> str:
    """The same for the same message, whatever is replayed."""
    return derived_id("message", *parts)
