"""Hours of the week as bits in 21 bytes, from Thursday 00:00 UTC on, as days are counted since 1970.

>>> hours = with_hour(NO_HOURS, 34, True)
>>> has_hour(hours, 34), has_hour(hours, 34 + WEEK_HOURS), has_hour(hours, 33)
(True, True, False)
"""

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64, u8

WEEK_HOURS: Final = 168
_BYTES: Final = 21
NO_HOURS: Final = bytes(21)
ALL_HOURS: Final = b"\xff" * 21
_NONE: Final = 0
_ALL: Final = 1
_SOME: Final = 2
_SAME: Final = 3
_FEW: Final = 18
"""So many bytes of the week before that differ are written one by one."""


def has_hour(hours: bytes, hour: i64) -> bool:
    """Whether this hour, counted since 1970, is among them."""
    place = hour % WEEK_HOURS
    return i64(hours[place >> 3]) >> (place & 7) & 1 == 1


def with_hour(hours: bytes, hour: i64, ran: bool) -> bytes:
    """The same with or without this hour."""
    place = hour % WEEK_HOURS
    bit: i64 = 1
    bit = bit << (place & 7)
    before = i64(hours[place >> 3])
    after = before | bit if ran else before & ~bit
    if after == before:
        return hours
    w = BytesWriter()
    w.write(hours[: place >> 3])
    w.append(u8(after))
    w.write(hours[(place >> 3) + 1 :])
    return w.getvalue()


def pack_hours(w: BytesWriter, hours: bytes, before: bytes) -> None:
    """Write two weeks: 1 byte each where they are empty, full or the same, else 22, or 2 a byte that differs."""
    _pack(w, hours)
    if before == hours:
        w.append(u8(_SAME))
        return
    differ: i64 = 0
    place: i64 = 0
    while place < _BYTES:
        if hours[place] != before[place]:
            differ += 1
        place += 1
    if 2 * differ > _FEW or before in (NO_HOURS, ALL_HOURS):
        _pack(w, before)
        return
    w.append(u8(_SAME + differ))
    place = 0
    while place < _BYTES:
        if hours[place] != before[place]:
            w.append(u8(place))
            w.append(u8(i64(before[place])))
        place += 1


def _pack(w: BytesWriter, hours: bytes) -> None:
    if hours == NO_HOURS:
        w.append(u8(_NONE))
    elif hours == ALL_HOURS:
        w.append(u8(_ALL))
    else:
        w.append(u8(_SOME))
        w.write(hours)


def unpack_hours(packed: bytes, at: i64) -> tuple[bytes, i64]:
    """The first week, and where it ends."""
    code = i64(packed[at])
    at += 1
    if code == _NONE:
        return NO_HOURS, at
    if code == _ALL:
        return ALL_HOURS, at
    if at + _BYTES > len(packed):
        raise IndexError("it ends within the hours")
    return packed[at : at + _BYTES], at + _BYTES


def unpack_before(packed: bytes, at: i64, hours: bytes) -> tuple[bytes, i64]:
    """The week before, and where it ends."""
    code = i64(packed[at])
    if code < _SAME:
        return unpack_hours(packed, at)
    at += 1
    before = hours
    for _ in range(code - _SAME):
        place = i64(packed[at])
        w = BytesWriter()
        w.write(before[:place])
        w.append(u8(i64(packed[at + 1])))
        w.write(before[place + 1 :])
        before = w.getvalue()
        at += 2
    return before, at
