"""What the baseline of a variant keeps besides a workflow's: since when it is there, and on which branches it ran last.

In the variants `pull request` and `branch` a failure is somebody's daily work, on a branch of its own. Several branches
that fail in a row are not: what they share, an image or a service, is broken.
"""

from math import ceil, log
from typing import Final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import put_u32, u32
from stream_detector.detect.codec.crc32 import crc32_of
from stream_detector.events.variant import BRANCH, PULL_REQUEST, UNNAMED_CHILD

OF_BRANCHES: Final = frozenset({PULL_REQUEST, BRANCH})
LABEL: Final = "branch"
MOST: Final = 16
"""Executions whose branches are kept."""
LEAST: Final = 4
"""Fewer branches that fail in a row are nothing: three pull requests often fail once each."""
LEAST_COLD: Final = 6
"""While the failure rate is not known yet."""
RARE: Final = 3e-4
"""So small the chance of as many failures must be. Of made histories with 30 branches of which 14 to 52 % of the runs
fail there are 0.1 false alarms in 1,000 runs with this, 0.4 with 1e-3, and 30 where three branches are enough
(docs/detection.md)."""
VERY_RARE: Final = 1e-5
_SIZE: Final = 4


def is_of_branches(variant: str | None) -> bool:
    """Whether failures of the variant count by their branches.

    So do those of child pipelines without a name: several of one commit are in it, so their failures in a row are one
    commit's, and their parent fails with them.

    >>> [is_of_branches(name) for name in ("branch", "child:unnamed", "child:deploy", "schedule", None)]
    [True, True, False, False, False]
    """
    return variant is not None and (variant in OF_BRANCHES or variant.startswith(UNNAMED_CHILD))


@mypyc_attr(acyclic=True)
class VariantState:
    """Of one variant of a workflow.

    Attributes:
        since_ms: when its first execution was, epoch ms; 0: there is none.
        branches: hashes of the branches of its last executions, 4 bytes each, the newest last; empty where the variant
            is not of branches.
        reported: as what the streak of now was reported, beyond `info`: 1 `warning`, 2 `critical`, 0 nothing.
    """

    __slots__ = ("branches", "reported", "since_ms")

    def __init__(self) -> None:
        self.since_ms: i64 = 0
        self.branches: bytes = b""
        self.reported: i64 = 0

    def note(self, branch: str | None, failed: bool, at_ms: i64) -> None:
        """One more execution.

        Args:
            branch: of a variant of branches; empty where the execution names none. None: of another variant.
        """
        if not self.since_ms:
            self.since_ms = at_ms
        if not failed:
            self.reported = 0
        if branch is not None:
            w = BytesWriter()
            w.write(self.branches[-_SIZE * (MOST - 1) :])
            put_u32(w, crc32_of(branch))
            self.branches = w.getvalue()

    def rewind(self, at_ms: i64) -> None:
        """Date nothing after `at_ms`."""
        self.since_ms = min(self.since_ms, at_ms)

    def failing_branches(self, streak: i64) -> int:
        """How many branches the last executions are of, as many as the streak has, `MOST` at most."""
        size = _SIZE * min(streak, MOST)
        kept = self.branches[-size:] if size else b""
        return len({u32(kept, at) for at in range(0, len(kept), _SIZE)})

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: 10 bytes and 4 a branch, 74 at most."""
        write_i64_le(w, self.since_ms)
        w.append(u8(self.reported))
        w.append(u8(len(self.branches) // _SIZE))
        w.write(self.branches)

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on; returns where it ends."""
        self.since_ms, self.reported = read_i64_le(packed, at), i64(packed[at + 8])
        begin, end = at + 10, at + 10 + _SIZE * i64(packed[at + 9])
        self.branches = packed[begin:end]
        return end


def branches_needed(rate: float, chance: float, is_warm: bool) -> int:
    """So many branches in a row must fail for their failures to have a smaller chance at this failure rate.

    >>> [branches_needed(rate, RARE, True) for rate in (0.01, 0.1, 0.3, 0.5, 1.0)]
    [4, 4, 7, 12, 17]
    """
    least = LEAST if is_warm else LEAST_COLD
    if rate >= 1.0:
        return MOST + 1
    return min(max(least, ceil(log(chance) / log(max(rate, 1e-6)))), MOST + 1)
