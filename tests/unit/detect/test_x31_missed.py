"""X31: a run that does not come is reported, once, with what is known of when it runs.

Situations that would break it: a workflow that is new, irregular or of branches; a history or backfill that is
published today; a run that comes late, a day early in the file, or whose end was known by its start; a worker that dies
between finding and sending; a person who resolves, gives feedback, relearns or retires; a key that is renamed or taken
over by a variant; another rule, or none; profile `classic`; daylight saving, a move by an hour, a retired workflow.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from stream_detector.detect import Baseline, Config, Outcome, WorkflowBaseline, due, profile_rules, step
from stream_detector.detect.codec.packed import due_at, has_unsent
from stream_detector.detect.missed import view_of
from stream_detector.detect.replay import Baselines
from stream_detector.detect.variants import ends_of, keys_of_action
from stream_detector.devstack.demo import demo_events
from stream_detector.events import Action, Anomaly, Completion, Start
from stream_detector.events.decode import decode_completion
from stream_detector.events.ids import derived_id
from stream_detector.events.times import epoch_ms
from stream_detector.timing_rules import expect_rules
from tests.unit.detect.events_of import workflow

FIRST = datetime(2026, 1, 5, 2, tzinfo=UTC)  # a Monday
ROBUST, CLASSIC = Config(), Config("classic")
KEY = "workflow:nightly"


def nightly(day: int, *, minute: float = 1, run_s: float = 600, **more: Any) -> Completion:
    """The run of so many days after the first."""
    start = FIRST + timedelta(days=day, minutes=minute)
    fields: dict[str, Any] = {"execution_id": f"run-{day}", "workflow_id": "nightly", "status": "success"}
    fields |= {"workflow_name": "Nightly import", "source": "github", "labels": {"team": "core", "commit": str(day)}}
    return Completion(started_at=start, finished_at=start + timedelta(seconds=run_s), **fields | more)


def nights(count: int, first: int = 0, without: Sequence[int] = (), **more: Any) -> list[Completion]:
    return [nightly(day, **more) for day in range(first, first + count) if day not in without]


def at(day: float, hour: float = 2) -> int:
    """Epoch ms."""
    return epoch_ms(FIRST.replace(hour=0) + timedelta(days=day, hours=hour))


def feed(
    baseline: WorkflowBaseline,
    events: Iterable[Completion | Start],
    config: Config = ROBUST,
    delay_s: float | None = 2,
    **how: Any,
) -> list[Anomaly]:
    """What was found of missed runs; records are stamped so long after the event's own time, None: there are none."""
    found: list[Anomaly] = []
    for event in events:
        own = event.finished_at if isinstance(event, Completion) else event.started_at
        record_ms = None if delay_s is None else epoch_ms(own) + round(1000 * delay_s)
        found += missed(step(baseline, event, config, record_ms, **how))
    return found


def missed(outcome: Outcome) -> list[Anomaly]:
    return [one for one in outcome.anomalies if one.detector == "missed_run"]


def known(count: int = 40, config: Config = ROBUST, **more: Any) -> WorkflowBaseline:
    """A workflow that runs each night."""
    baseline = workflow()
    assert feed(baseline, nights(count, **more), config) == []
    return baseline


def again(baseline: WorkflowBaseline) -> WorkflowBaseline:
    copy = Baseline.unpack(baseline.key, baseline.pack())
    assert isinstance(copy, WorkflowBaseline)
    return copy


def states(found: Iterable[Anomaly]) -> list[tuple[str, str, str | None]]:
    return [(one.state, one.severity, one.end_reason) for one in found]


OPENED, ONGOING = ("opened", "warning", None), ("ongoing", "warning", None)
RETIRED, RECOVERED = ("resolved", "info", "retired"), ("resolved", "info", "recovered")
SUPERSEDED, PUT_OFF = ("resolved", "info", "superseded"), ("resolved", "info", "operator")


# -- found -----------------------------------------------------------------------------------------------------------


