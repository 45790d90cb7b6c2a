"""What a key keeps of when its runs come: the last one, what all of them share, and those that did not come.

It has this part from its second run on. While nothing is remembered, because no schedule was found, the part is two
bytes (`resting`): most workflows of a CI have none.
"""

from typing import Final, NamedTuple

from librt.strings import BytesWriter
from mypy_extensions import i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import put_u16, put_u32, u16, u32
from stream_detector.detect.codec.crc32 import crc32_of
from stream_detector.detect.statistics.given_schedule import GivenSchedule
from stream_detector.detect.statistics.schedule.schedule import Schedule

MOST_LABELS: Final = 8
MOST_LABEL: Final = 40
"""A label whose value is longer, in bytes, is not kept."""
_RESTS: Final = 0x8000
_RESTED: Final = 12
REST_RUNS: Final = 0xFFF
"""The part of the code that counts runs down."""
_SCHEDULE: Final = 1
_GIVEN: Final = 2
_MISSES: Final = 4
_LABELS: Final = 8
_EXPECTED: Final = 16
_ABOUT: Final = 32
_RETIRED: Final = 64
_DUE: Final = 128
_BY_END: Final = 256
_MOST_VOTES: Final = 20
_ENOUGH_VOTES: Final = 4
_WIDE: Final = 255
_UUID: Final = 254
_SEPARATOR: Final = "\x1f"


class Miss(NamedTuple):
    """A run that did not come: when it usually starts, and by when its event should have been there; epoch s."""

    usual_s: int
    due_s: int


def resting(rested: i64, wait: i64) -> i64:
    """What stands for a key of which nothing is remembered for `wait` runs (4,095 at most), the how manyth time.

    >>> rested_of(resting(2, 64)), is_at_rest(resting(2, 64)), is_at_rest(resting(2, 64) - 64), is_at_rest(0)
    (2, True, False, False)
    """
    return _RESTS | rested << _RESTED | wait


def rested_of(code: i64) -> i64:
    """How often it has rested."""
    return code >> _RESTED & 7


def is_at_rest(code: i64) -> bool:
    """Whether it has not rested for long enough: each run takes 1 from the code."""
    return code & REST_RUNS > 0


def resting_in(packed: bytes, at: i64) -> i64:
    """What `resting` gave, where the part at that place is nothing else; else 0."""
    code = u16(packed, at)
    return code if code & _RESTS else 0


