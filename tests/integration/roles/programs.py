"""Runs one of the programs beside this file, which start a worker from within and print what they saw as JSON."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from stream_detector.devstack.ports import free_port
from stream_detector.settings import Settings, environ_of

ROOT = Path(__file__).parents[3]


def run_program(name: str, settings: Settings, *arguments: str) -> Any:
    """Its last line, once it has ended in order."""
    environ = environ_of(settings) | {"STREAM_DETECTOR_METRICS_PORT": str(free_port())}
    command = [sys.executable, "-m", f"tests.integration.delivery.{name}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
