"""Baseline <-> bytes: the one place that knows the layout. The first byte is the layout's version.

| version 2 | bytes |
|---|---|
| version, kind (1 workflow, 2 score), flags (1 retired, 2 has executions), recent ids | 4 |
| newest event time in epoch ms, failures in a row, feedbacks, open incidents | 16 |
| recent ids | 8 each, 8 at most |
| open incidents | 30 each |
| workflow: thirty days | 37 and 10 to 14 a closed day, 29 at most |
| workflow: evidence | 15, at most 68 of id (a UUID takes 16), commit and labels, 16 a step (32), 4 a sequence (4) |
| workflow: resources | 1, 24 each (16 at most) |
| workflow: last executions, profile `classic` | 18, 4 each (40 at most) and 8 a duration (30 at most) |
| workflow: level, failures, calm executions; profile `robust` | 81, 2 a reading (76 at most) and 51; 22 and 1 |
| score: drift and last score | 53 and its digits |

A change of layout takes a new version and keeps the decoder of every older one. Version 1 differs in the level alone:
222 bytes, with the tails it had learned of each scale, and without readings and rhythm; and has the part of last
executions always.
"""

import struct
from array import array
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from stream_detector.detect.incident import pack_incidents, unpack_incidents

if TYPE_CHECKING:
    from stream_detector.detect.baseline import ScoreBaseline, WorkflowBaseline

VERSION: Final = 2
_READ: Final = frozenset({1, 2})
WORKFLOW: Final = 1
SCORE: Final = 2
_RETIRED: Final = 1
_EXECUTIONS: Final = 2
_HEAD: Final = struct.Struct("<BBBBqIHH")
_DRIFT: Final = struct.Struct("<IddddddB")


class PackedError(ValueError):
    """The bytes are of no layout that this version reads: a newer one wrote them, or they are not a baseline."""


def pack(baseline: "WorkflowBaseline | ScoreBaseline") -> bytes:
    """The bytes of a baseline; `fill` gives an equal one."""
    ids, incidents = baseline.ids, baseline.incidents
    executions = baseline.KIND == WORKFLOW and bool(baseline.history.times)
    parts = [
        _HEAD.pack(
            VERSION,
            baseline.KIND,
            _RETIRED * baseline.retired | _EXECUTIONS * executions,
            len(ids),
            baseline.newest_ms,
            baseline.streak,
            baseline.feedbacks,
            len(incidents),
        ),
        array("Q", ids).tobytes(),
    ]
    if incidents:
        parts.append(pack_incidents(incidents))
    if baseline.KIND == WORKFLOW:
        parts += (baseline.days.pack(), baseline.evidence.pack(), baseline.resources.pack())
        if executions:
            parts.append(baseline.history.pack())
        if baseline.failures.n:
            parts += (baseline.level.pack(), baseline.failures.pack(), baseline.calm.to_bytes(1, "little"))
    else:
        drift, digits = baseline.drift, b"" if baseline.previous is None else str(baseline.previous).encode()
        sums = drift.rise, drift.fall, drift.least, drift.most
        parts += (_DRIFT.pack(drift.n, drift.mean, drift.scale, *sums, len(digits)), digits)
    return b"".join(parts)


def fill(baseline: "WorkflowBaseline | ScoreBaseline", packed: bytes) -> None:
    """Make an empty baseline equal to the one that was packed. Raises `PackedError`."""
    if not packed or packed[0] not in _READ:
        raise PackedError(f"no baseline of layout 1 or {VERSION} (first byte {packed[:1].hex() or 'absent'})")
    try:
        _fill(baseline, packed)
    except (struct.error, ValueError, ArithmeticError, IndexError) as error:
        raise PackedError(f"truncated or damaged baseline: {error}") from error


def _fill(baseline: "WorkflowBaseline | ScoreBaseline", packed: bytes) -> None:
    version, kind, flags, ids, newest_ms, streak, feedbacks, incidents = _HEAD.unpack_from(packed)
    if kind != baseline.KIND:
        raise ValueError("the key is of another kind")
    baseline.retired = bool(flags & _RETIRED)
    baseline.newest_ms, baseline.streak, baseline.feedbacks = newest_ms, streak, feedbacks
    at = _HEAD.size + 8 * ids
    recent = array("Q")
    recent.frombytes(packed[_HEAD.size : at])
    baseline.ids = recent.tolist()
    if incidents:
        baseline.incidents, at = unpack_incidents(packed, at, incidents)
    if baseline.KIND == WORKFLOW:
        at = baseline.days.fill(packed, at)
        at = baseline.evidence.fill(packed, at)
        at = baseline.resources.fill(packed, at)
        if flags & _EXECUTIONS or version == 1:
            at = baseline.history.fill(packed, at)
        if at < len(packed):
            at = baseline.level.fill_1(packed, at) if version == 1 else baseline.level.fill(packed, at)
            at = baseline.failures.fill(packed, at)
            baseline.calm, at = packed[at], at + 1
    else:
        drift = baseline.drift
        drift.n, drift.mean, drift.scale, *sums, digits = _DRIFT.unpack_from(packed, at)
        drift.rise, drift.fall, drift.least, drift.most = sums
        at += _DRIFT.size + digits
        if digits:
            baseline.previous = Decimal(packed[at - digits : at].decode())
    if at != len(packed):
        raise ValueError(f"{at} bytes were expected, {len(packed)} are there")
