"""The ids of a key's last events, 8 bytes each, so that an event that comes twice counts once.

>>> ids = remember(b"", hash_of_id("x1"))
>>> is_recent(ids, hash_of_id("x1")), is_recent(ids, hash_of_id("x1", attempt=2))
(True, False)
"""

from typing import Final
from zlib import adler32, crc32

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

RECENT_IDS: Final = 8
"""A retry of an event is recognised unless 8 other events of its key came between; older than that, it counts again."""
WITH_STARTS: Final = 32
"""So many of a key whose executions have starts: a start that comes after its end must not run for ever."""
_MOST_BACK: Final = 20
"""An attempt so many after the last that was seen is still of the same execution: those between were cancelled."""
_crc32: Final = crc32
_adler32: Final = adler32
"""Names of this module, as in `step_completion`: found in 2 ns and not in 40, twice an event."""


def hash_of_id(event_id: str, attempt: int = 0) -> i64:
    """64 bits of an event id, and of the attempt where there is one, as a signed number."""
    raw = event_id.encode()
    high: i64 = _crc32(raw, attempt)
    if high >= 0x8000_0000:
        high -= 0x1_0000_0000
    return high << 32 | i64(_adler32(raw, attempt or 1))


def is_recent(ids: bytes, event_hash: i64) -> bool:
    """Whether the hash is among the recent ones, 8 bytes each."""
    at: i64 = 0
    end: i64 = len(ids)
    while at < end:
        if read_i64_le(ids, at) == event_hash:
            return True
        at += 8
    return False


def remember_uncounted(ids: bytes, event_hash: i64, most: i64 = RECENT_IDS) -> bytes:
    """The same for an event that counts in no rate: the last one stays that of the last execution that did."""
    if not ids:
        return remember(ids, event_hash, most)
    w = BytesWriter()
    before: i64 = 8 * (most - 1)
    end = i64(len(ids)) - 8
    w.write(ids[8 if end >= before else 0 : end])
    write_i64_le(w, event_hash)
    w.write(ids[end:])
    return w.getvalue()


def is_retry(ids: bytes, event_id: str, attempt: int) -> bool:
    """Whether the last id is that of an earlier attempt.

    >>> ids = remember(b"", hash_of_id("x1", 1))
    >>> is_retry(ids, "x1", 2), is_retry(ids, "x2", 2), is_retry(ids, "x1", 1)
    (True, False, False)
    """
    end = len(ids)
    if attempt <= 1 or not end:
        return False
    last = read_i64_le(ids, end - 8)
    earlier = attempt - 1
    while earlier >= 1 and earlier >= attempt - _MOST_BACK:
        if hash_of_id(event_id, earlier) == last:
            return True
        earlier -= 1
    return False


def remember(ids: bytes, event_hash: i64, most: i64 = RECENT_IDS) -> bytes:
    """The recent ones with the hash of an event id; the oldest beyond `most` leave."""
    w = BytesWriter()
    excess = i64(len(ids)) - 8 * (most - 1)
    w.write(ids[excess:] if excess > 0 else ids)
    write_i64_le(w, event_hash)
    return w.getvalue()
