"""Points at which a drill may kill or stop this very process, to prove that no moment is special.

Set by FAULT_POINT, for example `alerts-acked:2` (at the second time), `owned:4:stop`, or `due-sent>alerts-acked` (the
first time after the other was reached). Outside of drills it is empty, and each point costs one comparison.
"""

import os
import signal
from typing import Literal

Point = Literal[
    "alerts-sent", "alerts-acked", "owned", "journal-acked", "changelog-half", "changelog-acked", "committed",
    "decided", "submitted", "answered", "settled",
    "end-applied", "ends-asked", "ends-reached", "closed-sent", "closed-read",
    "tick-stamped", "due-found", "due-safe", "due-sent",
    "repartition",
]  # fmt: skip
"""The first line is a checkpoint's steps, the second what a notifier does between them, the third how a run ends, the
fourth what the clock does; the last one is each write of `setup --repartition`."""

_armed: tuple[str, int, signal.Signals] | None = None
_first: str = ""
_hits = 0


def arm(setting: str) -> None:
    """Arm one point: `[first>]point[:n[:stop]]`."""
    global _armed, _first
    if setting:
        _first, _, setting = setting.rpartition(">")
        point, nth, how, *_ = (*setting.split(":"), "", "")
        _armed = point, int(nth or 1), signal.SIGSTOP if how == "stop" else signal.SIGKILL


def reach(point: Point) -> None:
    """Die or stop here if this is the armed point and its time has come."""
    global _first, _hits
    if _armed and _first:
        _first = "" if _first == point else _first
    elif _armed and _armed[0] == point:
        _hits += 1
        if _hits == _armed[1]:
            os.kill(os.getpid(), _armed[2])
