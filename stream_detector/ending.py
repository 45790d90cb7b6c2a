"""How a role ends when it is asked to: in order, within a deadline; asked a second time, at once.

Either way nothing is lost: what was not committed is read again at the next start.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable

from stream_detector.telemetry.log_events import RoleFailed, RoleStopped

WITHIN_S = 9.0
"""From the first signal to the end, whatever it waits for: a checkpoint for a broker that is away, a request for its
client. People and orchestrators count on 10 s."""

FAILED = 70
"""Exit code of a process that ends itself: EX_SOFTWARE."""


class Ending:
    """Takes SIGTERM and SIGINT of this process, also as process 1 of a container, which the kernel protects from them.

    Args:
        role: whose process it is.
        within_s: the deadline.
    """

    def __init__(self, role: str, *, within_s: float = WITHIN_S) -> None:
        self._role, self._within_s = role, within_s
        self.stop: Callable[[], object] | None = None
        """Begins the orderly end. While it is None nothing has begun, and the process just ends."""
        self._asked = False

    def take(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on signals come here.

        `add_signal_handler` of uvloop 0.23 forgets a signal that arrives while the loop does not run, as between two
        parts of the start: the process then ran on until it was killed.
        """

        def hand_over(number: int, frame: object) -> None:
            loop.call_soon_threadsafe(self.ask, number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, hand_over)

    def ask(self, number: int) -> None:
        """Somebody wants the process to end."""
        if self._asked:
            RoleFailed(self._role, "it was asked to end a second time").emit()
            os._exit(128 + number)
        self._asked = True
        if self.stop is None:
            RoleStopped(self._role).emit()
            os._exit(0)
        expiry = threading.Timer(self._within_s, self._expire)  # a thread: the loop itself may be what hangs
        expiry.daemon = True
        expiry.start()
        self.stop()

    def _expire(self) -> None:
        RoleFailed(self._role, f"it did not end in order within {self._within_s:.0f} s").emit()
        os._exit(FAILED)
