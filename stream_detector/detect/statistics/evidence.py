"""What is remembered of good executions so that an anomaly can say what changed: their steps, commit and labels."""

from functools import lru_cache
from typing import Final
from zlib import crc32

from librt.strings import BytesWriter, read_f32_le, read_i64_le, write_f32_le, write_i64_le
from librt.vecs import append, vec
from mypy_extensions import i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import f32, find_u32, put_u16, put_u32, u16, u32
from stream_detector.detect.codec.crc32 import crc32_of
from stream_detector.events import Completion, Step

STEPS: Final = 32
"""At most so many steps of a workflow are remembered; 16 bytes each."""
SEQUENCES: Final = 4
"""So many different sequences of steps are remembered, the latest ones; 4 bytes each."""
_LABELS: Final = 4
_COMMIT: Final = 12
_ID: Final = 40
_WEIGHT: Final = 0.1
"""Weight of the newest execution in a step's expected duration."""
_UUID: Final = 0xFF
"""Stands for the length of an id that is packed as a UUID."""
_SEPARATOR: Final = "\x1f"
_LONGEST: Final = 4_000
"""Names of this many characters at most are cached, 2,000 times: 8 MB, if a producer should want them full."""
_UUID_BYTE: Final = b"\xff"
_HEAD: Final = 15
_STEP: Final = 16


@mypyc_attr(acyclic=True)
class StepNames:
    """The names of some steps in their order: a hash of all, and the hashes of each, 4 bytes."""

    __slots__ = ("hashes", "sequence")

    def __init__(self, names: list[str], joined: str) -> None:
        self.sequence: i64 = crc32(joined.encode())
        w = BytesWriter()
        for name in names:
            put_u32(w, crc32_of(name))
        self.hashes: bytes = w.getvalue()


_cached_names: Final = lru_cache(maxsize=2_000)(lambda joined: StepNames(joined.split(_SEPARATOR), joined))
"""They recur in every event: one look-up for all steps."""


def _names_of(steps: list[Step]) -> StepNames:
    names = [step.name for step in steps]
    joined = _SEPARATOR.join(names)
    # A name with the separator in it: other names may give the same text.
    if len(joined) > _LONGEST or joined.count(_SEPARATOR) >= len(names):
        return StepNames(names, joined)
    found: StepNames = _cached_names(joined)
    return found


@mypyc_attr(acyclic=True)
class ObservedSteps:
    """What is asked of an execution's steps, found once: it is judged and then learned.

    `total_s` is the time of all, `places` says where each lies in the evidence, -1 for one that is not known.
    """

    __slots__ = ("durations_s", "names", "places", "steps", "total_s")

    def __init__(self, steps: list[Step]) -> None:
        self.steps, self.names = steps, _names_of(steps)
        self.total_s: float = 0.0
        durations_s = vec[float](capacity=len(steps))
        for step in steps:
            given = step.duration_s
            duration_s: float = 0.0 if given is None else given
            durations_s = append(durations_s, duration_s)
            self.total_s += duration_s
        self.durations_s = durations_s
        self.places = vec[i64]()


