"""The command line, run as a process."""

import subprocess
import sys

from stream_detector.settings import Settings, environ_of


def call(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    """`stream-detector WORDS` with these settings; its end is waited for."""
    command = [sys.executable, "-m", "stream_detector", *words]
    return subprocess.run(command, env=environ_of(settings), capture_output=True, text=True, timeout=120)
