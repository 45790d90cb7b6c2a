"""Which baselines are of workflows with a single execution, seen in their bytes without unpacking them."""

import struct
from array import array
from collections.abc import Container, Iterable, Iterator
from typing import Final, NamedTuple

from stream_detector.detect.codec.packed import DUE_AT, VERSION, WORKFLOW

QUIET_MS: Final = 35 * 86_400_000
"""Younger than this, nobody can know that it will not run again: a monthly job runs every 31 days at the latest."""

_NEWEST: Final = struct.Struct("<q")
_KIND, _IDS, _NEWEST_AT, _FEEDBACKS, _INCIDENTS, _END = 1, 3, 4, 16, 18, 20
"""Where the head has them (`codec/packed`), the same in every layout."""
_DUE_END: Final = DUE_AT + 4
_NOTHING: Final = bytes(4)


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

    A decision of a person and each attempt of an execution count as further ones: what somebody has looked at stays. So
    does what is waited for: an execution that runs, or a run that a rule expects.

    >>> from stream_detector.detect.baseline import Baseline
    >>> one = Baseline.new("workflow:build-1")
    >>> one.ids = bytes(8)
    >>> single_run_of(b"before" + one.pack(), 6)
    SingleRun(newest_ms=0, has_incident=False)
    >>> one.ids = bytes(16)
    >>> single_run_of(one.pack()), single_run_of(Baseline.new("score:dao").pack())
    (None, None)
    """
    if len(packed) < at + _END or packed[at + _IDS] != 1 or packed[at + _KIND] != WORKFLOW:
        return None
    if packed[at + _FEEDBACKS] or packed[at + _FEEDBACKS + 1]:
        return None
    if packed[at] == VERSION and packed[at + DUE_AT : at + _DUE_END] != _NOTHING:
        return None
    has_incident = bool(packed[at + _INCIDENTS] or packed[at + _INCIDENTS + 1])
    return SingleRun(_NEWEST.unpack_from(packed, at + _NEWEST_AT)[0], has_incident)


class FoundSingleRuns:
    """Workflows with one execution, by number; a tuple for each took six times the memory, for as long as it is looked.

    Attributes:
        keys: of the workflows.
        times: when the execution of each finished, in epoch ms.
        incidents: 1 where one is open, or has ended.
    """

    __slots__ = ("incidents", "keys", "times")

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.times, self.incidents = array("q"), bytearray()

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[tuple[int, bytes, bool]]:
        """Time, key and whether it has an incident of each."""
        return ((at, key, bool(had)) for at, key, had in zip(self.times, self.keys, self.incidents, strict=True))

    def add(self, key: bytes, one: SingleRun) -> None:
        """Add one that `single_run_of` found."""
        self.keys.append(key)
        self.times.append(one.newest_ms)
        self.incidents.append(one.has_incident)


def add_single_runs(values: Iterable[tuple[bytes, bytes]], but: Container[bytes], found: FoundSingleRuns) -> None:
    """Add those that `single_run_of` finds: written out, since that takes 1.5 us a key.

    Args:
        values: keys, and what the changelog has of them: a head of 6 bytes and 9 for each position, then the baseline.
        but: keys that are left out.
        found: they are added to it.
    """
    newest_of = _NEWEST.unpack_from
    add_key, add_time, add_incident = found.keys.append, found.times.append, found.incidents.append
    for key, value in values:
        at = 6 + 9 * value[5]
        if len(value) < at + 20 or value[at + 3] != 1 or value[at + 1] != 1 or value[at + 16] or value[at + 17]:
            continue
        if value[at] == VERSION and value[at + DUE_AT : at + _DUE_END] != _NOTHING:
            continue
        if key not in but:
            add_key(key)
            add_time(newest_of(value, at + 4)[0])
            add_incident(bool(value[at + 18] or value[at + 19]))
