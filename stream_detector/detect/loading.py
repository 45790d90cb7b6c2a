"""What a first score needs: river, which takes scipy with it, seconds of work that no other event needs."""

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module

_loaded, _needed = threading.Event(), threading.Event()

WORKS_S, LOOKS_S, IDLE_SHARE = 0.005, 0.002, 0.2
"""In the background: after so much importing it looks for so long how much of that time the main thread works."""
GIVES_WAY_S = 10.0
"""So long in all: in a process that is always busy it is loaded beside its work."""


def is_loaded() -> bool:
    """Whether a score can be judged without waiting."""
    return _loaded.is_set()


def load_detection() -> None:
    """Have what `step` imports at its first score."""
    try:
        import_module("river.drift.page_hinkley")
    finally:
        _loaded.set()  # where it cannot be imported, the step says so


class GivesWay:
    """A finder that finds nothing: before an import of its thread it waits while the main thread works.

    Both need the interpreter lock, so a start would take longer by what is loaded beside it; the main thread waits for
    the broker most of the time. Whoever waits for what is loaded ends the waiting (`_needed`).

    Args:
        work_s: processor time that the main thread has used, in seconds.
        sleep: waits for some seconds.
    """

    def __init__(self, work_s: Callable[[], float], sleep: Callable[[float], object] = time.sleep) -> None:
        self._thread, self._work_s, self._sleep = threading.get_ident(), work_s, sleep
        self._left_s, self._looked_s = GIVES_WAY_S, 0.0

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Called for each module that is imported, by any thread."""
        if threading.get_ident() == self._thread and time.monotonic() - self._looked_s > WORKS_S:
            while self._left_s > 0 and not _needed.is_set() and self._is_busy():
                pass
            self._looked_s = time.monotonic()

    def _is_busy(self) -> bool:
        before_s = self._work_s()
        self._sleep(LOOKS_S)
        self._left_s -= LOOKS_S
        return self._work_s() - before_s > IDLE_SHARE * LOOKS_S


@contextlib.contextmanager
def _giving_way() -> Iterator[None]:
    """Within it this thread's imports give way to the main thread, where the system can say what that one does."""
    ident = threading.main_thread().ident
    if ident is None or not hasattr(time, "pthread_getcpuclockid"):
        yield
        return
    clock = time.pthread_getcpuclockid(ident)
    finder = GivesWay(lambda: time.clock_gettime(clock))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def load_in_background(then: Callable[[], object] = lambda: None) -> None:
    """Load it beside everything else, and call `then`, in another thread. A process that ends does not wait for it."""

    def load() -> None:
        try:
            with _giving_way():
                load_detection()
        finally:
            then()

    threading.Thread(target=load, name="load detection", daemon=True).start()


async def wait_until_loaded() -> None:
    """Return once it is loaded, without keeping others waiting."""
    if _loaded.is_set():
        return
    _needed.set()
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def report() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is over
            loop.call_soon_threadsafe(done.set)

    load_in_background(report)
    await done.wait()
