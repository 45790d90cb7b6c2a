"""How a role shuts down when it is asked to: in order, within a deadline; asked a second time, at once.

Either way nothing is lost: what was not committed is read again at the next start.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from stream_detector.telemetry.log_events import RoleFailed, RoleStopped

SHUTDOWN_TIMEOUT_S = 9.0
"""From the first signal to the exit, whatever the role waits for: a checkpoint for a broker that does not answer, a
request for its client. People and orchestrators count on 10 s."""

EXIT_FAILURE = 70
"""Exit code of a process that stops because it cannot continue safely: EX_SOFTWARE of sysexits.h."""


class GracefulShutdown:
    """Handles SIGTERM and SIGINT, also of process 1 in a container, which the kernel protects from both by default.

    Args:
        role: whose process it is.
        timeout_s: the deadline.
    """

    def __init__(self, role: str, *, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> None:
        self._role, self._timeout_s = role, timeout_s
        self.stop: Callable[[], object] | None = None
        """Begins the orderly shutdown. While it is None nothing has started yet, and the process just exits."""
        self._requested = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def handle_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on signals come here.

        `add_signal_handler` of uvloop 0.23 loses a signal that arrives while the loop does not run, as between two
        parts of the start: the process then ran on until it was killed.
        """

        self._loop = loop

        def hand_over(number: int, frame: object) -> None:
            loop.call_soon_threadsafe(self.request, number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, hand_over)

    def request(self, number: int) -> None:
        """Begin to shut down, or exit at once where this is the second request. `number` is the signal's."""
        if self._requested:
            RoleFailed(self._role, "a second signal to stop arrived").emit()
            os._exit(128 + number)
        self._requested = True
        if self.stop is None:
            RoleStopped(self._role).emit()
            os._exit(0)
        expiry = threading.Timer(self._timeout_s, self._expire)  # a thread: the loop itself may be what hangs
        expiry.daemon = True
        expiry.start()
        self.stop()

    def _expire(self) -> None:
        waiting = ", ".join(_unfinished(self._loop)) or "no task"
        RoleFailed(self._role, f"it did not shut down within {self._timeout_s:.0f} s; unfinished: {waiting}").emit()
        os._exit(EXIT_FAILURE)


def _unfinished(loop: asyncio.AbstractEventLoop | None) -> list[str]:
    """Where the loop's tasks stand; read from another thread, so at a guess."""
    with contextlib.suppress(RuntimeError):  # the set of tasks changed meanwhile
        return sorted({_stack(task) for task in asyncio.all_tasks(loop)}) if loop else []
    return []


def _stack(task: asyncio.Task[object]) -> str:
    """The innermost coroutines that it awaits."""
    waits: Any = task.get_coro()
    found = []
    while hasattr(waits, "cr_await"):
        found.append(waits.__qualname__)
        waits = waits.cr_await
    return " > ".join(found[-3:]) or task.get_name()