def test_x31_a_run_that_does_not_come_is_found_by_the_clock() -> None:
    baseline = known()
    assert due.due(baseline, at(40, 2.5), ROBUST) == []
    (one,) = due.due(baseline, at(40, 12), ROBUST)
    assert (one.anomaly_type, one.severity, one.state) == ("PatternDeviation", "warning", "opened")
    assert one.description == (
        "Nightly import did not start: it usually starts every day 02:01 UTC (39 of 39 runs came) and was due by"
        " 2026-02-14 04:35 UTC; the last run was run-39 on 2026-02-13 02:01 UTC"
    )
    assert one.id == one.incident_id == derived_id("missed_run", KEY, str(epoch_ms(one.detected_at) // 1000))
    assert at(40, 2.5) < epoch_ms(one.detected_at) < at(40, 5)
    assert (one.entity_id, one.entity_name, one.execution_id) == ("nightly", "Nightly import", "run-39")
    assert (one.source, one.labels, one.url, one.profile) == ("github", {"team": "core"}, None, "robust")
    assert one.gates[0] == "usually starts every day 02:01 UTC" and "due by" in one.gates[2]
    assert [each.kind for each in one.affected_entities] == ["workflow", "execution"]
    assert one.metrics.unit == "missed runs" and 0.9 < one.metrics.confidence < 1
    assert baseline.status == "anomalous"
    assert due.due(baseline, at(40, 23), ROBUST) == [], "once"


def test_x31_the_next_event_of_the_key_finds_the_same() -> None:
    by_clock, by_event = known(), known()
    told = due.due(by_clock, at(40, 12), ROBUST)
    told += feed(by_clock, [nightly(41)])
    assert feed(by_event, [nightly(41)]) == told
    assert states(told) == [OPENED, SUPERSEDED]
    assert by_clock.pack() == by_event.pack()


def test_x31_packed_between_all_events_it_finds_the_same() -> None:
    kept, packed = workflow(), workflow()
    for event in nights(60, without=(30, 44, 45)):
        assert feed(packed, [event]) == feed(kept, [event])
        packed = again(packed)
    assert packed.pack() == kept.pack()


def test_x31_nothing_is_found_before_ten_runs_nor_of_what_runs_at_any_time() -> None:
    few = known(9)
    assert due.due(few, at(60), ROBUST) == []
    irregular = workflow()
    hours = [3, 50, 51, 52, 90, 91, 140, 200, 201, 203, 290, 291, 300, 330, 331, 410, 500, 501, 502, 610, 700, 703, 790]
    runs = [nightly(0, minute=60 * hour + 7 * hour % 60, execution_id=f"r{hour}") for hour in hours]
    assert feed(irregular, runs) == [] and due.due(irregular, at(80), ROBUST) == []


def test_x31_three_in_a_row_are_taken_for_retired_and_then_it_is_silent() -> None:
    baseline = known()
    found = [one for day in range(40, 60) for one in due.due(baseline, at(day, 12), ROBUST)]
    assert states(found) == [OPENED, ONGOING, RETIRED]
    assert len({one.incident_id for one in found}) == 1 and len({one.id for one in found}) == 3
    assert "has not come since 2026-02-13 02:01 UTC" in found[2].description
    assert (baseline.due_s, baseline.status) == (0, "normal")
    assert feed(baseline, nights(5, 60)) == [], "it runs again, and nothing is open"
    assert states(due.due(baseline, at(65, 12), ROBUST)) == [OPENED]


def test_x31_all_three_at_once_by_an_event_of_later() -> None:
    assert states(feed(known(), [nightly(60)])) == [OPENED, ONGOING, RETIRED]


# -- ends ------------------------------------------------------------------------------------------------------------


def test_x31_a_run_that_comes_late_ends_it() -> None:
    baseline = known()
    (one,) = due.due(baseline, at(40, 6), ROBUST)
    (end,) = feed(again(baseline), [nightly(40, minute=300)])
    assert (end.incident_id, end.execution_id, end.end_reason) == (one.incident_id, "run-40", "recovered")
    assert end.description == "Nightly import came 4 h 59 m late: run-40 started 2026-02-14 07:00 UTC"
    assert end.metrics.current_value == pytest.approx(4 * 3600 + 59 * 60, abs=60)
    assert (end.duration_s or 0) > 3600


def test_x31_a_run_whose_event_came_late_was_on_time() -> None:
    baseline = known()
    due.due(baseline, at(40, 6), ROBUST)
    (end,) = feed(baseline, [nightly(40)], delay_s=5 * 3600)
    assert end.end_reason == "recovered" and "started on time, 2026-02-14 02:01 UTC" in end.description
    assert epoch_ms(end.detected_at) == pytest.approx(at(40, 7.2), abs=120_000)


def test_x31_an_older_run_that_is_delivered_late_ends_nothing() -> None:
    baseline = workflow()
    feed(baseline, nights(40, without=(38,)))
    found = due.due(baseline, at(40, 6), ROBUST)
    assert states(found) == [OPENED]
    assert feed(baseline, [nightly(38, execution_id="late")], delay_s=2 * 86400) == []
    assert states(feed(baseline, [nightly(41)])) == [SUPERSEDED]


def test_x31_a_cancelled_or_skipped_run_has_come() -> None:
    for status in ("cancellation", "skip"):
        assert feed(known(), [nightly(40, status=status), nightly(41)]) == []


def test_x31_a_start_says_that_it_came_and_its_end_is_not_another_run() -> None:
    baseline = workflow()
    for event in nights(60):
        start = Start(
            state="started",
            execution_id=event.execution_id,
            workflow_id="nightly",
            started_at=event.started_at,
            labels=event.labels,
        )
        assert feed(baseline, [start, event]) == []
    assert baseline.times is not None and baseline.times.schedule is not None
    starts = baseline.times.schedule.starts()
    assert len(starts) == 24 and all(b - a > 80_000 for a, b in pairwise(starts))
    assert due.due(baseline, at(60, 4.7), ROBUST)[0].state == "opened"
    begun = Start(state="started", execution_id="run-60", workflow_id="nightly", started_at=nightly(60).started_at)
    assert states(feed(baseline, [begun], delay_s=10_000)) == [RECOVERED]


def test_x31_the_first_run_that_a_rule_expects_is_known_though_its_start_came_first() -> None:
    config = Config(expect_rules=expect_rules("night* -> every 24h"))
    event = nightly(0)
    start = Start(state="started", execution_id=event.execution_id, workflow_id="nightly", started_at=event.started_at)
    baseline = workflow()
    assert feed(baseline, [start, event], config=config) == []
    (found,) = due.due(baseline, at(2, 0), config)
    assert found.execution_id == event.execution_id and "1970" not in found.description


def test_x31_a_further_attempt_of_a_run_whose_times_are_not_kept_yet_is_none_either() -> None:
    baseline = workflow()
    feed(baseline, [nightly(0), nightly(1), nightly(1, minute=90, attempt=2)])
    assert baseline.times is not None and baseline.times.schedule is not None
    assert len(baseline.times.schedule.starts()) == 1


def test_x31_without_times_there_is_nothing_to_describe() -> None:
    assert view_of(workflow(), ROBUST) is None


def test_x31_a_further_attempt_is_no_further_run() -> None:
    baseline = known()
    feed(baseline, [nightly(39, minute=120, execution_id="run-39", attempt=2)])
    assert baseline.times is not None and baseline.times.schedule is not None
    assert 0 <= baseline.times.schedule.newest - nightly(39).started_at.timestamp() < 16


# -- histories, delays, clocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("backfill", [True, False])
def test_x31_of_a_history_that_is_published_today_nothing_is_missing_today(backfill: bool) -> None:
    baseline = workflow()
    for event in nights(40, without=(30,)):
        step(baseline, event, ROBUST, at(60, 10), backfill)
    assert due.due(baseline, at(60, 10), ROBUST) == []
    assert states(due.due(baseline, at(61, 10), ROBUST)) == [OPENED]


def test_x31_a_backfill_reports_nothing_of_its_own_time() -> None:
    baseline = workflow()
    assert feed(baseline, nights(60, without=(40, 50, 51, 52, 53)), backfill=True) == []
    late = known()
    due.due(late, at(40, 12), ROBUST)
    assert feed(late, [nightly(41)], backfill=True) == []
    assert late.times is not None and not late.times.misses


def test_x31_a_history_reports_what_was_missing_in_it() -> None:
    baseline, found = workflow(), list[Anomaly]()
    for event in nights(40, without=(30,)):
        found += missed(step(baseline, event, ROBUST, at(60, 10)))
    assert states(found) == [OPENED, SUPERSEDED]
    assert found[1].detected_at == nightly(31).finished_at and (found[1].duration_s or 0) < 86_400


def test_x31_events_that_come_a_day_late_are_expected_a_day_later() -> None:
    baseline = workflow()
    for event in nights(60):
        day = (event.started_at - FIRST).days + 1
        assert missed(step(baseline, event, ROBUST, at(day, 3))) == []
        assert due.due(baseline, at(day, 23), ROBUST) == []
    assert states(due.due(baseline, at(61, 12), ROBUST)) == [OPENED]


@pytest.mark.parametrize("record_ms", [None, -1, 0, 10**9])
def test_x31_without_a_record_time_the_own_time_decides(record_ms: int | None) -> None:
    baseline, found = workflow(), list[Anomaly]()
    for event in nights(60, without=(44,)):
        found += missed(step(baseline, event, ROBUST, record_ms))
    assert states(found) == [OPENED, SUPERSEDED]


def test_x31_an_event_from_a_clock_that_is_ahead_starts_no_run() -> None:
    baseline = known()
    step(baseline, nightly(400, execution_id="ahead"), ROBUST, at(39, 12))
    assert baseline.times is not None and baseline.times.last_id == "run-39"
    baseline = known()
    feed(baseline, [nightly(400, execution_id="ahead")])
    for day in (40, 41, 42, 43):
        feed(baseline, [nightly(day)])
    assert baseline.times is not None and baseline.times.live_s < at(44) // 1000
    assert feed(baseline, nights(20, 44)) == []
    assert states(due.due(baseline, at(64, 12), ROBUST)) == [OPENED]


def test_x31_what_was_due_while_we_were_away_is_not_missing() -> None:
    baseline = known()
    assert due.excuse(baseline, at(39, 20), at(39, 23), ROBUST) == 0
    assert due.excuse(baseline, at(40, 1), at(42, 10), ROBUST) == 3
    assert due.due(baseline, at(42, 11), ROBUST) == []
    assert states(due.due(baseline, at(43, 12), ROBUST)) == [OPENED]
    assert due.excuse(workflow(), 0, at(99), ROBUST) == 0


def test_x31_what_was_due_while_we_were_away_is_not_missing_by_a_rule() -> None:
    baseline, config = expected("daily 02:00 grace 20m")
    assert due.excuse(baseline, at(3, 1), at(5, 10), config) == 3
    assert due.due(baseline, at(5, 11), config) == []
    assert states(due.due(baseline, at(6, 12), config)) == [OPENED]
    assert due.excuse(baseline, at(6, 20), at(9), Config(clock="off")) == 0


def test_x31_by_a_rule_a_clock_that_was_ahead_counts_for_nothing() -> None:
    baseline, config = expected("daily 02:00 grace 20m")
    feed(baseline, [nightly(400, execution_id="ahead"), *nights(4, 3)], config)
    assert states(due.due(baseline, at(7, 12), config)) == [OPENED]


def test_x31_what_is_behind_says_nothing_of_a_clock_that_is_off() -> None:
    off = Config(expect_rules=expect_rules("nightly -> off"))
    assert feed(known(), [nightly(41)], off, delay_s=86_400) == []


def test_x31_both_halves_come_in_the_order_of_their_times() -> None:
    baseline = known()
    start = Start(
        state="started", execution_id="s", workflow_id="nightly", started_at=nightly(39, minute=400).started_at
    )
    feed(baseline, [start])
    found = due.due(baseline, at(60), ROBUST)
    assert {one.detector for one in found} == {"missed_run", "still_running"}
    assert [one.detected_at for one in found] == sorted(one.detected_at for one in found)
    due.mark_unsent(baseline)
    assert due.unsent(again(baseline), ROBUST) == found


# -- state first -----------------------------------------------------------------------------------------------------


def test_x31_what_the_clock_found_is_sent_again_until_it_is_acknowledged() -> None:
    baseline = known()
    told = due.due(baseline, at(40, 12), ROBUST)
    assert due.unsent(baseline, ROBUST) == []
    due.mark_unsent(baseline)
    recovered = again(baseline)
    assert has_unsent(baseline.pack()) and due.unsent(recovered, ROBUST) == told
    due.mark_sent(recovered)
    assert due.unsent(again(recovered), ROBUST) == [] and not has_unsent(recovered.pack())
    for empty in (workflow(), known(9)):
        due.mark_unsent(empty)
        due.mark_sent(empty)
        assert due.unsent(empty, ROBUST) == []


def test_x31_all_three_are_sent_again() -> None:
    baseline = known()
    told = due.due(baseline, at(50), ROBUST)
    due.mark_unsent(baseline)
    assert due.unsent(again(baseline), ROBUST) == told and len(told) == 3
    assert due_at(baseline.pack()) == 0


def test_x31_an_end_is_never_before_its_opening() -> None:
    baseline = known()
    told = due.due(baseline, at(40, 12), ROBUST)
    due.mark_unsent(baseline)
    found = feed(again(baseline), [nightly(41)])
    assert found[0] == told[0] and states(found) == [OPENED, SUPERSEDED]
    start = Start(state="started", execution_id="run-41", workflow_id="nightly", started_at=nightly(41).started_at)
    assert states(feed(again(baseline), [start])) == [OPENED, SUPERSEDED]


# -- people ----------------------------------------------------------------------------------------------------------


def decided(kind: str, **more: Any) -> Action:
    fields = {"action_id": kind, "entity": KEY, "by": "ada", "at": FIRST} | more
    return Action(kind=kind, **fields)  # type: ignore[arg-type]


def test_x31_a_person_resolves_it_and_the_next_one_is_another() -> None:
    baseline = known()
    (one,) = due.due(baseline, at(40, 12), ROBUST)
    step(baseline, decided("resolve", incident_id="3e7a7f50-0d5a-5b8e-9b7f-000000000000"), ROBUST)
    assert baseline.status == "anomalous"
    step(baseline, decided("resolve", action_id="2", incident_id=one.incident_id), ROBUST)
    assert baseline.status == "normal"
    (next_one,) = due.due(baseline, at(41, 12), ROBUST)
    assert next_one.state == "opened" and next_one.incident_id != one.incident_id


def test_x31_feedback_gives_it_more_time() -> None:
    baseline = known()
    before = baseline.due_s
    for number in range(8):
        step(baseline, decided("not_an_anomaly", action_id=str(number)), ROBUST)
    usual = int(nightly(40).started_at.timestamp())
    assert baseline.due_s - usual == pytest.approx(3 * (before - usual), abs=60)
    assert due.due(baseline, at(40, 6), ROBUST) == []
    assert states(due.due(again(baseline), at(40, 12), ROBUST)) == [OPENED]


@pytest.mark.parametrize("kind", ["relearn", "retire"])
def test_x31_what_is_relearned_or_retired_is_not_waited_for(kind: str) -> None:
    baseline = known()
    step(baseline, decided(kind), ROBUST)
    assert (baseline.due_s, due.due(baseline, at(50), ROBUST)) == (0, [])


def test_x31_an_action_is_about_the_key_that_has_the_incident() -> None:
    baselines = Baselines({KEY: known(), "workflow/tag:nightly": known()})
    (one,) = due.due(baselines[KEY], at(40, 12), ROBUST)
    action = decided("resolve", incident_id=one.incident_id)
    assert keys_of_action(action, list(baselines), baselines) == [KEY]


# -- keys ------------------------------------------------------------------------------------------------------------


def test_x31_a_renamed_key_takes_its_incident_along() -> None:
    baseline = known()
    (one,) = due.due(baseline, at(40, 12), ROBUST)
    moved = again(baseline).with_key("workflow/default%20branch:nightly")
    (end,) = feed(moved, [nightly(41, variant="default branch")])
    assert (end.incident_id, end.variant) == (one.incident_id, "default branch")


def test_x31_a_key_that_gives_way_ends_what_is_open() -> None:
    former, kept = known(), known()
    (one,) = due.due(former, at(40, 12), ROBUST)
    (end,) = ends_of(former, kept, FIRST + timedelta(days=50), ROBUST)
    assert (end.incident_id, end.end_reason, end.detector) == (one.incident_id, "retired", "missed_run")
    assert end.execution_id is None


@pytest.mark.parametrize("variant", ["branch", "pull request", "child:unnamed", "schedule", "default branch"])
def test_x31_each_variant_has_its_own_times_and_branches_have_none(variant: str) -> None:
    baselines = Baselines()
    for event in nights(40, variant=variant):
        baselines.apply(event, ROBUST, epoch_ms(event.finished_at))
    (baseline,) = baselines.values()
    assert isinstance(baseline, WorkflowBaseline)
    found = due.due(baseline, at(40, 12), ROBUST)
    assert [one.variant for one in found] == ([variant] if variant in ("schedule", "default branch") else [])


# -- settings --------------------------------------------------------------------------------------------------------


def test_w20_classic_keeps_nothing_of_it_unless_the_clock_is_on() -> None:
    baseline = known(config=CLASSIC)
    assert (baseline.times, baseline.rest, baseline.pack()[0]) == (None, 0, 4)
    on = Config("classic", clock="on")
    (one,) = due.due(known(config=on), at(40, 12), on)
    assert (one.state, one.profile) == ("opened", "classic")


def test_x31_a_clock_that_is_put_off_ends_what_is_open_and_forgets() -> None:
    off = Config(clock="off")
    baseline = known()
    due.due(baseline, at(40, 12), ROBUST)
    assert states(due.due(again(baseline), at(41, 12), off)) == [PUT_OFF]
    start = Start(state="started", execution_id="run-41", workflow_id="nightly", started_at=nightly(41).started_at)
    assert states(feed(again(baseline), [start], off)) == [PUT_OFF]
    assert states(feed(baseline, [nightly(41)], off)) == [PUT_OFF]
    assert (baseline.times, baseline.due_s) == (None, 0)


def test_x31_the_profile_is_that_of_the_labels_that_runs_share() -> None:
    config = Config("classic", profile_rules=profile_rules("team=core -> robust"))
    baseline = known(config=config)
    assert [one.profile for one in due.due(baseline, at(40, 12), config)] == ["robust"]


def expected(rule: str, count: int = 3, **more: Any) -> tuple[WorkflowBaseline, Config]:
    config = Config(expect_rules=expect_rules(f"nightly -> {rule}"))
    baseline = workflow()
    assert feed(baseline, nights(count, **more), config) == []
    return baseline, config


def test_x31_a_rule_holds_in_place_of_what_is_learned_from_the_first_run_on() -> None:
    baseline, config = expected("daily 02:00 grace 20m", 1)
    explained: list[str] = []
    assert due.due(baseline, at(1, 2.4), config, explained) == []
    assert explained == ["expected daily 02:00 (EXPECT_RULES); 0 of 0 came; next due by 2026-01-06 02:30 UTC"]
    found = [one for day in range(1, 9) for one in due.due(again(baseline), at(day, 3), config)][:1]
    (one,) = due.due(baseline, at(1, 3), config)
    assert one == found[0] and "it is expected daily 02:00" in one.description
    assert states(feed(again(baseline), [nightly(1, minute=65)], config)) == [RECOVERED]
    assert states(feed(again(baseline), [nightly(2)], config)) == [SUPERSEDED]
    assert states([one for day in range(2, 9) for one in due.due(baseline, at(day, 3), config)]) == [ONGOING, RETIRED]


def test_x31_every_so_often_counts_from_the_last_run() -> None:
    baseline, config = expected("every 24h grace 1h")
    feed(baseline, [nightly(2, minute=600, execution_id="by hand")], config)
    assert due.due(baseline, at(3, 12), config) == []
    (one,) = due.due(baseline, at(3, 14), config)
    assert one.state == "opened"
    assert states(feed(baseline, [nightly(3, minute=700)], config)) == [RECOVERED]


def test_x31_without_the_rule_its_incident_ends_and_times_are_learned() -> None:
    baseline, config = expected("daily 02:00 grace 20m")
    due.due(baseline, at(3, 3), config)
    assert states(due.due(again(baseline), at(4, 3), ROBUST)) == [PUT_OFF]
    assert states(feed(again(baseline), [nightly(4)], ROBUST)) == [SUPERSEDED]
    off = Config(expect_rules=expect_rules("nightly -> off"))
    assert states(due.due(again(baseline), at(4, 3), off)) == [PUT_OFF]
    assert states(feed(baseline, [nightly(4)], off)) == [PUT_OFF]
    assert baseline.times is None
    learned = known()
    with_rule = Config(expect_rules=expect_rules("nightly -> daily 02:00 grace 20m"))
    assert feed(learned, nights(3, 40), with_rule) == []
    assert learned.times is not None and learned.times.schedule is None
    assert feed(learned, nights(30, 43), ROBUST) == []
    assert states(due.due(learned, at(73, 12), ROBUST)) == [OPENED]


def test_x31_another_grace_period_or_rule_holds_at_once() -> None:
    baseline = expected("daily 02:00 grace 20m")[0]
    longer = Config(expect_rules=expect_rules("nightly -> daily 02:00 grace 5h"))
    assert due.due(baseline, at(3, 3), longer) == []
    assert states(due.due(baseline, at(3, 8), longer)) == [OPENED]
    other = Config(expect_rules=expect_rules("nightly -> daily 03:30"))
    baseline = expected("daily 02:00 grace 20m")[0]
    assert due.due(baseline, at(3, 3), other) == []
    assert states(due.due(baseline, at(3, 5), other)) == [OPENED]


def test_x31_a_job_that_never_ran_is_missing_by_its_rule() -> None:
    config = Config(expect_rules=expect_rules("nightly -> daily 02:00 grace 20m"))
    baselines = Baselines()
    baselines.expect(config, at(0, 12) // 1000)
    baseline = baselines[KEY]
    assert isinstance(baseline, WorkflowBaseline)
    assert due.due(baseline, at(1, 1), config) == []
    (one,) = due.due(again(baseline), at(1, 3), config)
    assert (one.execution_id, one.entity_name) == (None, "nightly")
    assert "it has never been seen, and is expected since 2026-01-05 12:00 UTC" in one.description
    assert [each.kind for each in one.affected_entities] == ["workflow"]


# -- what events lead to ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["robust", "classic"])
def test_x31_events_are_judged_alike_with_and_without_the_clock(profile: str) -> None:
    on, off = Config(profile, clock="on"), Config(profile, clock="off")  # type: ignore[arg-type]
    ticked, silent = workflow(), workflow()
    for day in range(120):
        if day % 17 == 11:
            continue
        long = 5000 if day % 29 == 7 else 600 + day % 5
        status = "failure" if day % 13 in (3, 4, 5) else "success"
        event = nightly(day, run_s=long, status=status)
        due.due(ticked, at(day, 1), on)
        judged = step(ticked, event, on, epoch_ms(event.finished_at) + 2000)
        alone = step(silent, event, off, epoch_ms(event.finished_at) + 2000)
        assert [one for one in judged.anomalies if one.detector != "missed_run"] == list(alone.anomalies)
        assert judged.kind == alone.kind
    ticked.forget_times()
    assert ticked.pack() == silent.pack()


def test_x31_runs_that_end_at_regular_times_are_expected_by_their_ends() -> None:
    """As of what waits for something until a given time, or whose source knows ends alone."""
    baseline, random = workflow(), Random(4)
    runs = [nightly(day, minute=60 - 50 * random.random() ** 2, run_s=0) for day in range(60)]
    ends = [replace(one, finished_at=FIRST + timedelta(days=day, hours=1)) for day, one in enumerate(runs)]
    assert feed(baseline, ends) == []
    baseline = again(baseline)
    assert baseline.times is not None and baseline.times.by_end
    (one,) = due.due(baseline, at(60, 12), ROBUST)
    assert "did not come: it usually ends every day 03:00 UTC" in one.description
    assert one.gates[0] == "usually ends every day 03:00 UTC"
    start = Start(state="started", execution_id="run-60", workflow_id="nightly", started_at=nightly(60).started_at)
    assert feed(baseline, [start], delay_s=40_000) == []
    late = replace(runs[59], execution_id="run-60", finished_at=FIRST + timedelta(days=60, hours=6))
    (end,) = feed(baseline, [replace(late, started_at=late.finished_at - timedelta(minutes=9))])
    assert end.description.startswith("Nightly import came 5 h late: run-60 started 2026-03-06 07:51 UTC")
    for day in range(61, 95):
        feed(baseline, [nightly(day, run_s=600 + 900 * random.random())])
    assert baseline.times is not None and not baseline.times.by_end, "they start at regular times now"


def test_x31_real_builds_are_judged_alike_with_and_without_the_clock_and_none_is_missed() -> None:
    on, off = Baselines(), Baselines()
    builds = (one for one in demo_events(FIRST) if one.topic == "workflow-completions")
    for one in islice(builds, 2000):
        event = decode_completion(one.value, (), -1)
        with_clock, without = on.apply(event, ROBUST), off.apply(event, Config(clock="off"))
        assert with_clock == without


def test_x31_what_has_no_schedule_rests_and_is_looked_at_again() -> None:
    baseline, minute, random = workflow(), 0.0, Random(2)
    for number in range(200):
        minute += random.expovariate(1 / 40)
        feed(baseline, [nightly(0, minute=minute, execution_id=f"r{number}")])
        baseline = again(baseline)
    assert baseline.rest and baseline.times is None and baseline.pack()[0] == 5
    start = Start(state="started", execution_id="s", workflow_id="nightly", started_at=FIRST + timedelta(days=9))
    assert feed(baseline, [start]) == []
