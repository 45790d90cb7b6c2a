"""The drill as CI runs it; from the command line it runs longer and oftener."""

import pytest

from tests.drills import kill_detector
from tests.drills.ledger import Verdict
from tests.drills.stage import Options, Outcome


@pytest.mark.parametrize("kafka", ["embedded", pytest.param("apache", marks=[pytest.mark.apache, pytest.mark.drill])])
async def test_kill_9_under_load_loses_nothing_and_doubles_nothing(kafka):
    seed = {"embedded": 3, "apache": 4}[kafka]  # two different points of the checkpoint
    outcome = await kill_detector.drill(Options(kafka, events=5_000, seed=seed, first_point=seed))
    assert outcome.passed, outcome.findings
    assert outcome.events >= 5_000


@pytest.mark.drill
@pytest.mark.parametrize("protection", ["commit-order", "applied-positions"])
async def test_the_drill_fails_without_and_says_how(protection):
    outcome = await kill_detector.drill(Options(events=5_000, without=protection))
    assert not outcome.passed
    assert outcome.lost if protection == "commit-order" else outcome.doubled


def test_a_drill_without_events_proves_nothing():
    outcome = Outcome("kill-detector")
    outcome.add(Verdict())
    assert not outcome.passed
