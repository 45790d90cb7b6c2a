"""X31: what is known of the times of a workflow, read from its stored state."""

from datetime import UTC, datetime, timedelta

import pytest

from stream_detector.detect import Baseline, Config
from stream_detector.roles.expected_runs import expected_run as stored_run
from stream_detector.serve.expected_runs import expected_run
from stream_detector.store.rows import NEVER
from stream_detector.timing_rules import expect_rules
from tests.times_made import at_two, missed_since, ran

KEY = "workflow:nightly"
NOW = datetime(2026, 1, 22, 12, 0, tzinfo=UTC)
NIGHTS = [at_two(day, NOW) for day in range(20, -1, -1)]


def test_x31_learned_times_are_shown_with_the_next_run() -> None:
    baseline = ran(KEY, NIGHTS, source="github")
    found = expected_run(KEY, baseline.pack(), Config())
    assert found is not None and found.is_learned and (found.missed, found.is_retired) == (0, False)
    assert found.view.text == "every day 02:00 UTC" and found.view.came == found.view.expected > 0
    assert datetime.fromtimestamp(found.view.usual_s, UTC) == at_two(-1, NOW)
    kept = stored_run(baseline)
    assert kept is not None and (kept.missed_since, kept.source) == (None, "github")
    assert kept.expected_at == datetime.fromtimestamp(found.view.due_s, UTC) > at_two(-1, NOW)


def test_x31_missed_runs_are_counted_until_it_is_taken_for_retired() -> None:
    baseline = ran(KEY, NIGHTS)
    for nights in (1, 2, 3):
        missed_since(baseline, at_two(-nights, NOW) + timedelta(hours=20))
        found = expected_run(KEY, baseline.pack(), Config())
        assert found is not None and (found.missed, found.is_retired) == (nights, nights == 3)
        first = datetime.fromtimestamp(found.missed_since_s, UTC)
        assert at_two(-1, NOW) < first < at_two(-1, NOW) + timedelta(hours=3), "of the first one"
        kept = stored_run(baseline)
        assert kept is not None and kept.missed_since == first and (kept.expected_at == NEVER) == (nights == 3)


def test_x31_a_rule_gives_times_and_off_takes_learned_ones_away() -> None:
    config = Config(expect_rules=expect_rules("nightly -> every 24h"))
    baseline = ran(KEY, NIGHTS[-3:], config)
    found = expected_run(KEY, baseline.pack(), config)
    assert found is not None and not found.is_learned and found.view.text == "every 24h"
    learned = ran(KEY, NIGHTS).pack()
    assert expected_run(KEY, learned, Config(expect_rules=expect_rules("night* -> off"))) is None
    assert expected_run(KEY, learned, Config(clock="off")) is None


@pytest.mark.parametrize(
    "packed", [b"", b"x", b"\xff" * 80, Baseline.new(KEY).pack()], ids=["empty", "bad", "later", "new"]
)
def test_x31_a_state_without_times_or_of_a_later_version_has_none(packed: bytes) -> None:
    assert expected_run(KEY, packed, Config()) is None


def test_x31_scores_and_irregular_workflows_have_none() -> None:
    assert expected_run("score:lido", Baseline.new("score:lido").pack(), Config()) is None
    assert stored_run(Baseline.new("score:lido")) is None
    odd = ran(KEY, [NOW - timedelta(hours=hours) for hours in (300, 290, 200, 199, 150, 77, 76, 60, 31, 30, 11, 3)])
    assert expected_run(KEY, odd.pack(), Config()) is None and stored_run(odd) is None
