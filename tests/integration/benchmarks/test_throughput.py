"""The throughput benchmark on a small load: every system finds what it must, and the last line is JSON."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_it_compares_all_systems_and_prints_json_last():
    arguments = ["--kafka", "embedded", "--events", "40000", "--slow-events", "8000", "--keys", "800", "--rounds", "1"]
    arguments += ["--systems", "ours_full,ours_robust,ours_reference,faust,aiokafka"]  # others are built first
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
    assert {"ours_full", "ours_reference", "faust", "ratio_faust", "ratio_full_faust"} <= set(answer)
    assert all(answer["spread"][system]["alerts"] > 0 for system in ("ours_full", "ours_reference", "aiokafka"))