@mypyc_attr(acyclic=True)
class Times:
    """Of one workflow or variant.

    Attributes:
        schedule: what is learned of when it runs; None where `given` holds, by a rule.
        due_s, usual_s: by when the event of the next run is due, and when that run usually starts, epoch s; 0: none is.
        by_end: its runs end at more regular times than they start, so their ends are what is learned and expected.
        start_s, end_s, start_gap_s, end_gap_s: of the last run, and how long after the one before it; by how much those
            change from run to run, runs vote for starts (below 0) or ends: `votes`.
        known_s, live_s: when the first and the newest event arrived, epoch s.
        last_id, last_s: the run that came last, and when it started, epoch s; empty and 0 while there is no schedule.
        name, source: of that run; empty where it gave none, and the name where it is the workflow's id.
        labels: those that the last two runs had alike, `MOST_LABELS` at most: what did not come would have had them.
        seen: hashes of the last run's other labels, 4 bytes each.
        incident_id: of the open incident; empty where none is open.
        misses: the runs in a row that did not come, since the incident was opened; kept when it ends by itself after
            three, until one comes: then `retired` is set.
        fresh, unsent: how many of them, the newest, were found by the last look (not packed), and are to be sent.
        since_s: from when on a rule with this very workflow expects runs, where none came later; epoch s, else 0.
        rule: hash of what that rule expects, 0 without one.
    """

    __slots__ = (
        *("by_end", "due_s", "end_gap_s", "end_s", "fresh", "given", "incident_id", "known_s", "labels", "last_id"),
        *("last_s", "live_s", "misses", "name", "retired", "rule", "schedule", "seen", "since_s", "source"),
        *("start_gap_s", "start_s", "unsent", "usual_s", "votes"),
    )

    def __init__(self) -> None:
        self.schedule: Schedule | None = None
        self.given: GivenSchedule | None = None
        self.due_s: i64 = 0
        self.usual_s: i64 = 0
        self.by_end: bool = False
        self.start_s: i64 = 0
        self.end_s: i64 = 0
        self.start_gap_s: i64 = 0
        self.end_gap_s: i64 = 0
        self.votes: i64 = 0
        self.known_s: i64 = 0
        self.live_s: i64 = 0
        self.last_id: str = ""
        self.last_s: i64 = 0
        self.name: str = ""
        self.source: str = ""
        self.labels: dict[str, str] = {}
        self.seen: bytes = b""
        self.incident_id: str = ""
        self.misses: list[Miss] = []
        self.retired: bool = False
        self.fresh: i64 = 0
        self.unsent: i64 = 0
        self.since_s: i64 = 0
        self.rule: i64 = 0

    @property
    def has_schedule(self) -> bool:
        """Whether runs are expected at known times."""
        schedule = self.schedule
        return self.given is not None or (schedule is not None and schedule.kind != 0)

    @property
    def is_missed(self) -> bool:
        """Whether a run is missing, and its incident open."""
        return len(self.misses) > 0 and not self.retired

    def rewind(self, at_s: i64) -> None:
        """Date nothing after `at_s`: what came from a clock that was ahead is forgotten."""
        self.known_s, self.live_s, self.last_s = min(self.known_s, at_s), min(self.live_s, at_s), min(self.last_s, at_s)
        self.start_s, self.end_s = min(self.start_s, at_s), min(self.end_s, at_s)
        self.start_gap_s = self.end_gap_s = 0
        schedule, given = self.schedule, self.given
        if schedule is not None and schedule.newest > at_s:
            self.schedule = Schedule()
            self.due_s = self.usual_s = 0
        if given is not None:
            given.rule = 0  # it begins anew

    def note_both(self, start_s: i64, end_s: i64) -> i64:
        """Take the times of one more run that was not known to run. Returns the one that its schedule goes by.

        What starts it is regular, as a rule; but of some sources the ends alone are known well, and of a run that is
        recorded by what it waits for, they are what is regular.
        """
        if start_s <= self.start_s or end_s <= self.end_s:  # out of order, or the same
            return end_s if self.by_end else start_s
        start_gap_s, end_gap_s = start_s - self.start_s, end_s - self.end_s
        if self.start_gap_s:
            by_start, by_end = start_gap_s - self.start_gap_s, end_gap_s - self.end_gap_s
            by_start, by_end = max(by_start, -by_start), max(by_end, -by_end)
            if by_end < by_start:
                self.votes = min(self.votes + 1, _MOST_VOTES)
            elif by_start < by_end:
                self.votes = max(self.votes - 1, -_MOST_VOTES)
            if self.votes >= _ENOUGH_VOTES or self.votes <= -_ENOUGH_VOTES:
                self.by_end = self.votes > 0
        if self.start_s:
            self.start_gap_s, self.end_gap_s = start_gap_s, end_gap_s
        self.start_s, self.end_s = start_s, end_s
        return end_s if self.by_end else start_s

    def end_misses(self) -> None:
        """A run has come, or nobody waits for one any more."""
        self.misses, self.incident_id, self.retired, self.fresh, self.unsent = [], "", False, 0, 0

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

    def _flags(self) -> i64:
        """What of the part is there."""
        flags: i64 = 0
        if self.schedule is not None:
            flags |= _SCHEDULE
        if self.given is not None:
            flags |= _GIVEN
        if self.misses:
            flags |= _MISSES
        if self.labels or self.seen:
            flags |= _LABELS
        if self.rule:
            flags |= _EXPECTED
        if self.last_s or self.last_id or self.name or self.source:
            flags |= _ABOUT
        if self.retired:
            flags |= _RETIRED
        if self.due_s:
            flags |= _DUE
        return flags | _BY_END if self.by_end else flags

    def pack(self, w: BytesWriter) -> None:
        """Write what `fill` reads."""
        flags, schedule, given = self._flags(), self.schedule, self.given
        put_u16(w, flags)
        w.append(u8(self.votes + _MOST_VOTES))
        for number in (self.start_s, self.end_s, self.start_gap_s, self.end_gap_s, self.known_s, self.live_s):
            put_u32(w, number)
        if flags & _ABOUT:
            put_u32(w, self.last_s)
            for text in (self.last_id, self.name, self.source):
                _put_text(w, text)
        if flags & _LABELS:
            self._pack_labels(w)
        if flags & _MISSES:
            self._pack_misses(w)
        if flags & _EXPECTED:
            put_u32(w, self.since_s)
            put_u32(w, self.rule)
        if flags & _DUE:
            put_u32(w, self.due_s)
            put_u32(w, self.usual_s)
        if schedule is not None:
            put_u32(w, schedule.due_s)
            schedule.pack(w)
        if given is not None:
            given.pack(w)

    def _pack_labels(self, w: BytesWriter) -> None:
        w.append(u8(len(self.labels) << 4 | len(self.seen) // 4))
        for name, value in self.labels.items():
            _put_text(w, name)
            _put_text(w, value)
        w.write(self.seen)

    def _pack_misses(self, w: BytesWriter) -> None:
        w.append(u8(self.unsent << 4 | len(self.misses)))
        _put_text(w, self.incident_id)
        for miss in self.misses:
            put_u32(w, miss.usual_s)
            put_u32(w, miss.due_s)

    def fill(self, packed: bytes, at: i64) -> i64:
        """Become what was packed, from `at` on, where it is new; returns where it ends."""
        flags = u16(packed, at)
        self.retired = flags & _RETIRED != 0
        self.by_end, self.votes = flags & _BY_END != 0, i64(packed[at + 2]) - _MOST_VOTES
        self.start_s, self.end_s = u32(packed, at + 3), u32(packed, at + 7)
        self.start_gap_s, self.end_gap_s = u32(packed, at + 11), u32(packed, at + 15)
        self.known_s, self.live_s = u32(packed, at + 19), u32(packed, at + 23)
        at += 27
        if flags & _ABOUT:
            self.last_s = u32(packed, at)
            self.last_id, at = _text(packed, at + 4)
            self.name, at = _text(packed, at)
            self.source, at = _text(packed, at)
        if flags & _LABELS:
            at = self._fill_labels(packed, at)
        if flags & _MISSES:
            at = self._fill_misses(packed, at)
        if flags & _EXPECTED:
            self.since_s, self.rule = u32(packed, at), u32(packed, at + 4)
            at += 8
        if flags & _DUE:
            self.due_s, self.usual_s = u32(packed, at), u32(packed, at + 4)
            at += 8
        if flags & _SCHEDULE:
            schedule = self.schedule = Schedule()
            at = schedule.fill(packed, at + 4, u32(packed, at))
        if flags & _GIVEN:
            given = self.given = GivenSchedule()
            at = given.fill(packed, at)
        return at

    def _fill_labels(self, packed: bytes, at: i64) -> i64:
        count, others = packed[at] >> 4, packed[at] & 15
        at += 1
        for _ in range(count):
            name, at = _text(packed, at)
            value, at = _text(packed, at)
            self.labels[name] = value
        begin, at = at, at + 4 * i64(others)
        self.seen = packed[begin:at]
        return at

    def _fill_misses(self, packed: bytes, at: i64) -> i64:
        count, self.unsent = packed[at] & 15, i64(packed[at] >> 4)
        self.incident_id, at = _text(packed, at + 1)
        for _ in range(count):
            self.misses.append(Miss(int(u32(packed, at)), int(u32(packed, at + 4))))
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
