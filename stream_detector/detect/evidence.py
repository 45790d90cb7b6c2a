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
        *("_commit", "_crcs", "_labels", "good_id", "good_ms"),
        *("n", "sequences", "steps", "usual_s", "shares", "spreads"),
    )

    def __init__(self) -> None:
        self.good_id, self.good_ms = "", 0
        self._labels: Mapping[str, str] | None = None
        self._commit, self._crcs = "", array("I")
        self.n, self.sequences = 0, array("I")
        self.steps, self.usual_s, self.shares, self.spreads = array("I"), array("f"), array("f"), array("f")

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
        sequence = sequence_of(steps)
        if sequence in self.sequences:
            self.sequences.remove(sequence)
        self.sequences.append(sequence)
        del self.sequences[:-SEQUENCES]
        total_s = whole_of(steps)
        for step in steps:
            if step.duration_s:
                self._learn_step(crc32(step.name.encode()), step.duration_s, step.duration_s / total_s)

    def _learn_step(self, name: int, duration_s: float, share: float) -> None:
        if name in self.steps:
            at = self.steps.index(name)
            self.usual_s[at] += _WEIGHT * (duration_s - self.usual_s[at])
            off = share - self.shares[at]
            self.shares[at] += _WEIGHT * off
            self.spreads[at] += _WEIGHT * (abs(off) - self.spreads[at])
        elif len(self.steps) < STEPS:
            self.steps.append(name)
            self.usual_s.append(duration_s)
            self.shares.append(share)
            self.spreads.append(0.0)

    def usual_share(self, name: str) -> tuple[float, float] | None:
        """The step's usual share of all steps' time, and its mean absolute deviation."""
        crc = crc32(name.encode())
        if crc not in self.steps:
            return None
        at = self.steps.index(crc)
        return self.shares[at], self.spreads[at]

    def usual_step_s(self, name: str) -> float | None:
        """The step's usual duration in seconds; None where it is not known."""
        crc = crc32(name.encode())
        return self.usual_s[self.steps.index(crc)] if crc in self.steps else None

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
        """The bytes that `unpack` reads: at most 83, and 16 a step and 4 a sequence."""
        self._settle()
        good_id, commit = _short(self.good_id), self._commit.encode()
        id_bytes = _UUID if len(good_id) < len(self.good_id) else len(good_id)
        lengths = len(self.sequences), id_bytes, len(commit), len(self._crcs), len(self.steps)
        head = _HEAD.pack(self.good_ms, self.n, *lengths)
        columns = self._crcs, self.sequences, self.steps, self.usual_s, self.shares, self.spreads
        return b"".join((head, good_id, commit, *(column.tobytes() for column in columns)))

    @classmethod
    def unpack(cls, packed: bytes, at: int) -> tuple["Evidence", int]:
        """Read from `at`; returns the evidence and where it ends."""
        evidence = cls()
        evidence.good_ms, evidence.n, sequences, id_bytes, commit_bytes, labels, steps = _HEAD.unpack_from(packed, at)
        at += _HEAD.size
        if id_bytes == _UUID:
            evidence.good_id, id_bytes = _long(packed[at : at + 16]), 16
        else:
            evidence.good_id = packed[at : at + id_bytes].decode()
        at += id_bytes
        evidence._commit = packed[at : at + commit_bytes].decode()
        at += commit_bytes
        for column, length in (
            (evidence._crcs, labels),
            (evidence.sequences, sequences),
            (evidence.steps, steps),
            (evidence.usual_s, steps),
            (evidence.shares, steps),
            (evidence.spreads, steps),
        ):
            column.frombytes(packed[at : at + 4 * length])
            at += 4 * length
        return evidence, at


def sequence_of(steps: list[Step]) -> int:
    """A hash of the steps' names in their order."""
    return crc32("\x1f".join(step.name for step in steps).encode())


def whole_of(steps: list[Step]) -> float:
    """The time of all steps in seconds."""
    return sum(step.duration_s or 0.0 for step in steps)


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
