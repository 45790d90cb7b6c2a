"""What a first score needs is loaded beside everything else, once."""

import asyncio
import sys
import threading

import pytest

from stream_detector.detect import loading


@pytest.fixture(autouse=True)
def anew(monkeypatch):
    monkeypatch.setattr(loading, "_loaded", threading.Event())


async def test_whoever_needs_it_waits_for_it():
    await loading.wait_until_loaded()
    assert "river.drift.page_hinkley" in sys.modules
    assert loading._loaded.is_set()


async def test_loaded_it_is_not_loaded_again(monkeypatch):
    loading.load_detection()
    monkeypatch.setattr(loading, "load_in_background", lambda then: pytest.fail("again"))
    await loading.wait_until_loaded()


async def test_where_it_cannot_be_imported_nobody_waits_for_ever(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(loading, "import_module", missing)
    monkeypatch.setattr(threading, "excepthook", lambda told: None)  # the thread's own end, which pytest would report
    assert await asyncio.wait_for(loading.wait_until_loaded(), 30) is None
    for thread in threading.enumerate():
        if thread.name == "load detection":
            thread.join()  # it ends while its hook is still there
