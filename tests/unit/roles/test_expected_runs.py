"""X31: what the recorder stores of when the next run of a workflow is due, of the records of the detector's state."""

from datetime import timedelta
from types import SimpleNamespace

from stream_detector.delivery.state import changelog_record
from stream_detector.detect import Baseline
from stream_detector.kafka import topics
from stream_detector.roles.recorder import _baseline
from stream_detector.store.rows import NEVER, BaselineState
from tests.times_made import at_two, missed_since, ran
from tests.unit.serve.test_running_limits import NOW, learned

HEAD = changelog_record.encode_header(7, {topics.COMPLETIONS: 5})


def recorded(baseline: Baseline) -> BaselineState:
    value = HEAD + baseline.pack()
    found = _baseline(SimpleNamespace(key=baseline.key.encode(), value=value, headers=(), offset=1))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_x31_the_recorder_stores_when_the_next_run_is_due_and_since_when_one_is_missed() -> None:
    nights = [at_two(day, NOW) for day in range(20, -1, -1)]
    expected = recorded(ran("workflow:nightly", nights, source="github")).expected
    assert expected is not None and expected.source == "github" and expected.missed_since is None
    assert at_two(-1, NOW) < expected.expected_at < at_two(-1, NOW) + timedelta(hours=4)
    retired = recorded(missed_since(ran("workflow:nightly", nights), NOW + timedelta(days=9))).expected
    assert retired is not None and retired.expected_at == NEVER and retired.missed_since == expected.expected_at
    assert recorded(ran("workflow:nightly", nights[-3:])).expected is None
    assert recorded(Baseline.new("score:lido")).expected is None


def test_x30_the_recorder_stores_the_longest_limit_of_what_runs() -> None:
    limit_s = recorded(learned()).limit_s
    assert limit_s is not None and 1200.0 < limit_s < 3600.0
    assert recorded(learned(limit_s=9000.0)).limit_s == 9000.0
    assert recorded(Baseline.new("workflow:new")).limit_s is None
