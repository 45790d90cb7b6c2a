"""The life of an incident: opened by its first anomalous reading, ongoing, resolved by its end.

An open incident keeps the baseline that it was opened against, frozen. Detection's own baseline goes on learning, so
that after some dozen readings whatever lasts lies within it: by today's baseline alone, "recovered" would be said of
what is as bad as at the opening. The rules decide in `find_end`.

What was frozen is kept for a while after an end: an incident that opens again soon is held against it too, since
detection's baseline has learned from what was wrong meanwhile. Of a failure rate that was accepted as the new normal it
is kept until the workflow is well: else one burst of failures more would "recover" to a rate that never did.
"""

import struct
from typing import Final
from uuid import UUID

from mypy_extensions import i64, mypyc_attr

from stream_detector.detect.codec.binary import f32
from stream_detector.events import Severity
from stream_detector.events.anomaly_types import SEVERITIES, TYPES

_CODES: Final = {entry.rule: entry.code for entry in TYPES.values()}
_RULES: Final = {code: rule for rule, code in _CODES.items()}
_PACKED: Final = struct.Struct("<BBIq16s")
_FROZEN: Final = struct.Struct("<dffffIIHBBB")
QUIET: Final = 3
_REPORTED: Final = 1
_SEVERITY: Final = 1
_HAS_FROZEN: Final = 8
_FORMER: Final = 16
_STREAK: Final = 32
_ACCEPTED: Final = 64
KEPT_AFTER: Final = 60
"""So many executions after its end, what an incident was held against is forgotten: a failure rate has by then
forgotten more than half of what it learned meanwhile."""
_LONE: Final = "unusual_execution_time"
"""What it opens for is one reading, which moves no baseline."""
_SPIKE: Final = "spike_in_failures"
MEAN_OF_OUTCOMES: Final = 1 / 40
"""Weight of the newest outcome in the mean since the opening of a spike."""
_QUIET_MASK: Final = 3
_INSIDE: Final = 2
_MOST_INSIDE: Final = 63


