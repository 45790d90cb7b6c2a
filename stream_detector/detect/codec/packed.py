"""The layout of a packed baseline. The first byte is its version; each part packs and fills itself in this order.

| version 4 | bytes |
|---|---|
| version, kind (1 workflow, 2 score), flags, recent ids | 4 |
| newest event time in epoch ms, failures in a row, feedbacks, incidents | 16 |
| record timestamp under which it was set, epoch ms | 8 |
| recent ids | 8 each, 8 at most |
| what says that the newest was ahead of its time: when, hashes; of a score also its digits | 9, 8 each (2); 1 |
| incidents, open or ended at most 60 executions ago | 30 each, and 37 or 63 of frozen values where there are any |
| key of a variant: since when it is there, hashes of its last branches | 10, 4 each (16 at most) |
| workflow: thirty days | 37 and 10 to 14 a closed day, 29 at most |
| workflow: evidence | 15, at most 68 of id (a UUID takes 16), commit and labels, 16 a step (32) |
| more evidence: sets of steps, their names, how often labels change | 5, 15 a set (4), 3 a label (4), 512 of names |
| usual time, good executions from before a shift | 34, and 7, id, commit and labels of each (2) |
| workflow: resources | 1, 24 each (16 at most) |
| workflow: last executions, profile `classic` | 18, 4 each (40 at most) and 8 a duration (30 at most) |
| workflow: level, failures, a byte that is 0; profile `robust` | 81, 2 a reading (76 at most) and 51; 22 and 1 |
| score: drift and last score | 53 and its digits |
| score: sizes of its past changes | 1, 4 each (30 at most) |
| workflow: days and last executions of before a gap of 8 days, for a month | 3 and as above |
| score: scores before the largest gaps | 1, 17 and its digits each (4 at most) |

Flags: 1 retired, 2 has executions, 4 has past changes, 8 has frozen values, 16 has more
evidence, 32 has the usual time, 64 the newest may be ahead of its time, 128 has what was before a gap.

A change of layout takes a new version and keeps the decoder of every older one. Version 3 has no timestamp of the
newest's record, and none of what flags 64 and 128 announce. Version 2 had hashes of sequences of steps instead of sets;
version 3 was written where one of the flags 4, 8, 16 and 32 was set, else version 2. Version 1 differs from that in the
level alone: 222 bytes, with the tails it had learned of each scale, and without readings and rhythm; and has the part
of last executions always.
"""

import struct
from typing import Final

VERSION: Final = 4
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
HEAD: Final = 28
HEAD_3: Final = 20
"""Up to version 3."""
DRIFT: Final = struct.Struct("<IddddddB")
EARLIER: Final = struct.Struct("<qqB")


class PackedError(ValueError):
    """The bytes are of no layout that this version reads: a newer one wrote them, or they are not a baseline."""


def check_version(packed: bytes) -> None:
    """Raises `PackedError` for bytes of no layout that this version reads."""
    if not packed or not 1 <= packed[0] <= VERSION:
        raise PackedError(f"not a baseline of layout 1 to {VERSION} (first byte {packed[:1].hex() or 'absent'})")


def check_kind(packed: bytes, kind: int) -> None:
    """Raises `ValueError` for the bytes of the other kind of baseline."""
    if packed[1] != kind:
        raise ValueError("the baseline is of the other kind (workflow or score) than its key")
