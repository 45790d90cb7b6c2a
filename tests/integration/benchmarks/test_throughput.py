"""The throughput benchmark on a small load: every system finds what it must, and the last line is JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.drill

ROOT = Path(__file__).parents[3]


def test_it_compares_all_systems_and_prints_json_last():
    arguments = ["--kafka", "embedded", "--events", "16000", "--slow-events", "4000", "--keys", "400", "--rounds", "1"]
    arguments += [
        "--systems",
        "ours_reference,ours_full,ours_classic,ours_full_steps,faust,aiokafka",
    ]  # others are built first
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.throughput", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert {"ours_full", "ours_reference", "faust", "ratio_faust", "ratio_full_faust_warm"} <= set(answer)
    assert all(found["alerts"] > 0 for found in answer["spread"].values())
