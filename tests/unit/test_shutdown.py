"""A signal that comes at any time of the start is not forgotten. The deadline is a day: it ends this very process."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
import uvloop

from stream_detector.shutdown import EXIT_FAILURE, GracefulShutdown


@pytest.fixture
def loop():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    made = uvloop.new_event_loop()
    yield made
    made.close()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_loop_does_not_run_ends_the_role_once_it_does(loop, number):
    """Between two parts of the start."""
    shutdown, stopped = GracefulShutdown("detector", timeout_s=86_400.0), asyncio.Event()
    shutdown.handle_signals(loop)
    loop.run_until_complete(asyncio.sleep(0))
    os.kill(os.getpid(), number)
    shutdown.stop = stopped.set
    loop.run_until_complete(asyncio.wait_for(stopped.wait(), 10.0))
    assert stopped.is_set()


def test_a_signal_while_it_waits_ends_the_role(loop):
    shutdown, stopped = GracefulShutdown("detector", timeout_s=86_400.0), asyncio.Event()
    shutdown.handle_signals(loop)
    shutdown.stop = stopped.set
    loop.call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
    loop.run_until_complete(asyncio.wait_for(stopped.wait(), 10.0))
    assert stopped.is_set()


SCRIPT = """
import asyncio, os, signal
from stream_detector.shutdown import EXIT_FAILURE, GracefulShutdown

async def leave_group():
    await asyncio.Event().wait()

async def main():
    shutdown = GracefulShutdown("detector", timeout_s=0.1)
    shutdown.stop = lambda: asyncio.ensure_future(leave_group())
    shutdown.handle_signals(asyncio.get_running_loop())
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_an_end_that_takes_too_long_names_what_did_not_end():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    assert done.returncode == EXIT_FAILURE
    assert "did not shut down within" in done.stdout + done.stderr
    assert "leave_group > Event.wait" in done.stdout + done.stderr
