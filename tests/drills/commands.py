"""Commands of the product, as an operator calls them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from stream_detector.settings import Settings, environ_of


def call(settings: Settings, *words: str) -> "subprocess.CompletedProcess[str]":
    """`stream-detector WORDS` under these settings; blocks until it ends."""
    command = [sys.executable, "-m", "stream_detector", *words]
    root = Path(__file__).parents[2]
    return subprocess.run(command, env=environ_of(settings), cwd=root, capture_output=True, text=True, timeout=120)


def doctor(settings: Settings) -> dict[str, dict[str, Any]]:
    """Name of each check of `doctor` -> its line."""
    done = call(settings, "doctor", "--json")
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