@mypyc_attr(acyclic=True)
class Frozen:
    """The baseline at the opening, and how the readings since then lie to it; what each number means is its rule's.

    Attributes:
        baseline: the usual value at the opening.
        spread: how far readings lay from it.
        gate: the statistic's limit at the opening, or the side on which readings are off (1 above, -1 below). Of a
            spike, the most failures among 10 so far; an earlier version had the limit there, which is 2.
        mean: exponential mean of the readings since the opening.
        mark: where the rule's own baseline was when it last moved, `mark_s` (epoch s) when, and `steady` how many
            readings it has stayed there.
        calm: readings in a row inside the gates.
        quiet: readings in a row inside today's gates, `QUIET` at most and from then on: what is anomalous after them is
            news, and opens an incident that supersedes this one, if it is `worse`.
        worse: whether the last reading is worse than all since the opening; not packed. True where the rule does not
            ask.
        inside: readings in a row that the statistic was inside the frozen gate for; after the end, executions since it,
            or, after a new normal, successes in a row.
        since_s: when the first incident against this baseline was opened, or the shift began that it is about; epoch s.
        offsets: of the time of day, as `Rhythm.offsets` had them; empty where they were not used.
    """

    __slots__ = (
        "baseline",
        "calm",
        "gate",
        "inside",
        "mark",
        "mark_s",
        "mean",
        "offsets",
        "quiet",
        "since_s",
        "spread",
        "steady",
        "worse",
    )

    def __init__(self, baseline: float, spread: float, gate: float, mean: float = 0.0, offsets: bytes = b"") -> None:
        self.baseline: float = baseline
        self.spread: float = f32(spread)
        self.since_s: i64 = 0
        self.gate: float = f32(gate)
        self.mean: float = f32(mean)
        self.mark: float = 0.0
        self.mark_s: i64 = 0
        self.steady: i64 = 0
        self.calm: i64 = 0
        self.quiet: i64 = 0
        self.inside: i64 = 0
        self.worse: bool = True
        self.offsets: bytes = offsets

    def is_steady(self, value: float, band: float, at_ms: i64, readings: i64, least_ms: i64) -> bool:
        """Whether the rule's own baseline has stayed within `band` for so many readings and so long; notes a reading.

        Args:
            value: the baseline after this reading.
        """
        if not self.mark_s or abs(value - self.mark) > band:
            self.mark, self.mark_s, self.steady = f32(value), at_ms // 1000, 0
            return False
        self.steady = min(self.steady + 1, 0xFFFF)
        return self.steady >= readings and at_ms - self.mark_s * 1000 >= least_ms

    def count_calm(self, is_calm: bool, readings: i64) -> bool:
        """Whether so many readings in a row were calm, this one among them."""
        self.calm = min(self.calm + 1, 0xFF) if is_calm else 0
        return self.calm >= readings

    def count_inside(self, is_inside: bool, readings: i64) -> bool:
        """Whether the statistic was inside the frozen gate for so many readings in a row, this one among them."""
        self.inside = min(self.inside + 1, _MOST_INSIDE) if is_inside else 0
        return self.inside >= readings

    def note_quiet(self, is_quiet: bool, readings: i64) -> None:
        """Count a reading inside today's gates, or one that is not, towards so many in a row."""
        if self.quiet < QUIET:
            self.quiet = min(self.quiet + (QUIET + readings - 1) // readings, QUIET) if is_quiet else 0

    def follow(self, reading: float, weight: float) -> None:
        """Move the mean towards a reading."""
        self.mean = f32(self.mean + weight * (reading - self.mean))

    def pack(self) -> bytes:
        """37 bytes; the offsets, 26 where there are any, follow."""
        return _FROZEN.pack(
            *(self.baseline, self.spread, self.gate, self.mean, self.mark, self.mark_s, self.since_s),
            *(self.steady, self.calm, self.quiet | self.inside << _INSIDE, len(self.offsets)),
        )


@mypyc_attr(acyclic=True)
class Incident:
    """An open incident of one rule and subject (a hash: 0 for none). `reported` is False while only learned from.

    `frozen` is None for one of a rule that needs nothing frozen, or that a version opened which froze nothing. Of a
    spike in failures `had_streak` says whether a streak has ended within it, and, once it has ended, `accepted` whether
    it became the new normal.
    """

    __slots__ = ("accepted", "frozen", "had_streak", "id", "opened_ms", "reported", "severity")

    def __init__(
        self, incident_id: str, opened_ms: int, severity: Severity, reported: bool, frozen: Frozen | None = None
    ) -> None:
        self.id, self.opened_ms, self.severity, self.reported = incident_id, opened_ms, severity, reported
        self.frozen: Frozen | None = frozen
        self.had_streak: bool = False
        self.accepted: bool = False
        if frozen is not None and not frozen.since_s:
            frozen.since_s = opened_ms // 1000

    @property
    def since_ms(self) -> int:
        """When the first incident against its frozen baseline was opened, epoch ms."""
        frozen = self.frozen
        return int(frozen.since_s) * 1000 if frozen is not None and frozen.since_s else self.opened_ms

    @property
    def is_replaced(self) -> bool:
        """Whether an anomalous reading is news, after readings inside today's gates, though it has not ended."""
        frozen = self.frozen
        return frozen is not None and frozen.quiet >= QUIET and frozen.worse


Incidents = dict[tuple[str, int], Incident]


def rewind_incidents(incidents: Incidents, at_ms: i64) -> None:
    """Date no incident after `at_ms`."""
    for incident in incidents.values():
        incident.opened_ms = min(incident.opened_ms, at_ms)
        frozen = incident.frozen
        if frozen is not None:
            frozen.mark_s, frozen.since_s = min(frozen.mark_s, at_ms // 1000), min(frozen.since_s, at_ms // 1000)


def has_frozen(incidents: Incidents) -> bool:
    """Whether one of them keeps frozen values."""
    return any(incident.frozen is not None for incident in incidents.values())


def remember_ended(former: Incidents, place: tuple[str, int], incident: Incident, accepted: bool = False) -> None:
    """Keep what an incident that has ended was held against, for `KEPT_AFTER` executions.

    Args:
        accepted: it became the new normal. Then it is kept of a failure rate alone, for so many successes in a row: a
            workflow that fails that often is not well when it fails that often again.
    """
    frozen = incident.frozen
    if frozen is not None and (place[0] == _SPIKE if accepted else place[0] != _LONE):
        frozen.inside = 0
        incident.accepted = accepted
        former[place] = incident


def age_former(former: Incidents, failed: bool) -> Incidents:
    """One more execution has come: those that are still kept."""
    kept: Incidents = {}
    for place, incident in former.items():
        frozen = incident.frozen
        if frozen is not None and frozen.inside < KEPT_AFTER:
            frozen.inside = 0 if failed and incident.accepted else frozen.inside + 1
            if incident.accepted:
                frozen.follow(float(failed), MEAN_OF_OUTCOMES)
            kept[place] = incident
    return kept


def take_up(former: Incidents, place: tuple[str, int], incident: Incident) -> None:
    """Hold an incident that opens against what the one before it was, where that ended lately or became the normal."""
    before = former.pop(place, None)
    frozen, new = before.frozen if before is not None else None, incident.frozen
    if before is None or frozen is None or new is None:
        return
    frozen.calm = frozen.quiet = frozen.inside = 0
    incident.frozen = frozen
    if before.accepted:
        frozen.gate = new.gate  # as bad as this one has been: a burst that is worse is news
        frozen.mark_s = 0  # what is accepted next has to stay anew
        incident.had_streak = before.had_streak
    else:
        frozen.mean = new.mean


def pack_incidents(incidents: Incidents, former: bool = False) -> bytes:
    """30 bytes an incident, open or of `former` ones, and 37 or 63 of frozen values."""
    parts = []
    for (rule, subject), incident in incidents.items():
        frozen = incident.frozen
        flags = SEVERITIES.index(incident.severity) << _SEVERITY | incident.reported
        if former:
            flags |= _FORMER
        if incident.had_streak:
            flags |= _STREAK
        if incident.accepted:
            flags |= _ACCEPTED
        if frozen is not None:
            flags |= _HAS_FROZEN
        parts.append(_PACKED.pack(_CODES[rule], flags, subject, incident.opened_ms, UUID(incident.id).bytes))
        if frozen is not None:
            parts.append(frozen.pack() + frozen.offsets)
    return b"".join(parts)


def unpack_incidents(packed: bytes, at: int, count: int) -> tuple[Incidents, Incidents, int]:
    """Read `count` incidents from `at`; returns the open ones, those that ended lately, and where they end."""
    incidents: Incidents = {}
    former: Incidents = {}
    for _ in range(count):
        code, flags, subject, opened_ms, raw = _PACKED.unpack_from(packed, at)
        at += _PACKED.size
        rule = _RULES.get(code)
        if rule is None:
            raise ValueError(f"an open incident of rule {code}, which this version does not know")
        incident = Incident(
            str(UUID(bytes=raw)), opened_ms, SEVERITIES[flags >> _SEVERITY & 3], bool(flags & _REPORTED)
        )
        incident.had_streak, incident.accepted = bool(flags & _STREAK), bool(flags & _ACCEPTED)
        if flags & _HAS_FROZEN:
            incident.frozen, at = _unpack_frozen(packed, at)
        (former if flags & _FORMER else incidents)[rule, subject] = incident
    return incidents, former, at


def _unpack_frozen(packed: bytes, at: int) -> tuple[Frozen, int]:
    baseline, spread, gate, mean, mark, mark_s, since_s, steady, calm, quiet, length = _FROZEN.unpack_from(packed, at)
    begin = at + _FROZEN.size
    frozen = Frozen(baseline, spread, gate, mean, packed[begin : begin + length])
    frozen.mark, frozen.mark_s, frozen.steady, frozen.calm = mark, mark_s, steady, calm
    frozen.quiet, frozen.inside = quiet & _QUIET_MASK, quiet >> _INSIDE
    frozen.since_s = since_s
    return frozen, begin + length
