"""What is remembered of good executions so that an anomaly can say what changed: their steps, commit and labels."""

import struct
from array import array
from collections.abc import Mapping
from typing import Final
from zlib import crc32

from stream_detector.events import Completion, Step

STEPS: Final = 32
"""At most so many steps of a workflow are remembered; 16 bytes each."""
SEQUENCES: Final = 4
"""So many different sequences of steps are remembered, the latest ones; 4 bytes each."""
_LABELS: Final = 4
_COMMIT: Final = 12
_ID: Final = 40
_WEIGHT: Final = 0.1
"""Weight of the newest execution in a step's usual duration."""
_UUID: Final = 0xFF
"""Stands for the length of an id that is packed as a UUID."""
_HEAD: Final = struct.Struct("<qHBBBBB")


class Evidence:
    """The last good execution and each step's usual duration.

    `good_id` is empty for an id of more than 40 characters, or beyond ASCII.
    """

    __slots__ = (
        *("_asked", "_asked_for", "_commit", "_crcs", "_labels", "_places", "good_id", "good_ms"),
        *("n", "sequences", "steps", "usual_s", "shares", "spreads"),
    )

    def __init__(self) -> None:
        self.good_id, self.good_ms = "", 0
        self._labels: Mapping[str, str] | None = None
        self._commit, self._crcs = "", array("I")
        self.n, self.sequences = 0, array("I")
        self.steps, self.usual_s, self.shares, self.spreads = array("I"), array("f"), array("f"), array("f")
        self._places: dict[str, int] = {}
        """Where a step lies, by its name; filled when first asked for. The hash of a name takes five times as long."""
        self._asked_for: list[Step] | None = None
        self._asked = 0

    def learn(self, event: Completion, finished_ms: int) -> None:
        """Remember a good execution."""
        good_id = event.execution_id
        self.good_id = good_id if len(good_id) <= _ID and good_id.isascii() else ""
        self.good_ms = finished_ms
        self._labels = event.labels
        if event.steps:
            self._learn_steps(event.steps)

    def _learn_steps(self, steps: list[Step]) -> None:
        self.n = min(self.n + 1, 0xFFFF)
        sequence = self.sequence(steps)
        self._asked_for = None
        if not self.sequences or self.sequences[-1] != sequence:
            if sequence in self.sequences:
                self.sequences.remove(sequence)
            self.sequences.append(sequence)
            del self.sequences[:-SEQUENCES]
        total_s = whole_of(steps)
        usual_s, shares, spreads = self.usual_s, self.shares, self.spreads
        for step in steps:
            duration_s = step.duration_s
            if not duration_s:
                continue
            share = duration_s / total_s
            at = self._place(step.name)
            if at >= 0:
                usual: float = usual_s[at]
                usual_s[at] = usual + _WEIGHT * (duration_s - usual)
                usual = shares[at]
                off = share - usual
                shares[at] = usual + _WEIGHT * off
                usual = spreads[at]
                spreads[at] = usual + _WEIGHT * (abs(off) - usual)
            elif len(self.steps) < STEPS:
                self.steps.append(crc32(step.name.encode()))
                usual_s.append(duration_s)
                shares.append(share)
                spreads.append(0.0)

    def _place(self, name: str) -> int:
        """Where the step lies, -1 if it is not known."""
        at = self._places.get(name, -1)
        if at < 0:
            crc = crc32(name.encode())
            if crc in self.steps:
                at = self._places[name] = self.steps.index(crc)
        return at

    def sequence(self, steps: list[Step]) -> int:
        """A hash of the steps' names in their order; of the execution that is judged and then learned once."""
        if self._asked_for is not steps:
            self._asked_for = steps
            self._asked = crc32("\x1f".join([step.name for step in steps]).encode())
        return self._asked

    def furthest(self, steps: list[Step], total_s: float, least: float, spreads: float) -> Step | None:
        """The step whose share is furthest off its usual one: `least` or more, and above so many mean deviations."""
        furthest, found = 0.0, None
        for step in steps:
            at = self._place(step.name)
            if at < 0:
                continue
            usual: float = self.shares[at]
            off = abs((step.duration_s or 0.0) / total_s - usual)
            if off >= least and off > furthest and off > spreads * self.spreads[at]:
                furthest, found = off, step
        return found

    def usual_share(self, name: str) -> tuple[float, float] | None:
        """The step's usual share of all steps' time, and its mean absolute deviation."""
        at = self._place(name)
        return (self.shares[at], self.spreads[at]) if at >= 0 else None

    def usual_step_s(self, name: str) -> float | None:
        """The step's usual duration in seconds; None where it is not known."""
        at = self._place(name)
        return self.usual_s[at] if at >= 0 else None

    def commit(self) -> str:
        """The first 12 characters of the last good execution's label `commit`, or nothing."""
        self._settle()
        return self._commit

    def new_labels(self, labels: Mapping[str, str]) -> list[str]:
        """The names of the labels, commit aside, whose value was not among those of the last good execution."""
        self._settle()
        if not self._crcs:
            return []
        return [name for name in _told(labels) if _crc(name, labels[name]) not in self._crcs]

    def _settle(self) -> None:
        """Shorten the labels of the last good execution to what is kept; left until somebody asks, as most never do."""
        if self._labels is not None:
            self._commit = self._labels.get("commit", "").encode()[:_COMMIT].decode(errors="ignore")
            self._crcs = array("I", [_crc(name, self._labels[name]) for name in _told(self._labels)])
            self._labels = None

    def pack(self) -> bytes:
        """The bytes that `fill` reads: at most 83, and 16 a step and 4 a sequence."""
        self._settle()
        good_id, commit = _short(self.good_id), self._commit.encode()
        id_bytes = _UUID if len(good_id) < len(self.good_id) else len(good_id)
        lengths = len(self.sequences), id_bytes, len(commit), len(self._crcs), len(self.steps)
        head = _HEAD.pack(self.good_ms, self.n, *lengths) + good_id + commit + self._crcs.tobytes()
        if not self.n:
            return head  # no steps were ever seen
        columns = self.sequences, self.steps, self.usual_s, self.shares, self.spreads
        return head + b"".join([column.tobytes() for column in columns])

    def fill(self, packed: bytes, at: int) -> int:
        """Become what was packed, from `at` on, if new; returns where it ends."""
        self.good_ms, self.n, sequences, id_bytes, commit_bytes, labels, steps = _HEAD.unpack_from(packed, at)
        at += _HEAD.size
        if id_bytes == _UUID:
            self.good_id, id_bytes = _long(packed[at : at + 16]), 16
        else:
            self.good_id = packed[at : at + id_bytes].decode()
        at += id_bytes
        self._commit = packed[at : at + commit_bytes].decode()
        at += commit_bytes
        self._crcs.frombytes(packed[at : at + 4 * labels])
        at += 4 * labels
        if not self.n:
            return at  # no steps were ever seen
        for column, length in (
            (self.sequences, sequences),
            (self.steps, steps),
            (self.usual_s, steps),
            (self.shares, steps),
            (self.spreads, steps),
        ):
            column.frombytes(packed[at : at + 4 * length])
            at += 4 * length
        return at


def whole_of(steps: list[Step]) -> float:
    """The time of all steps in seconds."""
    total_s = 0.0
    for step in steps:
        total_s += step.duration_s or 0.0
    return total_s


def _short(execution_id: str) -> bytes:
    """A UUID in its usual form as 16 bytes, any other id as it is."""
    if len(execution_id) == 36 and execution_id.count("-") == 4:
        try:
            short = bytes.fromhex(execution_id.replace("-", ""))
        except ValueError:
            return execution_id.encode()
        if len(short) == 16 and _long(short) == execution_id:
            return short
    return execution_id.encode()


def _long(short: bytes) -> str:
    digits = short.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _told(labels: Mapping[str, str]) -> list[str]:
    return sorted(name for name in labels if name != "commit")[:_LABELS]


def _crc(name: str, value: str) -> int:
    return crc32(f"{name}\x1f{value}".encode())
