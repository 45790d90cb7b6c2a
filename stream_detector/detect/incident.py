"""The life of an incident: opened by its first anomalous reading, ongoing, resolved by its end."""

import struct
from typing import Final
from uuid import UUID

from stream_detector.events import Severity

DETECTORS = (
    "unusual_execution_time",
    "performance_degradation",
    "spike_in_failures",
    "consecutive_failures",
    "pattern_deviation",
    "resource_exhaustion",
    "significant_score_change",
)
"""The packed value holds a detector's place in this list: append only."""
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
_PACKED: Final = struct.Struct("<BBIq16s")


class Incident:
    """An open incident of one detector and subject (a hash: 0 for none). `told` is False while only learned from."""

    __slots__ = ("id", "opened_ms", "severity", "told")

    def __init__(self, incident_id: str, opened_ms: int, severity: Severity, told: bool) -> None:
        self.id, self.opened_ms, self.severity, self.told = incident_id, opened_ms, severity, told


Incidents = dict[tuple[str, int], Incident]


def pack_incidents(incidents: Incidents) -> bytes:
    """30 bytes an open incident."""
    return b"".join(
        _PACKED.pack(
            DETECTORS.index(detector),
            SEVERITIES.index(incident.severity) << 1 | incident.told,
            subject,
            incident.opened_ms,
            UUID(incident.id).bytes,
        )
        for (detector, subject), incident in incidents.items()
    )


def unpack_incidents(packed: bytes, at: int, count: int) -> tuple[Incidents, int]:
    """Read `count` incidents from `at`; returns them and where they end."""
    incidents: Incidents = {}
    end = at + count * _PACKED.size
    for detector, rest, subject, opened_ms, raw in _PACKED.iter_unpack(packed[at:end]):
        incident = Incident(str(UUID(bytes=raw)), opened_ms, SEVERITIES[rest >> 1], bool(rest & 1))
        incidents[DETECTORS[detector], subject] = incident
    return incidents, end


def remember(ids: list[int], event_hash: int) -> None:
    """Keep the hash of an event id; the oldest beyond `RECENT_IDS` leaves."""
    ids.append(event_hash)
    if len(ids) > RECENT_IDS:
        del ids[0]


RECENT_IDS: Final = 8
"""A retry of an event is recognised unless 8 other events of its key came between; older than that, it counts again."""
