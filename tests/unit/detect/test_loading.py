"""What a first score needs is loaded beside everything else, once."""

import asyncio
import sys
import threading
import time

import pytest

from stream_detector.detect import loading


@pytest.fixture(autouse=True)
def anew(monkeypatch):
    monkeypatch.setattr(loading, "_loaded", threading.Event())
    monkeypatch.setattr(loading, "_needed", threading.Event())


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


def test_it_gives_way_to_the_main_thread_until_somebody_waits_for_it():
    used_s, slept = [0.0], []

    def busy(seconds):
        slept.append(seconds)
        used_s[0] += seconds if len(slept) < 50 else 0.0  # the main thread works, then waits

    finder = loading.GivesWay(lambda: used_s[0], busy)
    finder.find_spec("scipy")
    assert len(slept) == 50
    slept.clear()
    used_s[0] = 0.0
    finder = loading.GivesWay(lambda: used_s[0], busy)
    loading._needed.set()
    finder.find_spec("scipy")
    assert slept == [], "a score waits"


def test_it_looks_at_the_main_thread_once_in_a_while_and_only_from_its_own_thread():
    slept = []
    finder = loading.GivesWay(lambda: 0.0, slept.append)
    finder.find_spec("scipy")
    finder._looked_s = time.monotonic() + 1.0
    finder.find_spec("scipy.special")
    finder._looked_s = 0.0
    other = threading.Thread(target=finder.find_spec, args=("json",))
    other.start()
    other.join()
    assert slept == [loading.LOOKS_S]


def test_a_process_that_is_always_busy_has_it_all_the_same():
    used_s, slept = [0.0], []

    def busy(seconds):
        slept.append(seconds)
        used_s[0] += seconds

    finder = loading.GivesWay(lambda: used_s[0], busy)
    for _ in range(3):
        finder.find_spec("scipy")
        finder._looked_s = 0.0
    assert sum(slept) == pytest.approx(loading.GIVES_WAY_S, abs=0.01)


async def test_where_no_clock_measures_another_thread_it_is_loaded_all_the_same(monkeypatch):
    monkeypatch.delattr(time, "pthread_getcpuclockid")  # as on macOS and Windows
    await asyncio.wait_for(loading.wait_until_loaded(), 30)
    assert loading.is_loaded()


async def test_a_background_load_leaves_no_finder_behind():
    before = list(sys.meta_path)
    done = threading.Event()
    loading.load_in_background(done.set)
    assert await asyncio.to_thread(done.wait, 30)
    assert sys.meta_path == before and loading.is_loaded()
