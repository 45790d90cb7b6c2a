"""The image's probe, as the container engine runs it, against a real health port."""

import asyncio
import subprocess
import sys
from pathlib import Path

from stream_detector.telemetry.health import HealthServer

PROBE = Path(__file__).parents[3] / "deploy" / "ready.py"


def _probe(*arguments):
    return subprocess.run([sys.executable, PROBE, *arguments], capture_output=True, text=True, timeout=30, check=False)


async def test_it_follows_readyz_and_says_why_not():
    answer = [True, ""]
    server = HealthServer("127.0.0.1", 0, live=lambda: (True, ""), ready=lambda: tuple(answer))
    port = str(await server.start())
    try:
        assert (await asyncio.to_thread(_probe, "detector", port)).returncode == 0
        answer[:] = [False, "waiting for the broker"]
        done = await asyncio.to_thread(_probe, "detector", port)
        assert done.returncode == 1 and "waiting for the broker" in done.stderr
    finally:
        await server.stop()
    done = await asyncio.to_thread(_probe, "detector", port)
    assert done.returncode == 1 and "does not answer" in done.stderr


def test_an_unknown_role_is_an_error():
    done = _probe("nobody")
    assert done.returncode == 1 and "detector, recorder, notifier, api" in done.stderr
