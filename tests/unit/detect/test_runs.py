"""Score runs end once, count entities distinct, say the same whenever asked, and revise it: S13, S15, S26, S28, X1."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace

from stream_detector.detect.config import ScoreRule
from stream_detector.detect.outcome import DUPLICATE
from stream_detector.detect.replay import Replayer, run_event_part
from stream_detector.detect.rules import significant_score_change
from stream_detector.detect.runs import PART_ANOMALIES, Run, apply_part, close, run_part_of, window_run_id
from stream_detector.events import Movement, RunPart, RunSummary, ScoreRun
from stream_detector.events.decode import decode_run_summary
from stream_detector.events.encode import encode
from stream_detector.events.ids import derived_id
from stream_detector.events.times import epoch_ms
from tests.events_made import score_change
from tests.unit.detect.events_of import CLASSIC, START, entity, feed, score

NOW = epoch_ms(START)
MINUTE = 60_000

OPEN_BY_4659E91 = bytes.fromhex(
    "9aa17282a16194c3c0a441617665a364616fa46c69646f94c388a26964d92431613334356239362d366565352d356537382d"
    "626331322d373237346230363265313638a9656e746974795f6964a46c69646fab656e746974795f6e616d65a44c69646fa8"
    "70726576696f7573a3372e35a763757272656e74a3352e38a564656c7461a42d312e37a9646972656374696f6ea4646f776e"
    "a97468726573686f6c64a3302e35a44c69646fa0a9636f6d706c65746564c000cf0000019b76daa800cf0000019b7c010400"
    "cf0000019b76daa800c2c0"
)
"""Two entities, one with an anomaly, and the end event; 4659e91 packed it before it had closed the run."""
CLOSED_BY_4659E91 = OPEN_BY_4659E91[:-2] + b"\xc3\xc0"


def part(entity_id: str, kind: str = "scored", second: float = 0, **more) -> RunPart:
    return RunPart(run_id="r", kind=kind, at=START + timedelta(seconds=second), entity_id=entity_id, **more)  # type: ignore[arg-type]


def event(kind: str, second: float = 0, **more) -> RunPart:
    return part("", kind, second, **more)


def gathered(*parts: RunPart, at: int = NOW) -> Run:
    run = Run.new("r")
    for one in parts:
        apply_part(run, one, at)
    return run


def summaries(run: Run, now_ms: int):
    """What its end by now gives; the run itself stays as it is."""
    return close(Run.unpack(run.pack()), now_ms) if run.has_ended(now_ms) else []


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


def test_a_part_after_the_time_out_and_before_the_end_in_the_log_is_in_the_summary():
    run = gathered(part("a"))
    apply_part(run, part("b"), NOW + 15 * MINUTE)
    assert summaries(run, NOW + 31 * MINUTE)[0].scored == 2


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


def test_x1_what_comes_after_the_end_is_in_exactly_one_revision_with_the_whole_run():
    run = gathered(part("a"), event("run_completed", 30))
    (first,) = close(run, NOW)
    assert (first.revision, first.new, first.follow_up, first.scored, first.anomaly_count) == (1, [], 0, 1, 0)
    apply_part(run, lido(), NOW + 1_000)
    run = Run.unpack(run.pack())
    assert not run.is_revision_due(NOW + 5_999)
    assert run.is_revision_due(NOW + 6_000), "after 5 s of quiet"
    (second,) = close(run, NOW + 6_000)
    (anomaly,) = second.anomalies
    assert (second.revision, second.new, second.follow_up, second.scored) == (2, [anomaly.id], 1, 2)
    assert second.id != first.id
    assert not run.is_revision_due(NOW + 99 * MINUTE), "nothing more has come"
    apply_part(run, part("c"), NOW + 7_000)
    (third,) = close(run, NOW + 20_000)
    assert (third.revision, third.new, third.follow_up, third.anomalies) == (3, [], 0, [anomaly])


def test_x1_a_repeated_part_makes_no_revision_and_an_id_is_new_once():
    parts = [lido("5.8"), lido("4.0"), event("run_completed")]
    run = gathered(*parts[1:])
    close(run, NOW)
    for one in (*parts[1:], *parts[1:]):
        apply_part(run, one, NOW + 1)
    assert not run.is_revision_due(NOW + MINUTE)
    for one in parts:
        apply_part(run, one, NOW + 2)
    assert not run.is_revision_due(NOW + MINUTE), "an id has one content: the first"


def dup(*values: str) -> list[RunPart]:
    """The parts of an entity that is scored with these values one after the other."""
    scores = [score(value, number) for number, value in enumerate(values)]
    parts = [run_part_of(one, result, failed=False) for one, result in zip(scores, feed(entity(), scores), strict=True)]
    return [one for one in parts if one is not None]


def as_changes(summary: RunSummary) -> list[tuple[str, str]]:
    return [(str(one.previous), str(one.current)) for one in summary.anomalies]


def test_s18_each_change_of_an_entity_within_a_minute_is_in_the_summary() -> None:
    parts = dup("5.0", "2.0", "5.0", "5.1")
    run = gathered(*parts, *parts)
    (summary,) = close(run, NOW + MINUTE)
    assert as_changes(summary) == [("5.0", "2.0"), ("2.0", "5.0")], "5.1 is no change and takes none back"
    assert (summary.scored, summary.failures, summary.anomaly_count) == (1, 0, 2)
    assert {one.id for one in summary.anomalies} == {one.anomaly.id for one in parts if one.anomaly}
    run.forget()
    assert run.forgotten is not None and run.forgotten.anomalies == 2


def test_s18_changes_before_and_after_a_restart_are_in_one_summary() -> None:
    first, drop, rise = dup("5.0", "2.0", "5.0")
    run = Run.unpack(gathered(first, drop).pack())
    apply_part(run, rise, NOW)
    (summary,) = close(Run.unpack(run.pack()), NOW + MINUTE)
    assert as_changes(summary) == [("5.0", "2.0"), ("2.0", "5.0")]


def test_s18_a_second_change_of_what_4659e91_has_written_is_added() -> None:
    run = Run.unpack(OPEN_BY_4659E91)
    apply_part(run, anomalous("Lido"), NOW)
    apply_part(run, anomalous("lido"), NOW)
    (summary,) = close(run, NOW)
    assert summary.anomaly_count == len(summary.anomalies) == 3


def test_s18_a_score_that_fails_after_a_change_does_not_take_it_back() -> None:
    run = gathered(lido(), part("lido", "failed"), event("run_completed"))
    (summary,) = summaries(run, NOW)
    assert (summary.scored, summary.failures, summary.anomaly_count) == (0, 1, 1)


def test_x1_a_second_change_after_the_end_is_new_and_the_first_is_not() -> None:
    first, drop, rise = dup("5.0", "2.0", "5.0")
    run = gathered(first, drop)
    close(run, NOW + MINUTE)
    apply_part(run, rise, NOW + MINUTE)
    (second,) = close(Run.unpack(run.pack()), NOW + 2 * MINUTE)
    assert rise.anomaly is not None and second.new == [rise.anomaly.id]
    assert (second.anomaly_count, second.follow_up) == (2, 1)


def test_x1_follow_ups_keep_a_growing_distance_and_a_trickle_does_not_hold_them_back():
    run = gathered(event("run_completed"))
    close(run, NOW)
    at = NOW
    distances = []
    for number in range(6):
        came = at
        apply_part(run, anomalous(f"e{number}"), came)
        while not run.is_revision_due(at):
            at += 1_000
        distances.append((at - came) // 1_000)
        (made,) = close(run, at)
        assert made.follow_up == number + 1
    assert distances == [5, 10, 20, 40, 80, 160]
    run = gathered(event("run_completed"))
    close(run, NOW)
    for second in range(0, 60, 4):
        apply_part(run, anomalous(f"e{second}"), NOW + second * 1_000)
        assert not run.is_revision_due(NOW + second * 1_000)
    assert run.is_revision_due(NOW + MINUTE)


def test_x1_a_run_that_timed_out_and_then_completes_says_so_in_a_revision():
    run = gathered(part("a"))
    (first,) = close(run, NOW + 15 * MINUTE)
    apply_part(run, event("run_completed", 1000), NOW + 16 * MINUTE)
    (second,) = close(run, NOW + 17 * MINUTE)
    assert (first.status, second.status, second.revision) == ("timed_out", "completed", 2)


def test_x1_a_forgotten_run_keeps_its_numbers_and_gives_no_id_a_second_content():
    run = gathered(part("a"), lido(), event("run_completed"))
    (first,) = close(run, NOW)
    late = NOW + 24 * 60 * MINUTE + 1
    apply_part(run, anomalous("b"), late)
    assert list(run.entities) == ["b"], "what it had is forgotten but for its numbers"
    (second,) = close(Run.unpack(run.pack()), late)
    assert (second.revision, second.scored, second.anomaly_count, len(second.anomalies)) == (2, 3, 2, 1)
    assert second.id != first.id
    run.forget()
    assert len(run.pack()) <= 86
    assert run.delete_at_ms == late + 30 * 24 * 60 * MINUTE


def test_x1_what_was_not_waited_for_is_named():
    run = gathered(part("a"), event("run_completed"))
    (summary,) = close(run, NOW, ["scores-1: 3 of 9"])
    assert summary.not_waited_for == ["scores-1: 3 of 9"]


def anomalous(entity_id: str) -> RunPart:
    one = lido()
    assert one is not None and one.anomaly is not None
    return replace(one, entity_id=entity_id, anomaly=replace(one.anomaly, id=derived_id("test", entity_id)))


def test_x1_state_of_a_version_without_revisions_is_read():
    """Written by 4659e91: an open run ends, and of one that has ended everything was listed."""
    open_run = Run.unpack(OPEN_BY_4659E91)
    (first,) = close(open_run, NOW)
    assert (first.revision, first.scored, first.anomaly_count) == (1, 2, 1)
    closed = Run.unpack(CLOSED_BY_4659E91)
    assert closed.revision == 1
    apply_part(closed, anomalous("b"), closed.last_ms + 1)
    (second,) = close(closed, NOW)
    assert (second.revision, len(second.new), second.anomaly_count) == (2, 1, 2)


def test_more_than_5000_anomalies_make_parts_largest_change_first():
    base = lido()
    assert base is not None and base.anomaly is not None
    parts = []
    for number in range(PART_ANOMALIES + 1):
        metrics = replace(base.anomaly.metrics, deviation=float(number))
        parts.append(part(f"e{number}", anomaly=replace(base.anomaly, metrics=metrics, scores=None)))
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


def published(name: str, after_s: float | None) -> RunPart:
    at = datetime(2026, 1, 22, tzinfo=UTC)
    late = None if after_s is None else at + timedelta(seconds=after_s)
    anomaly = score_change(name, entity_id=name, detected_at=at, published_at=late)
    return RunPart(run_id="r", kind="scored", at=at, entity_id=name, anomaly=anomaly)


@pytest.mark.parametrize(
    ("after_s", "summed_up"), [([9e6, 8e6], 8e6), ([9e6, None], 9e6), ([None], None), ([-5.0, 9e6], -5.0), ([], None)]
)
def test_x9_a_run_names_how_late_its_changes_were_published_at_the_least(
    after_s: list[float | None], summed_up: float | None
) -> None:
    run, end = Run.new("r"), datetime(2026, 1, 22, 0, 5, tzinfo=UTC)
    for number, late_s in enumerate(after_s):
        apply_part(run, published(f"e{number}", late_s), 1)
    apply_part(run, RunPart(run_id="r", kind="run_completed", at=end, published_at=end + timedelta(days=40)), 1)
    run = Run.unpack(run.pack())
    (summary,) = close(run, 2)
    assert summary.published_after_s == summed_up and run.end_age_ms == 40 * 86_400_000
    assert decode_run_summary(encode(summary)) == summary


def test_x9_a_run_of_the_former_version_says_nothing() -> None:
    packed = msgspec.msgpack.encode(msgspec.msgpack.decode(Run.new("r").pack())[:10])
    run = Run.unpack(packed)
    assert (run.changes_age_ms, run.end_age_ms) == (None, 0)


def moved(*values: str | None, run_id: str = "r", config=CLASSIC) -> Replayer:
    """A run in which each entity scores `value` after 5.0 in the run before; None: it had no score before."""
    replayer = Replayer(config)
    for name, day in (("before", 0), (run_id, 1)):
        for number, value in enumerate(values):
            if name == "before" and value is None:
                continue
            at = START + timedelta(days=day, seconds=number)
            one = score(
                "5.0" if name == "before" else value or "5.0", entity_id=f"e{number}", run_id=name, scored_at=at
            )
            replayer.gather(one, replayer.apply(one), epoch_ms(at))
    return replayer


def movement_of(replayer: Replayer, run_id: str = "r", **counts: int):
    end = ScoreRun(run_id=run_id, status="completed", at=START + timedelta(days=2), **counts)  # type: ignore[arg-type]
    replayer.put(run_event_part(end, epoch_ms(end.at)), epoch_ms(end.at))
    return [one.movement for one in replayer.summaries(epoch_ms(end.at)) if one.run_id == run_id][-1]


def test_x7_a_summary_counts_how_its_entities_moved():
    values = [*["4.0"] * 41, "4.75", "4.76", "5.0", "5.24", "5.25", "6.0", None]
    assert movement_of(moved(*values)) == Movement(fell=42, rose=2, unchanged=3)


def test_x7_of_a_first_run_nothing_is_compared():
    assert movement_of(moved(None, None, None)) is None
    late = moved("4.0", "4.0", "4.0")
    old = score("1.0", entity_id="e0", run_id="late", scored_at=START)
    late.gather(old, late.apply(old), epoch_ms(START))
    assert movement_of(late, "late") is None, "a score that is older than the newest is not compared"


@pytest.mark.parametrize("rule", ["relative", "feedback"])
def test_x7_a_move_is_half_of_the_threshold_that_the_score_was_judged_with(rule):
    previous, current = Decimal("40"), Decimal("38")
    rules = ScoreRule(Decimal("0.10"), relative=True) if rule == "relative" else ScoreRule(Decimal(1))
    multiplier = Decimal(1) if rule == "relative" else Decimal(4)
    move_of = significant_score_change.move_of
    assert move_of(previous, current, rules, multiplier) == "fell"
    assert move_of(previous, current + Decimal("0.01"), rules, multiplier) == "unchanged"
    assert significant_score_change.find_change("Lido", previous, current, rules, multiplier) is None
    assert move_of(Decimal(0), Decimal(0), ScoreRule(Decimal("0.1"), relative=True), Decimal(1)) == "unchanged"
    assert move_of(Decimal(0), Decimal("0.01"), ScoreRule(Decimal("0.1"), relative=True), Decimal(1)) == "rose"


def test_x7_a_run_of_which_an_older_version_processed_a_part_does_not_guess():
    """State and parts of 4659e91 do not say how an entity moved; one that failed has not moved."""
    run = Run.unpack(OPEN_BY_4659E91)
    apply_part(run, anomalous("b"), NOW)
    (one,) = close(run, NOW)
    assert (one.scored, one.movement) == (3, None)
    mixed = gathered(part("a", "failed"), part("b", moved="fell"), part("c", moved="unchanged"), event("run_completed"))
    assert summaries(mixed, NOW)[0].movement == Movement(fell=1, unchanged=1)
    apply_part(mixed, part("d"), NOW)
    assert summaries(mixed, NOW)[0].movement is None


def test_x7_the_newest_score_of_an_entity_counts_once():
    run = gathered(part("a", moved="fell"), part("a", moved="rose"), part("b", moved="fell"), event("run_completed"))
    assert summaries(run, NOW)[0].movement == Movement(fell=1, rose=1)


def test_x7_a_later_revision_counts_the_whole_run_also_when_its_entities_are_forgotten():
    run = gathered(part("a", moved="fell"), part("b", moved="not_compared"), event("run_completed"))
    assert close(run, NOW)[0].movement == Movement(fell=1)
    late = NOW + 24 * 60 * MINUTE + 1
    apply_part(run, part("c", moved="rose"), late)
    run = Run.unpack(run.pack())
    assert close(run, late)[0].movement == Movement(fell=1, rose=1)
    run.forget()
    forgotten = Run.unpack(run.pack())
    assert forgotten.moved() == (1, 1, 0)
    counts = Run.unpack(msgspec.msgpack.encode([*msgspec.msgpack.decode(run.pack())[:15], [3, 0, 0], None, 0]))
    assert counts.moved() is None, "an earlier version kept no more than three numbers of it"
