"""Which baselines are of workflows with a single execution, by their bytes."""

from datetime import timedelta

import pytest

from stream_detector.detect import Baseline, Config, step
from stream_detector.detect.single_run import FoundSingleRuns, SingleRun, add_single_runs, single_run_of
from stream_detector.events.times import epoch_ms
from stream_detector.timing_rules import expect_rules
from tests.events_made import NOON, completion

MS = epoch_ms(NOON)


def ran(times: int) -> Baseline:
    baseline = Baseline.new("workflow:nightly")
    for number in range(times):
        step(baseline, completion(f"{number}", finished_at=NOON + timedelta(hours=number)), Config())
    return baseline


def decided_on() -> Baseline:
    baseline = ran(1)
    baseline.feedbacks = 1
    return baseline


def waited_for() -> Baseline:
    """Its next run is expected by a rule."""
    config = Config(expect_rules=expect_rules("nightly -> every 24h"))
    baseline = Baseline.new("workflow:nightly")
    step(baseline, completion("0", workflow_id="nightly"), config)
    return baseline


@pytest.mark.parametrize("positions", [0, 2])
def test_of_many_those_with_one_execution_are_found(positions: int) -> None:
    head = b"\x01" * 5 + bytes([positions]) + bytes(9 * positions)
    made = {"once": ran(1), "twice": ran(2), "decided": decided_on(), "left out": ran(1), "due": waited_for()}
    values = [(name.encode(), head + baseline.pack()) for name, baseline in made.items()]
    found = FoundSingleRuns()
    add_single_runs([*values, (b"deleted", head)], {b"left out"}, found)
    assert (list(found), len(found)) == ([(MS, b"once", False)], 1)
    found.add(b"more", SingleRun(MS + 1, has_incident=True))
    assert list(found)[1] == (MS + 1, b"more", True)


def test_one_alone() -> None:
    assert single_run_of(ran(1).pack()) == SingleRun(MS, has_incident=False)
    assert single_run_of(decided_on().pack()) is None
    assert single_run_of(b"") is None
    assert single_run_of(waited_for().pack()) is None
