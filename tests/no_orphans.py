"""A session that leaves a process behind fails: what a fixture starts, it ends.

On Linux the session's own process takes over what its children leave behind (a subreaper, linux/prctl.h), so that a
process whose parent has ended is found as well. Elsewhere nothing is looked for.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 2.0
"""So long may what was told to end take for it."""
_REPORTED = "left_behind"
_LEFT = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEFT] = []
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """By now the fixtures of the session have been torn down. A worker of pytest-xdist reports to its controller."""
    left = session.config.stash[_LEFT]
    left += end_all(_PATIENCE_S)
    if (reported := getattr(session.config, "workeroutput", None)) is not None:
        reported[_REPORTED] = left
    elif left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[_LEFT].extend(getattr(node, "workeroutput", {}).get(_REPORTED, []))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for one in config.stash[_LEFT]:
        terminalreporter.write_line(f"LEFT BEHIND by a test: {one}", red=True)


def end_all(patience_s: float) -> list[str]:
    """What of ours still runs after a while, as pid and command; it is killed."""
    deadline_s = time.monotonic() + patience_s
    while (alive := dict(descendants())) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    for pid in alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [f"{pid} {command}" for pid, command in alive.items()]


def descendants() -> Iterator[tuple[int, str]]:
    """Pid and command of every process below ours that runs; the workers of pytest-xdist look for themselves."""
    parents: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if state != "Z" and "multiprocessing.resource_tracker" not in command:
                parents[int(folder.name)] = int(parent), command
    ours = {os.getpid()}
    while more := {pid for pid, (parent, _) in parents.items() if parent in ours} - ours:
        ours |= more
    yield from ((pid, parents[pid][1]) for pid in sorted(ours - {os.getpid()}))
