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
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64, u8

from stream_detector.detect.codec.binary import put_u16, put_u32, u16, u32
from stream_detector.detect.incident import pack_incidents, unpack_incidents

if TYPE_CHECKING:
    from stream_detector.detect.baseline import Baseline, ScoreBaseline, WorkflowBaseline

VERSION: Final = 2
WORKFLOW: Final = 1
SCORE: Final = 2
_RETIRED: Final = 1
_EXECUTIONS: Final = 2
_HEAD: Final = 20
_DRIFT: Final = struct.Struct("<IddddddB")


class PackedError(ValueError):
    """The bytes are of no layout that this version reads: a newer one wrote them, or they are not a baseline."""


def pack_workflow(baseline: "WorkflowBaseline") -> bytes:
    """The bytes of a workflow's baseline; `fill` gives an equal one."""
    executions = baseline.has_executions
    w = _begun(baseline, WORKFLOW, _EXECUTIONS if executions else 0)
    baseline.days.pack(w)
    baseline.evidence.pack(w)
    baseline.resources.pack(w)
    if executions:
        baseline.history.pack(w)
    if baseline.failures.n:
        baseline.level.pack(w)
        baseline.failures.pack(w)
        w.append(u8(baseline.calm))
    return w.getvalue()


def pack_score(baseline: "ScoreBaseline") -> bytes:
    """The bytes of a score's baseline; `fill` gives an equal one."""
    w = _begun(baseline, SCORE, 0)
    drift, digits = baseline.drift, b"" if baseline.previous is None else str(baseline.previous).encode()
    sums = drift.rise, drift.fall, drift.least, drift.most
    w.write(_DRIFT.pack(drift.n, drift.mean, drift.scale, *sums, len(digits)))
    w.write(digits)
    return w.getvalue()


def _begun(baseline: "Baseline", kind: i64, flags: i64) -> BytesWriter:
    """With what both kinds have."""
    ids, incidents = baseline.ids, baseline.incidents
    w = BytesWriter()
    w.append(u8(VERSION))
    w.append(u8(kind))
    w.append(u8(flags | _RETIRED if baseline.retired else flags))
    w.append(u8(len(ids) // 8))
    write_i64_le(w, baseline.newest_ms)
    put_u32(w, baseline.streak)
    put_u16(w, baseline.feedbacks)
    put_u16(w, len(incidents))
    w.write(ids)
    if incidents:
        w.write(pack_incidents(incidents))
    return w


def fill(baseline: "Baseline", packed: bytes) -> None:
    """Make a baseline equal to the one that was packed, whatever it was before. Raises `PackedError`."""
    if not packed or not 1 <= packed[0] <= VERSION:
        raise PackedError(f"no baseline of layout 1 or {VERSION} (first byte {packed[:1].hex() or 'absent'})")
    try:
        at = baseline.fill(packed, _fill(baseline, packed))
        if at != len(packed):
            raise ValueError(f"{at} bytes were expected, {len(packed)} are there")
    except (struct.error, ValueError, ArithmeticError, IndexError) as error:
        raise PackedError(f"truncated or damaged baseline: {error}") from error


def _fill(baseline: "Baseline", packed: bytes) -> i64:
    """What both kinds have; returns where it ends."""
    baseline.retired = packed[2] & _RETIRED != 0
    baseline.newest_ms, baseline.streak, baseline.feedbacks = read_i64_le(packed, 4), u32(packed, 12), u16(packed, 16)
    at = _HEAD + 8 * i64(packed[3])
    baseline.ids = packed[_HEAD:at]
    incidents = u16(packed, 18)
    if incidents:
        baseline.incidents, at = unpack_incidents(packed, at, incidents)
    elif baseline.incidents:
        baseline.incidents = {}
    return at


def fill_workflow(baseline: "WorkflowBaseline", packed: bytes, at: i64) -> i64:
    """What a workflow's baseline has besides, from `at` on; returns where it ends."""
    _check_kind(packed, WORKFLOW)
    version = packed[0]
    at = baseline.days.fill(packed, at)
    at = baseline.evidence.fill(packed, at)
    at = baseline.resources.fill(packed, at)
    baseline.forget_executions()
    if packed[2] & _EXECUTIONS or version == 1:
        at = baseline.history.fill(packed, at)
    if at == len(packed) or version == 1:
        baseline.forget_level()
    if at < len(packed):
        at = baseline.level.fill_1(packed, at) if version == 1 else baseline.level.fill(packed, at)
        at = baseline.failures.fill(packed, at)
        baseline.calm, at = i64(packed[at]), at + 1
    return at


def fill_score(baseline: "ScoreBaseline", packed: bytes, at: i64) -> i64:
    """What a score's baseline has besides, from `at` on; returns where it ends."""
    _check_kind(packed, SCORE)
    drift = baseline.drift
    drift.n, drift.mean, drift.scale, *sums, digits = _DRIFT.unpack_from(packed, at)
    drift.rise, drift.fall, drift.least, drift.most = sums
    at += _DRIFT.size + digits
    baseline.previous = Decimal(packed[at - digits : at].decode()) if digits else None
    return at


def _check_kind(packed: bytes, kind: i64) -> None:
    if packed[1] != kind:
        raise ValueError("the key is of another kind")
