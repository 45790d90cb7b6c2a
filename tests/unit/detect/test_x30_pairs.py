"""X30: the starts and ends of other systems belong together in detection, and give a duration that no end carries."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from stream_detector.detect import Config, WorkflowBaseline, running, step
from stream_detector.detect.step import key_of
from stream_detector.events import Completion, Start
from stream_detector.events.completion import recorded_duration_s
from stream_detector.events.decode import decode_completion
from stream_detector.events.times import epoch_ms
from tests.unit.events.samples_of_sources import loaded, with_value
from tests.unit.events.test_x30_starts_of_sources import CASES, by_case

CONFIG = Config()
NOON = datetime(2026, 1, 22, 12, tzinfo=UTC)


def read(document: Any) -> Completion | Start:
    return decode_completion(json.dumps(document).encode(), (), -1)


@by_case
def test_x30_the_end_of_a_source_ends_the_run_that_its_start_began(case: str) -> None:
    ended, payload, *_ = CASES[case]
    start, end = read(payload), read(loaded(ended))
    assert isinstance(start, Start) and isinstance(end, Completion)
    baseline = WorkflowBaseline(key_of(start))
    assert key_of(end) == baseline.key
    at = min(start.started_at, end.finished_at)  # GitLab's retried job began later than the end that is at hand
    started_ms = epoch_ms(at)
    step(baseline, replace(start, started_at=at, queued_at=None, limit_s=1.0), CONFIG, started_ms)
    (opened,) = running.due_running(baseline, started_ms + 1_999)
    ends = step(baseline, end, CONFIG, epoch_ms(end.finished_at) + 2_000).anomalies
    assert [(one.incident_id, one.state) for one in ends if one.state == "resolved"] == [(opened.id, "resolved")]
    assert baseline.running is not None and baseline.running.executions == []


UNTIMED: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {
    "openlineage": ("openlineage_run_event", "openlineage", ("run", "runId"), ("eventTime",)),
    "cdevents": ("cdevents_pipelinerun_finished", "cdevents", ("subject", "id"), ("context", "timestamp")),
    "cdevents task": ("cdevents_taskrun_finished", "cdevents task", ("subject", "id"), ("context", "timestamp")),
}
"""Sources whose ends have no time but their own: payload of the end, case of its start, place of the run's id, of the
time."""


def event_of(document: Any, at: datetime, run: str, places: tuple[tuple[str, ...], tuple[str, ...]]) -> Any:
    placed = json.loads(with_value(document, places[0], run))
    return json.loads(with_value(placed, places[1], at.isoformat()))


@pytest.mark.parametrize("name", UNTIMED)
def test_x30_an_end_without_a_start_of_its_own_has_the_duration_since_the_one_that_was_sent(name: str) -> None:
    ended, case, *places = UNTIMED[name]
    where = (places[0], places[1])
    success = loaded(ended)
    if "openlineage" not in name:
        success["subject"]["content"]["outcome"] = "success"
    else:
        success["eventType"] = "COMPLETE"
    baseline = None
    for number in range(42):
        at = NOON + timedelta(days=number)
        run = f"00000000-0000-4000-8000-{number:012}"
        start = read(event_of(CASES[case][1], at, run, where))
        end = read(event_of(success, at + timedelta(seconds=90), run, where))
        assert isinstance(start, Start) and isinstance(end, Completion) and not recorded_duration_s(end)
        if baseline is None:
            baseline = WorkflowBaseline(key_of(end))
        for event in (start, end):
            own = start.started_at if event is start else end.finished_at
            assert not step(baseline, event, CONFIG, epoch_ms(own) + 500).anomalies
    assert baseline is not None and baseline.level.n == 42
    usual = running.usual_run(baseline)
    assert usual.usual_s == pytest.approx(90.0, rel=0.01)
    hung = read(event_of(CASES[case][1], NOON + timedelta(days=60), "hung", where))
    step(baseline, hung, CONFIG, epoch_ms(NOON + timedelta(days=60)))
    found = running.due_running(baseline, epoch_ms(NOON + timedelta(days=60, seconds=300)))
    assert [one.state for one in found] == ["opened"]


def test_x30_without_the_clock_such_ends_have_no_duration_as_before() -> None:
    off = Config(clock="off")
    start, end = read(CASES["openlineage"][1]), read(loaded("openlineage_run_event"))
    baseline = WorkflowBaseline(key_of(end))
    for event in (start, end):
        step(baseline, event, off, None)
    assert baseline.level.n == 0
