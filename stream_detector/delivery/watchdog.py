"""A loop that does not come round any more: nothing that runs in it could notice, so a thread looks."""

import os
import threading
import time

from stream_detector.shutdown import EXIT_FAILURE
from stream_detector.telemetry.log_events import RoleFailed

LOOK_EVERY_S = 1.0


class Watchdog:
    """Ends the process when the loop has not beaten for a while. `beat` is called in the loop, `start` once.

    Args:
        role: whose process it is.
        after_s: how long a loop may stand.
    """

    def __init__(self, role: str, after_s: float) -> None:
        self._role, self._after_s = role, after_s
        self._beaten_s = self._looked_s = time.monotonic()

    def start(self) -> None:
        """Look from now on."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def beat(self) -> None:
        """The loop came round."""
        self._beaten_s = time.monotonic()

    def blocked_s(self, now_s: float) -> float:
        """How long the loop has stood, on a monotonic clock. Time in which the whole process stood does not count."""
        if now_s - self._looked_s > 5 * LOOK_EVERY_S:  # this thread slept, too: SIGSTOP, or a machine asleep
            self._beaten_s = now_s
        self._looked_s = now_s
        return now_s - self._beaten_s

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            blocked_s = self.blocked_s(time.monotonic())
            if blocked_s > self._after_s:
                RoleFailed(self._role, f"its event loop was blocked for {blocked_s:.0f} s").emit()
                os._exit(EXIT_FAILURE)
