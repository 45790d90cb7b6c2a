"""What one series read lately: its last 12 readings, and 64 older ones spread over hours or days.

All lie in one array of 2-byte numbers, oldest first, the last 12 at its end; a reading is the thousandth of a log
unit, a tenth of a percent. The one that leaves the last 12 goes on among the older ones, or not: where readings come
fast, most do not, so that the older ones reach back further than a few minutes.

>>> readings = array("h", range(100, 112))
>>> remember(readings, 112, keep=True)
>>> remember(readings, 113, keep=False)
>>> readings[0], len(readings)
(100, 13)
>>> beyond(readings, 111, above=True), beyond(readings, 101, above=False)
(3, 1)
>>> older(readings)
array('h', [100])
"""

from array import array
from typing import Final

GRID: Final = 1000.0
RECENT: Final = 12
OLDER: Final = 64


def on_grid(x: float) -> int:
    """A number of log units on the grid; every log of a duration up to 1e12 s fits two bytes."""
    return int(x * GRID)


def remember(readings: "array[int]", reading: int, keep: bool) -> None:
    """Take in the newest; `keep` says whether the one that leaves the last 12 stays among the older ones."""
    readings.append(reading)
    leaving = len(readings) - RECENT - 1
    if leaving < 0:
        return
    if not keep:
        del readings[leaving]
    elif leaving >= OLDER:
        del readings[0]


def older(readings: "array[int]") -> "array[int]":
    """Those before the last 12."""
    return readings[:-RECENT]


def beyond(readings: "array[int]", cut: int, above: bool) -> int:
    """How many lie at `cut` or beyond it."""
    count = 0
    for reading in readings:
        if reading >= cut if above else reading <= cut:
            count += 1
    return count
