"""The benchmark of the API on a small table: both sides give the same rows, and the last line is JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.drill

ROOT = Path(__file__).parents[3]


def test_it_compares_the_api_with_a_bare_select_and_prints_json_last() -> None:
    arguments = ["--anomalies", "30000", "--seconds", "1", "--rounds", "1", "--rate", "20", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.api", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (answer["anomalies"], answer["requests"]) == (30_000, 20)
    assert {"p50_ms", "p99_ms", "select_p50_ms", "select_p99_ms", "ratio_p99", "loop_cpu_ms"} <= set(answer)
