"""The policy decides without a clock, a network, the environment or the settings: it does not even load them."""

import subprocess
import sys

FORBIDDEN = ("faust", "aiokafka", "asyncpg", "aiohttp", "aiosmtplib", "slack_sdk", "asyncio")
OURS = ("settings", "telemetry", "kafka", "delivery", "roles", "store", "serve", "detect", "cli")


def test_policy_and_render_load_nothing_that_touches_the_world() -> None:
    code = "import sys, stream_detector.notify.policy; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & set(FORBIDDEN)
    assert not loaded & {f"stream_detector.{name}" for name in OURS}
