"""What a first score needs: river, which takes scipy with it, seconds of work that no other event needs."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from importlib import import_module

_loaded = threading.Event()


def load_detection() -> None:
    """Have what `step` imports at its first score."""
    try:
        import_module("river.drift.page_hinkley")
    finally:
        _loaded.set()  # where it cannot be imported, the step says so


def load_in_background(then: Callable[[], object] = lambda: None) -> None:
    """Load it beside everything else, and call `then`, in another thread. A process that ends does not wait for it."""

    def load() -> None:
        try:
            load_detection()
        finally:
            then()

    threading.Thread(target=load, name="load detection", daemon=True).start()


async def wait_until_loaded() -> None:
    """Return once it is loaded, without keeping others waiting."""
    if _loaded.is_set():
        return
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def report() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is over
            loop.call_soon_threadsafe(done.set)

    load_in_background(report)
    await done.wait()
