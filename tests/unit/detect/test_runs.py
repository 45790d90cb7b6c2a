"""Score runs end once, count entities distinct, and say the same whenever asked: S13, S15, S26, S28."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from stream_detector.detect.outcome import DUPLICATE
from stream_detector.detect.replay import Replayer, run_event_part
from stream_detector.detect.runs import PART_ANOMALIES, Run, apply_part, run_part_of, summaries, window_run_id
from stream_detector.events import RunPart, ScoreRun
from stream_detector.events.times import epoch_ms
from tests.unit.detect.events_of import CLASSIC, START, entity, feed, score

NOW = epoch_ms(START)
MINUTE = 60_000


def part(entity_id: str, kind: str = "scored", second: float = 0, **more) -> RunPart:
    return RunPart(run_id="r", kind=kind, at=START + timedelta(seconds=second), entity_id=entity_id, **more)  # type: ignore[arg-type]


def event(kind: str, second: float = 0, **more) -> RunPart:
    return part("", kind, second, **more)


def gathered(*parts: RunPart, at: int = NOW) -> Run:
    run = Run.new("r")
    for one in parts:
        apply_part(run, one, at)
    return run


def lido(current: str = "5.8"):
    results = feed(entity(), [score("7.5", run_id="q"), score(current, 1, run_id="r")])
    return run_part_of(score(current, 1, run_id="r"), results[1], failed=False)


def test_s28_a_run_without_anomalies_ends_with_0():
    run = gathered(event("run_started", expected=2), part("a"), part("b", "failed"), event("run_completed", 30))
    (one,) = summaries(run, NOW)
    assert (one.status, one.scored, one.failures, one.expected, one.anomaly_count) == ("completed", 1, 1, 2, 0)
    assert (one.duration_s, one.ended_at, one.part, one.parts) == (30.0, START + timedelta(seconds=30), 1, 1)


def test_a_run_ends_by_its_event_and_the_expected_count_in_any_order():
    run = gathered(event("run_completed", 30, expected=2), part("a"))
    assert (summaries(run, NOW), run.has_ended(NOW)) == ([], False)
    apply_part(run, part("b"), NOW)
    assert run.has_ended(NOW)
    assert summaries(run, NOW)[0].scored == 2


def test_without_an_expected_count_the_end_event_ends_it():
    assert summaries(gathered(part("a"), event("run_completed")), NOW)[0].scored == 1


def test_a_failed_run_waits_for_nothing_that_it_did_not_announce_again():
    (one,) = summaries(
        gathered(event("run_started", expected=9), part("a"), event("run_failed", 5, error="no data")), NOW
    )
    assert (one.status, one.error, one.expected, one.scored) == ("failed", "no data", None, 1)
    assert summaries(gathered(event("run_failed", expected=2), part("a")), NOW) == []


def test_a_silent_run_times_out_after_15_minutes():
    run = gathered(event("run_started"), part("a", second=10), part("b", second=20))
    assert summaries(run, NOW + 15 * MINUTE - 1) == []
    (one,) = summaries(run, NOW + 15 * MINUTE)
    assert (one.status, one.ended_at) == ("timed_out", START + timedelta(seconds=20))


def test_a_part_after_the_time_out_changes_nothing():
    run = gathered(part("a"))
    apply_part(run, part("b"), NOW + 15 * MINUTE)
    assert summaries(run, NOW + 16 * MINUTE)[0].scored == 1


def test_a_replay_changes_nothing_and_entities_are_distinct():
    parts = [part("a"), lido(), part("b", "failed"), part("b"), event("run_completed", 40)]
    run = gathered(*parts[:-1], *parts[:-1], parts[-1])
    for one in parts:
        apply_part(run, one, NOW + MINUTE)
    (summary,) = summaries(run, NOW + MINUTE)
    assert (summary.scored, summary.failures, summary.anomaly_count) == (3, 0, 1)
    assert summaries(run, NOW + MINUTE) == summaries(Run.unpack(run.pack()), NOW + 99 * MINUTE)


def test_s13_the_summary_lists_its_anomalies():
    (summary,) = summaries(gathered(lido(), event("run_completed")), NOW)
    (one,) = summary.anomalies
    assert (one.entity_id, one.entity_name, one.previous, one.current, one.delta) == (
        "lido",
        "Lido",
        Decimal("7.5"),
        Decimal("5.8"),
        Decimal("-1.7"),
    )
    assert (one.direction, one.threshold) == ("down", Decimal("0.5"))


def test_a_closed_run_takes_no_part_and_is_remembered_for_a_day():
    run = gathered(part("a"))
    run.close()
    run = Run.unpack(run.pack())
    apply_part(run, part("b"), NOW + 1)
    assert run.closed
    assert summaries(run, NOW)[0].scored == 1
    assert run.forget_at_ms == NOW + 24 * 60 * MINUTE


def test_more_than_5000_anomalies_make_parts_largest_change_first():
    base = lido()
    assert base is not None and base.anomaly is not None
    parts = []
    for number in range(PART_ANOMALIES + 1):
        metrics = replace(base.anomaly.metrics, deviation=float(number))
        parts.append(part(f"e{number}", anomaly=replace(base.anomaly, metrics=metrics)))
    first, second = summaries(gathered(*parts, event("run_completed")), NOW)
    assert (len(first.anomalies), len(second.anomalies), first.anomaly_count) == (5000, 1, 5001)
    assert (first.parts, second.part, first.id == second.id) == (2, 2, False)
    assert (first.anomalies[0].delta, second.anomalies[0].delta) == (5000, 0)


def test_s26_an_entity_that_could_not_be_judged_is_a_failure_of_the_run():
    one = run_part_of(score("1", run_id="r"), None, failed=True)
    assert one is not None and (one.kind, one.anomaly) == ("failed", None)


def test_a_duplicate_score_writes_no_part():
    assert run_part_of(score("1", run_id="r"), DUPLICATE, failed=False) is None


def test_scores_without_a_run_gather_in_windows_of_60_s_by_type():
    folding = Replayer(CLASSIC)
    for number, (kind, second) in enumerate((("dao", 0), ("dao", 59), ("fund", 59), ("dao", 60))):
        one = score("5", second / 86400, entity_id=f"e{number}", entity_type=kind)
        folding.gather(one, folding.apply(one), NOW + number)
    assert list(folding.summaries(NOW + MINUTE - 1)) == []
    ended = list(folding.summaries(NOW + MINUTE + 3))
    assert [(one.run_id, one.scored, one.status) for one in ended] == [
        ("window~dao~2026-01-01T00:00Z", 2, "completed"),
        ("window~fund~2026-01-01T00:00Z", 1, "completed"),
        ("window~dao~2026-01-01T00:01Z", 1, "completed"),
    ]


def test_a_window_of_a_long_type_still_has_a_short_id():
    assert len(window_run_id(score("5", entity_type="t" * 512))) < 100


@pytest.mark.parametrize(
    ("status", "kind"), [("started", "run_started"), ("completed", "run_completed"), ("failed", "run_failed")]
)
def test_a_run_event_is_a_part(status, kind):
    made = run_event_part(ScoreRun(run_id="r", status=status, at=START, expected=4, error="e"))
    assert (made.kind, made.expected, made.error, made.entity_id) == (kind, 4, "e", "")
