"""The drill `clock` in short: one kill after the checkpoint that holds what was found, before its alert."""

import pytest

from tests.drills import clock
from tests.drills.stage import Options


@pytest.mark.drill
async def test_x33_what_was_found_when_the_detector_was_killed_is_reported_once() -> None:
    outcome = await clock.drill_shortly(Options(seed=33), "due-safe")
    assert outcome.passed, outcome.findings
    assert outcome.events == 16 and outcome.restarts == 1
