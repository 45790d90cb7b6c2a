"""Each other benchmark on a small load: it finds what it must, and its last line is JSON with what was asked for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.drill

ROOT = Path(__file__).parents[3]


def run(name: str, *arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--kafka", "embedded", "--rounds", "1", "--json", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_latency_says_how_long_an_alert_takes():
    systems = ["--systems", "ours_reference", "--keys", "200"]
    found = run("latency", "--rates", "500", "--seconds", "4", *systems)["ms"]["500"]["ours_reference"]
    assert found["p50_ms"] > 0 and found["alerts"] >= 20


def test_run_end_says_how_long_the_message_of_a_run_takes():
    command = [sys.executable, "-m", "benchmarks.run_end", "--runs", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert 0 < found["p50"] <= found["p99"] <= found["max"]


def test_import_history_has_how_long_an_import_takes():
    found = run("import_history", "--runs", "400")
    assert 0 < found["import_s"] <= found["warm_s"] and found["messages"] >= 0


@pytest.mark.parametrize("system", ["ours_full", "ours_reference"])
def test_recovery_says_how_long_many_keys_take(system):
    found = run("recovery", "--keys", "3000", "--systems", system)["keys"]
    assert set(found) == {"1000", "3000"} and found["3000"][system]["resident_mb"] > 0


def test_scale_says_what_an_event_costs_with_more_keys():
    found = run("scale", "--parts", "keys", "--keys", "200,400", "--events", "8000")
    assert found["keys"]["400"]["cpu_us"] > 0 and found["cost_of_most_keys"] > 0


def test_notifier_says_how_long_a_message_takes():
    """It has no rounds: every part is one measurement."""
    command = [sys.executable, "-m", "benchmarks.notifier", "--parts", "latency", "--rate", "10", "--seconds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])["latency"]
    assert found["messages"] == 10 and 0 < found["p50_ms"] <= found["p99_ms"]
