"""The life of an incident: opened by its first anomalous reading, ongoing, resolved by its end."""

import struct
from typing import Final
from uuid import UUID

from mypy_extensions import mypyc_attr

from stream_detector.events import Severity
from stream_detector.events.anomaly_types import SEVERITIES, TYPES

_CODES: Final = {entry.rule: entry.code for entry in TYPES.values()}
_RULES: Final = {code: rule for rule, code in _CODES.items()}
_PACKED: Final = struct.Struct("<BBIq16s")


@mypyc_attr(acyclic=True)
class Incident:
    """An open incident of one rule and subject (a hash: 0 for none). `reported` is False while only learned from."""

    __slots__ = ("id", "opened_ms", "reported", "severity")

    def __init__(self, incident_id: str, opened_ms: int, severity: Severity, reported: bool) -> None:
        self.id, self.opened_ms, self.severity, self.reported = incident_id, opened_ms, severity, reported


Incidents = dict[tuple[str, int], Incident]


def pack_incidents(incidents: Incidents) -> bytes:
    """30 bytes an open incident."""
    return b"".join(
        _PACKED.pack(
            _CODES[rule],
            SEVERITIES.index(incident.severity) << 1 | incident.reported,
            subject,
            incident.opened_ms,
            UUID(incident.id).bytes,
        )
        for (rule, subject), incident in incidents.items()
    )


def unpack_incidents(packed: bytes, at: int, count: int) -> tuple[Incidents, int]:
    """Read `count` incidents from `at`; returns them and where they end."""
    incidents: Incidents = {}
    end = at + count * _PACKED.size
    for code, rest, subject, opened_ms, raw in _PACKED.iter_unpack(packed[at:end]):
        incident = Incident(str(UUID(bytes=raw)), opened_ms, SEVERITIES[rest >> 1], bool(rest & 1))
        rule = _RULES.get(code)
        if rule is None:
            raise ValueError(f"an open incident of rule {code}, which this version does not know")
        incidents[rule, subject] = incident
    return incidents, end
