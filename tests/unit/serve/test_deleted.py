"""W34: the ids of what was found in an execution follow from it, so that a deleted anomaly of it is known."""

from datetime import timedelta

from stream_detector.detect import Config, step
from stream_detector.detect.due import due
from stream_detector.events.times import epoch_ms
from stream_detector.serve.deleted import possible_ids
from tests.events_made import completion, start
from tests.times_made import at_two, missed_since, ran
from tests.unit.serve.test_running_limits import NOW, learned

CONFIG = Config()


def test_w34_x30_ids_of_an_execution_that_ran_too_long_are_known_while_it_runs_and_after() -> None:
    baseline = learned()
    found = due(baseline, epoch_ms(NOW + timedelta(hours=3)), CONFIG)
    began = start("r0", started_at=NOW)
    assert [each.severity for each in found] == ["warning", "critical"]
    assert {each.id for each in found} < set(possible_ids(began))
    end = completion("r0", finished_at=NOW + timedelta(hours=4), duration_s=14_400.0)
    ended = step(baseline, end, CONFIG, epoch_ms(end.finished_at)).anomalies
    assert "resolved" in {each.state for each in ended}
    assert {each.id for each in (*found, *ended)} <= set(possible_ids(end))


def test_w34_x31_the_end_of_a_missed_run_is_known_of_the_run_that_came() -> None:
    nights = [at_two(day, NOW) for day in range(20, -1, -1)]
    baseline = missed_since(ran("workflow:nightly", nights), at_two(-1, NOW) + timedelta(hours=12))
    late = completion("late", finished_at=at_two(-1, NOW) + timedelta(hours=13), duration_s=600.0)
    found = step(baseline, late, CONFIG, epoch_ms(late.finished_at)).anomalies
    (end,) = [each for each in found if each.detector == "missed_run"]
    assert end.state == "resolved" and end.id in set(possible_ids(late))
