"""Which baselines are of workflows with a single execution, seen in their bytes without unpacking them."""

import struct
from typing import Final, NamedTuple

from stream_detector.detect.codec.packed import HEAD, WORKFLOW

QUIET_MS: Final = 35 * 86_400_000
"""Younger than this, nobody can know that it will not run again: a monthly job runs every 31 days at the latest."""

_HEAD: Final = struct.Struct("<xBxBqIHH")


class SingleRun(NamedTuple):
    """What the head of such a baseline has.

    Attributes:
        newest_ms: when its execution finished, in epoch ms; 0 where it counts in nothing (cancelled, for example).
        has_incident: an incident is open, or has ended.
    """

    newest_ms: int
    has_incident: bool


def single_run_of(packed: bytes, at: int = 0) -> SingleRun | None:
    """The baseline that begins at `at` in these bytes; None where it is of anything but one execution.

    A decision of a person and each attempt of an execution count as further ones: what somebody has looked at stays.

    >>> from stream_detector.detect.baseline import Baseline
    >>> one = Baseline.new("workflow:build-1")
    >>> one.ids = bytes(8)
    >>> single_run_of(b"before" + one.pack(), 6)
    SingleRun(newest_ms=0, has_incident=False)
    >>> one.ids = bytes(16)
    >>> single_run_of(one.pack()), single_run_of(Baseline.new("score:dao").pack())
    (None, None)
    """
    if len(packed) < at + HEAD:
        return None
    kind, ids, newest_ms, _, feedbacks, incidents = _HEAD.unpack_from(packed, at)
    if kind != WORKFLOW or ids != 1 or feedbacks:
        return None
    return SingleRun(newest_ms, incidents > 0)
