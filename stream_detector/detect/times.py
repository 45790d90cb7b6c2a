"""What a key keeps of when its runs come: the last one, what all of them share, and those that did not come.

It has this part from the event on with which a schedule is looked for. While nothing is remembered, because none was
found, the part is two bytes (`resting`): most workflows of a CI have no schedule.
"""

from typing import Final, NamedTuple

from librt.strings import BytesWriter
from mypy_extensions import i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import put_u16, put_u32, u16, u32
from stream_detector.detect.codec.crc32 import crc32_of

MOST_LABELS: Final = 8
MOST_LABEL: Final = 40
"""A label whose value is longer, in bytes, is not kept."""
MOST_MISSES: Final = 3
"""After so many in a row nothing is missed any more."""
_RESTS: Final = 0x8000
_RESTED: Final = 12
_WAIT: Final = 0xFFF
_MISSES: Final = 4
_LABELS: Final = 8
_EXPECTED: Final = 16
_WIDE: Final = 255
_UUID: Final = 254
_SEPARATOR: Final = "\x1f"


class Miss(NamedTuple):
    """A run that did not come: when it usually starts, and by when its event should have been there; epoch s."""

    usual_s: int
    due_s: int


def resting(rested: i64, wait: i64) -> i64:
    """What stands for a key of which nothing is remembered for `wait` runs (4,095 at most), the how manyth time.

    >>> after_run(resting(2, 64)) == resting(2, 63), rested_of(resting(2, 64)), after_run(resting(2, 1))
    (True, 2, 0)
    """
    return _RESTS | rested << _RESTED | wait


def rested_of(code: i64) -> i64:
    """How often it has rested."""
    return code >> _RESTED & 7


def after_run(code: i64) -> i64:
    """The same after one more run; 0: it has rested long enough."""
    return code - 1 if code & _WAIT > 1 else 0


def resting_in(packed: bytes, at: i64) -> i64:
    """What `resting` gave, where the part at that place is nothing else; else 0."""
    code = u16(packed, at)
    return code if code & _RESTS else 0


@mypyc_attr(acyclic=True)
class Times:
    """Of one workflow or variant.

    Attributes:
        last_id, last_s: the run that came last, and when it started, epoch s; empty and 0 before the first.
        name, source: of that run; empty where it gave none, and the name where it is the workflow's id.
        labels: those that the last two runs had alike, `MOST_LABELS` at most: what did not come would have had them.
        seen: hashes of the last run's other labels, 4 bytes each.
        incident_id: of the open incident; empty where none is open.
        misses: the runs in a row that did not come, since the incident was opened; kept when it ends by itself after
            `MOST_MISSES`, until one comes.
        unsent: how many of them, the newest, nobody knows of yet.
        since_s: from when on a rule with this very workflow expects runs, where none came later; epoch s, else 0.
        rule: hash of what that rule expects, 0 without one.
    """

    __slots__ = (
        *("incident_id", "labels", "last_id", "last_s", "misses", "name", "rule", "seen", "since_s", "source"),
        "unsent",
    )

    def __init__(self) -> None:
        self.last_id: str = ""
        self.last_s: i64 = 0
        self.name: str = ""
        self.source: str = ""
        self.labels: dict[str, str] = {}
        self.seen: bytes = b""
        self.incident_id: str = ""
        self.misses: list[Miss] = []
        self.unsent: i64 = 0
        self.since_s: i64 = 0
        self.rule: i64 = 0

    def keep_labels(self, labels: dict[str, str]) -> None:
        """Take the labels of one more run."""
        known, seen = self.labels, self.seen
        kept: dict[str, str] = {}
        w = BytesWriter()
        others: i64 = 0
        for name, value in labels.items():
            if known.get(name) == value:
                kept[name] = value
                continue
            crc = crc32_of(f"{name}{_SEPARATOR}{value}")
            if _is_among(seen, crc) and len(kept) < MOST_LABELS and len(value.encode()) <= MOST_LABEL:
                kept[name] = value
            elif others < MOST_LABELS:
                put_u32(w, crc)
                others += 1
        self.labels, self.seen = kept, w.getvalue()

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads."""
        labels, seen, misses = self.labels, self.seen, self.misses
        flags: i64 = _MISSES if misses else 0
        if labels or seen:
            flags |= _LABELS
        if self.rule:
            flags |= _EXPECTED
        put_u16(w, flags)
        put_u32(w, self.last_s)
        for text in (self.last_id, self.name, self.source):
            _put_text(w, text)
        if labels or seen:
            w.append(u8(len(labels) << 4 | len(seen) // 4))
            for name, value in labels.items():
                _put_text(w, name)
                _put_text(w, value)
            w.write(seen)
        if misses:
            w.append(u8(self.unsent << 4 | len(misses)))
            _put_text(w, self.incident_id)
            for miss in misses:
                put_u32(w, miss.usual_s)
                put_u32(w, miss.due_s)
        if self.rule:
            put_u32(w, self.since_s)
            put_u32(w, self.rule)

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on, where it is new; returns where it ends."""
        flags = u16(packed, at)
        self.last_s = u32(packed, at + 2)
        self.last_id, at = _text(packed, at + 6)
        self.name, at = _text(packed, at)
        self.source, at = _text(packed, at)
        if flags & _LABELS:
            count, others = packed[at] >> 4, packed[at] & 15
            at += 1
            for _ in range(count):
                name, at = _text(packed, at)
                value, at = _text(packed, at)
                self.labels[name] = value
            begin, at = at, at + 4 * i64(others)
            self.seen = packed[begin:at]
        if flags & _MISSES:
            count, self.unsent = packed[at] & 15, i64(packed[at] >> 4)
            self.incident_id, at = _text(packed, at + 1)
            for _ in range(count):
                self.misses.append(Miss(int(u32(packed, at)), int(u32(packed, at + 4))))
                at += 8
        if flags & _EXPECTED:
            self.since_s, self.rule = u32(packed, at), u32(packed, at + 4)
            at += 8
        return at


def _is_among(seen: bytes, crc: i64) -> bool:
    at: i64 = 0
    end = i64(len(seen))
    while at < end:
        if u32(seen, at) == crc:
            return True
        at += 4
    return False


def _put_text(w: BytesWriter, text: str) -> None:
    """Write a text of up to 65,535 bytes, its length before it; a UUID in its usual form takes 17 bytes."""
    if len(text) == 36:
        raw = _uuid_of(text)
        if raw:
            w.append(u8(_UUID))
            w.write(raw)
            return
    encoded = text.encode()
    length = i64(len(encoded))
    if length < _UUID:
        w.append(u8(length))
    else:
        w.append(u8(_WIDE))
        put_u16(w, length)
    w.write(encoded)


def _text(packed: bytes, at: i64) -> tuple[str, i64]:
    length = i64(packed[at])
    at += 1
    if length == _UUID:
        return _written_uuid(_taken(packed, at, 16)), at + 16
    if length == _WIDE:
        length, at = u16(packed, at), at + 2
    return _taken(packed, at, length).decode(), at + length


def _taken(packed: bytes, at: i64, length: i64) -> bytes:
    if at + length > len(packed):
        raise IndexError("it ends within a text")
    return packed[at : at + length]


def _uuid_of(text: str) -> bytes:
    """The 16 bytes of a UUID in its usual form; none for any other text of its length."""
    try:
        raw = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return b""
    return raw if len(raw) == 16 and _written_uuid(raw) == text else b""


def _written_uuid(raw: bytes) -> str:
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
