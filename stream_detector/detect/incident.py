"""The life of an incident: opened by its first anomalous reading, ongoing, resolved by its end."""

import struct
from typing import Final
from uuid import UUID
from zlib import adler32, crc32

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64, mypyc_attr

from stream_detector.events import Severity
from stream_detector.events.anomaly_types import SEVERITIES, TYPES

_CODES: Final = {entry.rule: entry.code for entry in TYPES.values()}
_RULES: Final = {code: rule for rule, code in _CODES.items()}
_PACKED: Final = struct.Struct("<BBIq16s")
_crc32: Final = crc32
_adler32: Final = adler32
"""Names of this module, as in `step_completion`: found in 2 ns and not in 40, twice an event."""


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


def hash_of_id(event_id: str, attempt: int = 0) -> i64:
    """64 bits of an event id, and of the attempt where there is one, as a signed number."""
    raw = event_id.encode()
    high: i64 = _crc32(raw, attempt)
    if high >= 0x8000_0000:
        high -= 0x1_0000_0000
    return high << 32 | i64(_adler32(raw, attempt or 1))


def is_recent(ids: bytes, event_hash: i64) -> bool:
    """Whether the hash is among the recent ones, 8 bytes each."""
    at: i64 = 0
    end: i64 = len(ids)
    while at < end:
        if read_i64_le(ids, at) == event_hash:
            return True
        at += 8
    return False


def remember(ids: bytes, event_hash: i64) -> bytes:
    """The recent ones with the hash of an event id; the oldest beyond `RECENT_IDS` leaves."""
    w = BytesWriter()
    w.write(ids if len(ids) < 8 * RECENT_IDS else ids[8:])
    write_i64_le(w, event_hash)
    return w.getvalue()


RECENT_IDS: Final = 8
"""A retry of an event is recognised unless 8 other events of its key came between; older than that, it counts again."""
