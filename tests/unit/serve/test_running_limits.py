"""X30: the limit of an execution that runs, read from the stored state of its workflow."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stream_detector.detect import Baseline, Config, WorkflowBaseline, step
from stream_detector.detect.running_state import FORGOTTEN_AFTER, MOST, MOST_LIMITS, MOST_S
from stream_detector.events.times import epoch_ms
from stream_detector.roles.expected_runs import longest_limit_s
from stream_detector.serve.running_limits import Limit, count_unwatched, limit_of
from stream_detector.serve.running_words import running_words
from stream_detector.store.running import LOST_AFTER_LIMIT, LOST_AFTER_USUAL, Running
from stream_detector.timing_rules import max_duration_rules
from tests.events_made import completion, start

KEY = "workflow:nightly"
NOW = datetime(2026, 1, 22, 12, 0, tzinfo=UTC)


def learned(config: Config | None = None, *, running: int = 1, **given: Any) -> WorkflowBaseline:
    """Thirty executions of ten minutes with their starts, then so many that run."""
    baseline, config = Baseline.new(KEY), config or Config()
    assert isinstance(baseline, WorkflowBaseline)
    for number in range(30):
        began = NOW - timedelta(days=30 - number)
        ended = began + timedelta(minutes=10)
        step(baseline, start(f"n{number}", started_at=began), config, epoch_ms(began))
        step(baseline, completion(f"n{number}", finished_at=ended, duration_s=600.0), config, epoch_ms(ended))
    for number in range(running):
        step(baseline, start(f"r{number}", started_at=NOW, **given), config, epoch_ms(NOW))
    return baseline


def runs(baseline: WorkflowBaseline | None, number: int = 0, **given: Any) -> Running:
    event = start(f"r{number}", started_at=NOW, **given)
    packed = baseline.pack() if baseline is not None else None
    return Running(event, NOW, None, 900.0, 600.0, False, KEY if packed else None, packed)


def test_x30_a_learned_limit_is_that_of_the_workflow() -> None:
    baseline = learned()
    limit = limit_of(runs(baseline))
    assert limit.origin == "learned" and limit.limit_s is not None and 1200.0 < limit.limit_s < 3600.0
    assert longest_limit_s(baseline) == limit.limit_s
    assert running_words(runs(baseline)).endswith(", learned.")
    assert limit_of(runs(learned(running=0))) == limit, "its start is not in the state yet"


@pytest.mark.parametrize(
    ("rules", "limit_s", "limit", "longest_s"),
    [
        ("", 60.0, Limit(60.0, "start"), None),
        ("nightly -> 10 d", None, Limit(864_000.0, "rule"), 864_000.0),
        ("nightly -> 10 d", 60.0, Limit(60.0, "start"), None),
        ("nightly -> off", None, Limit(), MOST_S),
    ],
)
def test_x30_a_given_limit_holds_in_its_place(
    rules: str, limit_s: float | None, limit: Limit, longest_s: float | None
) -> None:
    baseline = learned(Config(max_duration_rules=max_duration_rules(rules)), limit_s=limit_s)
    assert limit_of(runs(baseline, limit_s=limit_s)) == limit
    assert longest_limit_s(baseline) == (longest_s or longest_limit_s(learned()))


def test_x30_without_a_state_or_with_one_of_a_later_version_nothing_is_known() -> None:
    later = runs(learned())._replace(packed=b"\xff" * 60)
    off = learned(Config(clock="off"))
    assert [limit_of(each) for each in (runs(None), later, runs(off))] == [Limit()] * 3
    assert count_unwatched([runs(None), later, runs(off)]) == 0 and longest_limit_s(off) is None
    assert longest_limit_s(Baseline.new("score:lido")) is None


def test_x30_those_beyond_what_is_watched_are_counted_once_a_workflow() -> None:
    baseline = learned(running=MOST + 3)
    assert count_unwatched([runs(baseline, number) for number in range(MOST + 3)]) == 3


def test_x30_the_list_forgets_as_the_detector_does() -> None:
    assert (LOST_AFTER_USUAL, LOST_AFTER_LIMIT) == (FORGOTTEN_AFTER, MOST_LIMITS)
