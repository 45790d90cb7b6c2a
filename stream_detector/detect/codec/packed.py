"""The layout of a packed baseline. The first byte is its version; each part packs and fills itself in this order.

| versions 4 and 5 | bytes |
|---|---|
| version, kind (1 workflow, 2 score), flags, recent ids | 4 |
| newest event time in epoch ms, failures in a row, feedbacks, incidents | 16 |
| record timestamp under which it was set, epoch ms | 8 |
| version 5: when something is due, epoch s (0: nothing is); further flags | 4, 1 |
| recent ids | 8 each, 8 at most; 32 of a key that has starts |
| what says that the newest was ahead of its time: when, hashes; of a score also its digits | 9, 8 each (2); 1 |
| incidents, open or ended at most 60 executions ago | 30 each, and 37 or 63 of frozen values where there are any |
| key of a variant: since when it is there, hashes of its last branches | 10, 4 each (16 at most) |
| workflow: thirty days | 37 and 10 to 14 a closed day, 29 at most |
| workflow: evidence | 15, at most 68 of id (a UUID takes 16), commit and labels, 16 a step (32) |
| more evidence: sets of steps, their names, how often labels change | 5, 15 a set (4), 3 a label (4), 512 of names |
| usual time, good executions from before a shift | 34, and 7, id, commit and labels of each (2) |
| workflow: resources | 1, 24 each (16 at most) |
| workflow: last executions, profile `classic` | 18, 4 each (40 at most) and 8 a duration (30 at most) |
| workflow: days and last executions of before a gap of 8 days, for a month | 3 and as above |
| version 5, workflow: times of its runs (`detect/times.py`) | 2 without a schedule |
| version 5, workflow: running executions (`detect/running_state.py`) | 30, 8 an end (32), 24 and its id each (16) |
| workflow: level, failures, a byte that is 0; profile `robust` | 81, 2 a reading (76 at most) and 51; 22 and 1 |
| score: drift and last score | 53 and its digits |
| score: sizes of its past changes | 1, 4 each (30 at most) |
| score: scores before the largest gaps | 1, 17 and its digits each (4 at most) |

Flags: 1 retired, 2 has executions, 4 has past changes, 8 has frozen values, 16 has more
evidence, 32 has the usual time, 64 the newest may be ahead of its time, 128 has what was before a gap. Further flags:
1 has times, 2 has starts, 4 has something that is to be sent; the others are of later programs, and such a value is
refused as one of a later version is.

Version 5 is written where one of the further flags is set, else version 4: so a key without times, such as one of
profile `classic` or a score, is still read by a program that does not know them.

A change of layout takes a new version and keeps the decoder of every older one. Version 3 has no timestamp of the
newest's record, and none of what flags 64 and 128 announce. Version 2 had hashes of sequences of steps instead of sets;
version 3 was written where one of the flags 4, 8, 16 and 32 was set, else version 2. Version 1 differs from that in the
level alone: 222 bytes, with the tails it had learned of each scale, and without readings and rhythm; and has the part
of last executions always.
"""

import struct
from typing import Final

from stream_detector.detect.codec.binary import u32

VERSION: Final = 5
VERSION_4: Final = 4
"""Written where there are no further flags."""
WORKFLOW: Final = 1
SCORE: Final = 2
RETIRED: Final = 1
EXECUTIONS: Final = 2
CHANGES: Final = 4
FROZEN: Final = 8
MORE_EVIDENCE: Final = 16
USUAL_TIME: Final = 32
BEFORE_NEWEST: Final = 64
BEFORE_GAP: Final = 128
MOST_CHANGES: Final = 30
TIMES: Final = 1
"""The first of the further flags."""
RUNNING: Final = 2
UNSENT: Final = 4
HEAD: Final = 33
HEAD_4: Final = 28
HEAD_3: Final = 20
"""Up to version 3."""
DUE_AT: Final = 28
FURTHER_AT: Final = 32
_KNOWN: Final = TIMES | RUNNING | UNSENT
_FIRST: Final = bytes([VERSION])
DRIFT: Final = struct.Struct("<IddddddB")
EARLIER: Final = struct.Struct("<qqB")


class PackedError(ValueError):
    """The bytes are of no layout that this version reads: a newer one wrote them, or they are not a baseline."""


def check_version(packed: bytes) -> None:
    """Raises `PackedError` for bytes of no layout that this version reads."""
    if not packed or not 1 <= packed[0] <= VERSION:
        raise PackedError(f"not a baseline of layout 1 to {VERSION} (first byte {packed[:1].hex() or 'absent'})")
    if packed[0] == VERSION and len(packed) > FURTHER_AT and packed[FURTHER_AT] & ~_KNOWN:
        raise PackedError(f"a baseline with parts that this version does not know (flags {packed[FURTHER_AT]:#04x})")


def due_at(packed: bytes) -> int:
    """When something of a key is due, in epoch s, without unpacking its baseline; 0: nothing is.

    >>> due_at(bytes([4]) + bytes(60)), due_at(bytes([5]) + bytes(27) + b"\\x0a" + bytes(30))
    (0, 10)
    """
    return int(u32(packed, DUE_AT)) if packed[:1] == _FIRST and len(packed) > FURTHER_AT else 0


def has_unsent(packed: bytes) -> bool:
    """Whether the clock has found something of a key that nobody knows of yet.

    >>> has_unsent(bytes([4]) + bytes(60)), has_unsent(bytes([5]) + bytes(31) + b"\\x05" + bytes(30))
    (False, True)
    """
    return packed[:1] == _FIRST and len(packed) > FURTHER_AT and packed[FURTHER_AT] & UNSENT != 0


def check_kind(packed: bytes, kind: int) -> None:
    """Raises `ValueError` for the bytes of the other kind of baseline."""
    if packed[1] != kind:
        raise ValueError("the baseline is of the other kind (workflow or score) than its key")