@mypyc_attr(acyclic=True)
class Evidence:
    """The last good execution and each step's expected duration.

    `sequences` are hashes of 4 bytes; `columns` holds, each for all steps in the order in which they came: the names'
    hashes, the expected durations (s), the expected shares of all steps' time and their mean deviations, 4 bytes each.
    """

    __slots__ = ("_commit", "_crcs", "_good", "_id", "_labels", "_observed", "columns", "good_ms", "n", "sequences")

    def __init__(self) -> None:
        self.good_ms: i64 = 0
        self.n: i64 = 0
        self.sequences: bytes = b""
        self.columns: bytes = b""
        self._id: str | None = ""
        self._good: bytes = b""
        """The id of the last good execution as it was packed, where `_id` is None: most of the time nobody asks."""
        self._labels: dict[str, str] | None = None
        self._commit: bytes = b""
        self._crcs: bytes = b""
        self._observed: ObservedSteps | None = None

    @property
    def good_id(self) -> str:
        """The id of the last good execution; empty for one of more than 40 characters, or beyond ASCII."""
        if self._id is not None:
            return self._id if _is_kept(self._id) else ""
        return _unpacked_id(self._good) if self._good[:1] == _UUID_BYTE else self._good[1:].decode()

    def learn(self, event: Completion, finished_ms: i64) -> None:
        """Remember a good execution."""
        self._id = event.execution_id
        self.good_ms = finished_ms
        self._labels = event.labels
        steps = event.steps
        if steps:
            self._learn_steps(self.observe(steps))
            self._observed = None

    def observe(self, steps: list[Step]) -> ObservedSteps:
        """What is asked of these steps."""
        seen = self._observed
        if seen is not None and seen.steps is steps:
            return seen
        seen = self._observed = ObservedSteps(steps)
        hashes, known = seen.names.hashes, len(self.columns) // _STEP
        in_order = len(steps) <= known and self.columns.startswith(hashes)  # as most are: nothing is looked for
        places = vec[i64](capacity=len(steps))
        place: i64 = 0
        while place < len(steps):
            places = append(places, place if in_order else self._place(u32(hashes, 4 * place)))
            place += 1
        seen.places = places
        return seen

    def _learn_steps(self, seen: ObservedSteps) -> None:
        self.n = min(self.n + 1, 0xFFFF)
        self._remember_sequence(seen.names.sequence)
        columns, places, total_s = self.columns, seen.places, seen.total_s
        known: i64 = len(columns) // _STEP
        expected_s, shares, spreads = vec[float](capacity=known), vec[float](capacity=known), vec[float](capacity=known)
        at: i64 = 0
        while at < known:
            expected_s = append(expected_s, read_f32_le(columns, 4 * (known + at)))
            shares = append(shares, read_f32_le(columns, 4 * (2 * known + at)))
            spreads = append(spreads, read_f32_le(columns, 4 * (3 * known + at)))
            at += 1
        new: list[i64] = []
        learned: i64 = 0  # a bit for each place
        index: i64 = 0
        while index < len(places):
            at, duration_s = places[index], seen.durations_s[index]
            if duration_s:
                share = duration_s / total_s
                if at < 0:
                    crc = u32(seen.names.hashes, 4 * index)
                    if crc in new:
                        at = known + new.index(crc)
                    elif known + len(new) < STEPS:
                        learned |= 1 << (known + len(new))
                        new.append(crc)
                        expected_s, shares = append(expected_s, duration_s), append(shares, share)
                        spreads = append(spreads, 0.0)
                if at >= 0:
                    if learned >> at & 1:  # a second step of that name: as if the first had been written down
                        expected_s[at], shares[at], spreads[at] = f32(expected_s[at]), f32(shares[at]), f32(spreads[at])
                    learned |= 1 << at
                    expected_s[at] += _WEIGHT * (duration_s - expected_s[at])
                    off = share - shares[at]
                    shares[at] += _WEIGHT * off
                    spreads[at] += _WEIGHT * (abs(off) - spreads[at])
            index += 1
        w = BytesWriter()
        w.write(columns[: 4 * known])
        for crc in new:
            put_u32(w, crc)
        for column in (expected_s, shares, spreads):
            for number in column:
                write_f32_le(w, number)
        self.columns = w.getvalue()

    def _remember_sequence(self, sequence: i64) -> None:
        """The newest comes last, and once."""
        sequences = self.sequences
        newest: i64 = len(sequences) // 4 - 1
        place = find_u32(sequences, newest + 1, sequence)
        if place >= 0:
            if place == newest:
                return
            sequences = sequences[: 4 * place] + sequences[4 * place + 4 :]
        w = BytesWriter()
        w.write(sequences[-4 * (SEQUENCES - 1) :])
        put_u32(w, sequence)
        self.sequences = w.getvalue()

    def _place(self, crc: i64) -> i64:
        """Where the step of that hash lies, -1 if it is not known."""
        return find_u32(self.columns, len(self.columns) // _STEP, crc)

    def is_new(self, sequence: i64) -> bool:
        """Whether a sequence is none of those that are remembered."""
        return find_u32(self.sequences, len(self.sequences) // 4, sequence) < 0

    def furthest(self, seen: ObservedSteps, least: float, spreads: float) -> i64:
        """Which step's share is furthest off: by `least` or more, and above `spreads` mean deviations; -1 for none."""
        columns, total_s = self.columns, seen.total_s
        known: i64 = len(columns) // _STEP
        found: i64 = -1
        index: i64 = 0
        furthest = 0.0
        while index < len(seen.places):
            at = seen.places[index]
            if at >= 0:
                off = abs(seen.durations_s[index] / total_s - read_f32_le(columns, 4 * (2 * known + at)))
                if off >= least and off > furthest and off > spreads * read_f32_le(columns, 4 * (3 * known + at)):
                    furthest, found = off, index
            index += 1
        return found

    def expected_share(self, name: str) -> tuple[float, float] | None:
        """The step's expected share of all steps' time, and its mean absolute deviation."""
        at, known = self._place(crc32_of(name)), len(self.columns) // _STEP
        if at < 0:
            return None
        return read_f32_le(self.columns, 4 * (2 * known + at)), read_f32_le(self.columns, 4 * (3 * known + at))

    def expected_step_s(self, name: str) -> float | None:
        """The step's expected duration in seconds; None where it is not known."""
        at, known = self._place(crc32_of(name)), len(self.columns) // _STEP
        return read_f32_le(self.columns, 4 * (known + at)) if at >= 0 else None

    def commit(self) -> str:
        """The first 12 characters of the last good execution's label `commit`, or nothing."""
        self._pack_labels()
        return self._commit.decode()

    def new_labels(self, labels: dict[str, str]) -> list[str]:
        """The names of the labels, commit aside, whose value was not among those of the last good execution."""
        self._pack_labels()
        if not self._crcs:
            return []
        known = len(self._crcs) // 4
        return [
            name for name in _compared(labels) if find_u32(self._crcs, known, _hash_of_label(name, labels[name])) < 0
        ]

    def _pack_labels(self) -> None:
        """Shorten the labels of the last good execution to what is kept: when they are packed, or asked for."""
        labels = self._labels
        if labels is None:
            return
        self._labels, self._commit, self._crcs = None, b"", b""
        if labels:
            commit = labels.get("commit")
            if commit is not None:  # no character is cut through
                self._commit = commit.encode()[:_COMMIT].decode(errors="ignore").encode()
            w = BytesWriter()
            for name in _compared(labels):
                put_u32(w, _hash_of_label(name, labels[name]))
            self._crcs = w.getvalue()

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads: at most 83 bytes, and 16 a step and 4 a sequence."""
        self._pack_labels()
        if self._id is not None:
            self._good, self._id = _packed_id(self._id), None
        write_i64_le(w, self.good_ms)
        put_u16(w, self.n)
        w.append(u8(len(self.sequences) // 4))
        w.append(u8(self._good[0] if self._good else 0))
        w.append(u8(len(self._commit)))
        w.append(u8(len(self._crcs) // 4))
        w.append(u8(len(self.columns) // _STEP))
        w.write(self._good[1:])
        w.write(self._commit)
        w.write(self._crcs)
        w.write(self.sequences)
        w.write(self.columns)

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on; returns where it ends."""
        self._labels = self._observed = None
        self.good_ms, self.n = read_i64_le(packed, at), u16(packed, at + 8)
        id_bytes = i64(packed[at + 11])
        begin = at + _HEAD
        end = begin + (16 if id_bytes == _UUID else id_bytes)
        self._id, self._good = None, packed[at + 11 : at + 12] + packed[begin:end]
        begin, end = end, end + i64(packed[at + 12])
        self._commit = packed[begin:end]
        begin, end = end, end + 4 * i64(packed[at + 13])
        self._crcs = packed[begin:end]
        begin, end = end, end + 4 * i64(packed[at + 10])
        self.sequences = packed[begin:end]
        begin, end = end, end + _STEP * i64(packed[at + 14])
        self.columns = packed[begin:end]
        return end


def _packed_id(execution_id: str) -> bytes:
    """The id with its length before it: a UUID in its usual form takes 16 bytes, and none is kept of a long one."""
    if not _is_kept(execution_id):
        return b""
    raw = execution_id.encode()
    w = BytesWriter()
    if len(raw) == 36:
        w.append(u8(_UUID))
        at: i64 = 0
        while at < 36:
            if at == 8 or at == 13 or at == 18 or at == 23:
                if raw[at] != 0x2D:
                    break
                at += 1
            high, low = _digit(i64(raw[at])), _digit(i64(raw[at + 1]))
            if high < 0 or low < 0:
                break
            w.append(u8(high << 4 | low))
            at += 2
        if at == 36:
            return w.getvalue()
        w = BytesWriter()
    w.append(u8(len(raw)))
    w.write(raw)
    return w.getvalue()


def _is_kept(execution_id: str) -> bool:
    return len(execution_id) <= _ID and execution_id.isascii()


def _digit(character: i64) -> i64:
    """The value of a hexadecimal digit, in small letters as a UUID is usually written; -1 for anything else."""
    if 0x30 <= character <= 0x39:
        return character - 0x30
    return character - 0x57 if 0x61 <= character <= 0x66 else -1


def _unpacked_id(short: bytes) -> str:
    digits = short[1:].hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _hash_of_label(name: str, value: str) -> i64:
    """The hash of a label.

    >>> _hash_of_label("branch", "main") == crc32(b"branch\\x1fmain")
    True
    """
    return crc32_of(f"{name}{_SEPARATOR}{value}")


def _compared(labels: dict[str, str]) -> list[str]:
    names = [name for name in labels if name != "commit"]
    names.sort()
    del names[_LABELS:]
    return names
