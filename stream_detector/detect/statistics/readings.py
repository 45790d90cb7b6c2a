"""What one series read lately: its last 12 readings, and 64 older ones spread over hours or days.

All lie in one string of 2-byte numbers, oldest first, the last 12 at its end; a reading is the thousandth of a log
unit, a tenth of a percent. The one that leaves the last 12 joins the older ones, or not: where readings come
fast, most do not, so that the older ones reach back further than a few minutes.

>>> readings = b""
>>> for reading in range(100, 113):
...     readings = remember(readings, reading, keep=True)
>>> readings = remember(readings, 113, keep=False)
>>> numbers(readings)[0], len(numbers(readings))
(100, 13)
>>> beyond(readings, 111, above=True), beyond(readings, 101, above=False)
(3, 1)
>>> numbers(older(readings))
[100]
"""

from typing import Final

from librt.strings import BytesWriter, read_i16_le, write_i16_le
from mypy_extensions import i16, i64

GRID: Final = 1000.0
RECENT: Final = 12
OLDER: Final = 64


def on_grid(x: float) -> i64:
    """A number of log units on the grid; every log of a duration up to 1e12 s fits two bytes."""
    return i64(x * GRID)


def remember(readings: bytes, reading: i64, keep: bool) -> bytes:
    """With the newest; `keep` says whether the one that leaves the last 12 stays among the older ones."""
    w = BytesWriter()
    leaving: i64 = len(readings) // 2 - RECENT
    if leaving >= 0 and not keep:
        w.write(readings[: 2 * leaving])
        w.write(readings[2 * leaving + 2 :])
    elif leaving >= OLDER:
        w.write(readings[2:])
    else:
        w.write(readings)
    write_i16_le(w, i16(reading))
    return w.getvalue()


def older(readings: bytes) -> bytes:
    """Those before the last 12."""
    return readings[: -2 * RECENT]


def numbers(readings: bytes) -> list[int]:
    """The readings themselves."""
    return [int(read_i16_le(readings, at)) for at in range(0, len(readings), 2)]


def beyond(readings: bytes, cut: i64, above: bool) -> i64:
    """How many lie at `cut` or beyond it."""
    count: i64 = 0
    at: i64 = 0
    end: i64 = len(readings)
    while at < end:
        reading = i64(read_i16_le(readings, at))
        if reading >= cut if above else reading <= cut:
            count += 1
        at += 2
    return count
