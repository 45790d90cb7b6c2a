"""X11: no clock of a producer mutes a key, neither of executions nor of scores.

Five situations that would break it: a clock that is far ahead in event and record; records without a timestamp that is
believed; the state of a version that did not keep it; two wrong clocks, ahead by different spans, or one that is
behind; what else is dated by the wrong clock (days, history, level, incidents) and would rest until then.
"""

import itertools
from base64 import b85decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from stream_detector.detect import Baseline, BaselineBuffer, Config, ScoreBaseline, WorkflowBaseline, step
from stream_detector.detect.statistics.days import Days
from stream_detector.events import Completion
from stream_detector.events.times import epoch_ms
from tests.unit.detect.events_of import (
    CLASSIC,
    START,
    bytes_of,
    entity,
    feed,
    found,
    kinds,
    outcomes,
    run,
    score,
    workflow,
)

YEAR = timedelta(days=365)
ROBUST = Config()
BOTH = pytest.mark.parametrize("config", [CLASSIC, ROBUST], ids=["classic", "robust"])


def days_of(count: int, first: int = 0, duration_s: float = 100.0) -> list[Completion]:
    """Four executions a day, one like the other within 3 s."""
    at = START + timedelta(hours=6 * first)
    return [
        run(first + n, duration_s + n % 4, at=at + timedelta(hours=6 * n), started_at=at + timedelta(hours=6 * n - 1))
        for n in range(count)
    ]


MUTED_ROBUST = b85decode(
    "0s#OB0Mv`lq5%K^0000000000;Q$B%Z7G1c;s6N(&b;I&;{XZ*Sd8OP<Nyl-;@#@W<p2x<bnWfF<^T-><?vE2=Ku}@bHG(u5&<6rO6XSQQ&9i_"
    "0RR91000000RR910000006<wl0000000000000000|3;E&Y}ST000001ONa4csVdI06hQz051#J;emS+Ks&GU!YJz=KLFH=&Y}ST006mFX@KlD"
    "YXATM00000000000000yZlXrydJ;e&D`{z$F~Tuy>bE~V?-e=4?-V)3?-V)f{SgNe5fT~_{SgNe5fT~_{SgNe5fT~_{SgNe5fT~_{SgNe5fT~_"
    "{SgNe5fT~_{SgNe5fT~_{SgNe5fT~_{SgNe5fT~_{SgNe5fT~_{SgNe5fT~_{SgNe5fT~_{SgNe5fT~_{SgNe5fT~_{SgNe5fT~_2NI;2c5=OX"
    "5<uUO3SJ$*)jw2L2sSXj)jt5Y{{R300Pp_*0000Z0000009F710000206hQz00000000000001^uuvhUBtk#{"
)
MUTED_CLASSIC = b85decode(
    "0s#UD0Mv`lq5%K^0000000000;Q$B%Z7G1c;s6N(&b;I&;{XZ*Sd8OP<Nyl-;@#@W<p2x<bnWfF<^T-><?vE2=Ku}@bHG(u5&<6rO6XSQQ&9i_"
    "0RR91000000RR910000006<wl0000000000000000|3;E&Y}ST000001ONa4csVdI006M&E}{Vd009920000000000B&DAK00000Kv_T"
)
MUTED_SCORE = b85decode(
    "0s;U70BFjBqX7T_00000000008U?yS6K>PW8U@KhB{+*78U>|7AI%wQ0RR91&CJZq%*-=D00000007`WnwgoInVGr2nwgoInVGpinwgoInVGr2"
    "nwgoInVGpi134}^"
)
"""What 4659e91 packed: 60 executions, one in six hours, and one of a year later; two scores of 7.5, a week apart, and
one of 9.9 a year later."""


def stamped(baseline: Any, events: Any, config: Config = ROBUST, late_s: float = 5.0, **how: Any) -> list[Any]:
    """Each event's outcome; its record is stamped so long after its own time."""
    results = []
    for event in events:
        at = event.finished_at if isinstance(event, Completion) else event.scored_at
        results.append(step(baseline, event, config, round(epoch_ms(at) + 1000 * late_s), **how))
    return results


def clocks(results: Any) -> list[Any]:
    return [one for one in found(results) if "clock that was ahead" in one.description]


@BOTH
@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(days=6), timedelta(days=20), YEAR, 70 * YEAR])
def test_x11_after_three_executions_a_key_is_judged_again(ahead, config):
    baseline = workflow()
    stamped(baseline, days_of(60), config)
    wrong = run(900, 101.0, at=START + timedelta(days=15) + ahead)
    assert stamped(baseline, [wrong], config)[0].kind == "applied"
    good = [run(60 + n, 101.0, at=START + timedelta(days=15, minutes=n)) for n in range(3)]
    results = stamped(baseline, [*good, run(63, 900.0, at=START + timedelta(days=15, minutes=9))], config)
    assert [one.kind for one in results] == ["late", "late", "applied", "applied"]
    (said,) = clocks(results)
    assert kinds([said]) == [("PatternDeviation", "info", "opened")]
    assert (said.execution_id, said.metrics.current_value) == (
        "x62",
        (wrong.finished_at - good[2].finished_at).total_seconds(),
    )
    assert "2026-01-16 00:02 UTC" in said.description and said.investigation_steps and said.gates
    assert "UnusualExecutionTime" in {one.anomaly_type for one in results[3].anomalies}
    assert (baseline.newest_ms, baseline.before_newest) == (epoch_ms(START + timedelta(days=15, minutes=9)), b"")


@pytest.mark.parametrize("record_ms", [-1, 0, 1_769_040_300, -(2**62)])
def test_x11_a_record_timestamp_that_is_not_believed_leaves_the_events_own(record_ms):
    baseline = workflow()
    feed(baseline, days_of(60), ROBUST)
    feed(baseline, [run(900, at=START + YEAR)], ROBUST, record_ms=record_ms)
    assert baseline.newest_record_ms == baseline.newest_ms == epoch_ms(START + YEAR)
    results = stamped(baseline, days_of(3, 60))
    assert [one.kind for one in results] == ["late", "late", "applied"]


def test_x11_a_record_that_is_stamped_with_its_start_counts_from_its_end():
    baseline = workflow()
    stamped(baseline, days_of(40), late_s=-3600)
    assert baseline.newest_record_ms == baseline.newest_ms
    back = [run(50 + n, at=START + timedelta(days=9, minutes=n)) for n in range(3)]
    assert [one.kind for one in stamped(baseline, back, late_s=2 * 86_400)] == ["late"] * 3, "late, by no clock's fault"


def test_x11_what_was_only_late_goes_back_nowhere():
    """Published now, or with the last one first: no clock is shown to be wrong."""
    baseline = workflow()
    stamped(baseline, days_of(60))
    old = [run(900 + n, at=START + timedelta(days=3, hours=2 * n)) for n in range(8)]
    now_ms = baseline.newest_record_ms
    assert {one.kind for one in feed(baseline, old[:4], ROBUST, record_ms=now_ms + 1000)} == {"late"}
    assert {one.kind for one in stamped(baseline, reversed(old[4:]))} == {"late"}


def test_x11_three_in_a_row_of_three_executions():
    baseline = workflow()
    stamped(baseline, [*days_of(60), run(900, at=START + YEAR)])
    good = iter(days_of(20, 60))

    def last(*events: Completion) -> str:
        kind: str = stamped(baseline, events)[-1].kind
        return kind

    assert last(next(good), next(good)) == "late"
    assert last(run(901, at=START + YEAR + timedelta(hours=1))) == "applied"  # one that is not late: from the first on
    one = next(good)
    assert last(one, run(62, at=one.finished_at, attempt=2), run(62, at=one.finished_at, attempt=3)) == "late"
    assert last(next(good), run(999, status="skipped", at=one.finished_at)) == "ignored"
    assert last(next(good)) == "applied"


def test_x11_two_wrong_clocks_need_three_good_executions_after_the_last():
    baseline = workflow()
    stamped(baseline, days_of(60))
    stamped(baseline, [run(900, at=START + 2 * YEAR), run(901, at=START + YEAR)])
    assert [one.kind for one in stamped(baseline, days_of(3, 60))] == ["late", "late", "applied"]


@BOTH
def test_x11_what_was_learned_before_the_jump_counts_after_it(config):
    """The 30 days and the 30 executions, the level, the good executions and an open incident are those of before."""
    calm, jumped = workflow(), workflow()
    for baseline in (calm, jumped):
        stamped(baseline, days_of(100), config)
        stamped(
            baseline, [run(200 + n, 101.0, "failure", at=START + timedelta(days=25, hours=n)) for n in range(3)], config
        )
    stamped(jumped, [run(900, 101.0, "failure", at=START + YEAR)], config)
    later = [run(300 + n, 101.0, at=START + timedelta(days=26, hours=n)) for n in range(8)]
    after, again = stamped(calm, later, config), stamped(jumped, later, config)
    for name, value in calm.named_baselines().items():
        # Two were late by more than 30 days; the failure of the wrong clock is not among these days either.
        assert jumped.named_baselines()[name].window_size == value.window_size - 2
    assert jumped.shown_baselines()["execution_time"].value == pytest.approx(
        calm.shown_baselines()["execution_time"].value, rel=0.01
    )
    ends = {(one.incident_id, one.end_reason) for one in found(again) if one.state == "resolved"}
    of_events = [one for one in found(after) if one.detector != "missed_run"]  # when it runs is learned anew
    assert {one.incident_id for one in of_events if one.state == "resolved"} <= {one for one, _ in ends}
    assert all((one.duration_s or 0) < 2 * 86_400 for one in found(again) if one.state == "resolved")
    assert jumped.level.newest_ms <= jumped.newest_ms == calm.newest_ms
    assert jumped.evidence.good_ms <= jumped.newest_ms


@BOTH
def test_x11_a_clock_that_is_years_behind_takes_nothing_away(config):
    """Three of a producer that is two years behind look as if all others were ahead; the next of those is believed."""
    baseline = workflow()
    stamped(baseline, days_of(100), config)
    known = baseline.named_baselines()["success_rate"].window_size
    behind = [run(900 + n, 101.0, at=START - 2 * YEAR + timedelta(hours=n)) for n in range(3)]
    assert [one.kind for one in stamped(baseline, behind, config)] == ["late", "late", "applied"]
    results = stamped(baseline, [*days_of(4, 100), run(999, 900.0, at=START + timedelta(days=26, hours=1))], config)
    assert {one.kind for one in results} == {"applied"}
    assert baseline.named_baselines()["success_rate"].window_size == known + 5
    assert "UnusualExecutionTime" in {one.anomaly_type for one in results[-1].anomalies}


@BOTH
def test_x11_a_muted_key_of_the_former_layout_is_judged_after_three(config):
    baseline = workflow()
    feed(baseline, [*days_of(60), run(900, at=START + YEAR)], replace(config, clock="off"))
    packed = former(baseline.pack())
    assert packed[0] in (2, 3)
    again = Baseline.unpack(baseline.key, packed)
    assert again.newest_record_ms == again.newest_ms
    assert [one.kind for one in stamped(again, days_of(3, 60), config)] == ["late", "late", "applied"]


@pytest.mark.parametrize(
    ("packed", "config"), [(MUTED_ROBUST, ROBUST), (MUTED_CLASSIC, CLASSIC)], ids=["robust", "classic"]
)
def test_x11_a_key_that_4659e91_left_muted_is_judged_after_three(packed, config):
    baseline = Baseline.unpack("workflow:nightly", packed)
    results = stamped(baseline, days_of(3, 60), config)
    assert [one.kind for one in results] == ["late", "late", "applied"]
    assert len(clocks(results)) == 1
    results = stamped(baseline, days_of(40, 63), config)
    assert {one.kind for one in results} == {"applied"}
    slow = stamped(baseline, [run(990, 900.0, at=START + timedelta(days=26))], config)
    assert "UnusualExecutionTime" in {one.anomaly_type for one in found(slow)}


def test_x11_an_entity_that_4659e91_left_muted_is_judged_by_its_second_score():
    baseline = Baseline.unpack("score:lido", MUTED_SCORE)
    late, second = stamped(baseline, [score("7.5", 14), score("5.8", 21)])
    assert (late.kind, len(second.anomalies)) == ("late", 2)
    assert (second.anomalies[1].metrics.baseline_value, second.anomalies[1].metrics.current_value) == (7.5, 5.8)


def former(packed: bytes) -> bytes:
    """What the former version packed of the same."""
    flags = packed[2] & 63
    assert not packed[2] & 64
    rest = packed[28:]
    if packed[2] & 128:
        rest = _without_aside(packed)
    return bytes([3 if flags & 60 else 2, packed[1], flags, packed[3]]) + packed[4:20] + rest


def _without_aside(packed: bytes) -> bytes:
    baseline = Baseline.unpack("workflow:nightly" if packed[1] == 1 else "score:lido", packed)
    if isinstance(baseline, WorkflowBaseline):
        baseline.aside = b""
    else:
        baseline.earlier = ()
    return baseline.pack()[28:]


def test_x11_old_incidents_that_are_dated_ahead_end_in_time():
    """What an incident waits for by the clock is waited for from now on, not until the wrong clock's date."""
    baseline = workflow()
    stamped(baseline, [*days_of(200)])
    stamped(baseline, [run(900 + n, 300.0, at=START + YEAR + timedelta(minutes=n)) for n in range(20)])
    assert baseline.incidents
    slow = [run(300 + n, 300.0 + n % 3, at=START + timedelta(days=51, hours=3 * n)) for n in range(120)]
    ends = [one.end_reason for one in found(stamped(baseline, slow)) if one.state == "resolved"]
    assert "new_normal" in ends


def test_x11_with_every_part_it_packs_and_goes_on_the_same():
    alone, buffer, packed = workflow(), BaselineBuffer(), None
    events = [*days_of(100), run(900, at=START + YEAR), *days_of(2, 100), *days_of(8, 102)]
    for event in events:
        record_ms = epoch_ms(event.finished_at) + 1
        baseline = buffer.open("workflow:nightly", packed)
        assert step(baseline, event, CLASSIC, record_ms) == step(alone, event, CLASSIC, record_ms)
        packed = baseline.pack()
        assert packed == alone.pack()


def test_x11_what_was_set_aside_is_forgotten_after_a_month():
    baseline = workflow()
    stamped(baseline, [*days_of(20), run(900, at=START + timedelta(days=20))])
    assert baseline.aside
    stamped(baseline, [run(901 + n, at=START + timedelta(days=20 + 2 * n)) for n in range(1, 16)])
    assert baseline.aside == b""


def test_days_that_come_back_are_counted_on_the_day_itself():
    whole, moved = Days(), Days()
    for day, count in ((100, 3), (101, 2), (103, 4), (104, 1)):
        for number in range(count):
            moved.add(day, number == 0, 10.0 * day + number)
            whole.add(min(day, 101), number == 0, 10.0 * day + number)
    moved.move_to(101)
    assert (moved.day, moved.count, moved.failed, moved.present) == (101, 7, 3, 1)
    assert moved.totals()[:3] == whole.totals()[:3]
    assert moved.totals()[3:] == pytest.approx(whole.totals()[3:], rel=1e-6)
    moved.move_to(60)
    assert (moved.day, moved.count, moved.present) == (60, 10, 0)
    again = Days()
    again.fill(bytes_of(moved), 0)
    assert bytes_of(again) == bytes_of(moved)


# -- scores --------------------------------------------------------------------------------------------------------


def weekly(*values: str, first: int = 0) -> list[Any]:
    return [score(value, 7 * (first + number)) for number, value in enumerate(values)]


@pytest.mark.parametrize("wrong", [1, 3, 12])
@pytest.mark.parametrize("ahead_days", [10, 365, 20_000])
def test_x11_the_second_score_is_judged_against_the_last_before_the_jump(ahead_days, wrong):
    baseline = entity()
    stamped(baseline, weekly("7.3", "7.4", "7.5"))
    stamped(baseline, [score("9.9", 21 + ahead_days + 0.1 * n) for n in range(wrong)])
    late, second = stamped(baseline, [score("7.6", 21), score("5.8", 21.1)])
    assert (late.kind, late.anomalies) == ("late", ())
    said, change = second.anomalies
    assert kinds([said, change]) == [
        ("PatternDeviation", "info", "opened"),
        ("SignificantScoreChange", change.severity, "opened"),
    ]
    assert "clock that was ahead" in said.description and said.investigation_steps
    assert (change.metrics.baseline_value, change.metrics.current_value) == (7.5, 5.8)
    assert f"{START + timedelta(days=14):%Y-%m-%d}" in change.investigation_steps[1]
    third = stamped(baseline, [score("5.9", 22), score("7.0", 29)])
    assert [len(one.anomalies) for one in third] == [0, 1]
    assert third[1].anomalies[0].metrics.baseline_value == 5.9


def test_x11_a_second_score_that_is_no_change_says_only_that_the_clock_was_wrong():
    baseline = entity()
    stamped(baseline, [*weekly("7.5", "7.5"), score("9.9", 400)])
    results = stamped(baseline, [score("7.5", 14), score("7.6", 15), score("7.6", 16)])
    assert [(one.kind, len(one.anomalies), one.moved) for one in results] == [
        ("late", 0, "not_compared"),
        ("applied", 1, "unchanged"),
        ("applied", 0, "unchanged"),
    ]


def test_x11_an_entity_of_the_former_layout_is_judged_by_its_second_score_against_the_first():
    baseline = entity()
    feed(baseline, [*weekly("7.5", "7.5"), score("9.9", 400)])
    again = Baseline.unpack("score:lido", former(baseline.pack()))
    assert isinstance(again, ScoreBaseline) and again.earlier == ()
    _, second = stamped(again, [score("7.4", 14), score("5.8", 15)])
    assert second.anomalies[1].metrics.baseline_value == 7.4
    assert not any("score before" in one for one in second.anomalies[1].investigation_steps)


def test_x11_of_many_scores_those_before_the_largest_gaps_are_kept():
    baseline = entity()
    stamped(baseline, [score("7", day) for day in (0, 200, *range(201, 300))])
    assert len(baseline.earlier) == 4
    stamped(baseline, [score("9", 330 + n) for n in range(20)])
    copy = Baseline.unpack(baseline.key, baseline.pack())
    assert isinstance(copy, ScoreBaseline) and copy.earlier == baseline.earlier
    assert 299 in {round((one.at_ms - epoch_ms(START)) / 86_400_000) for one in copy.earlier}


def test_x11_scores_that_are_only_late_stay_late():
    baseline = entity()
    stamped(baseline, weekly(*["7.5"] * 4))
    now_ms = baseline.newest_record_ms
    assert {one.kind for one in feed(baseline, [score("5", 1), score("5", 2)], record_ms=now_ms)} == {"late"}
    stamped(baseline, [score("5", 3)])
    assert baseline.before_newest and baseline.pending is not None
    copy = Baseline.unpack(baseline.key, baseline.pack())
    assert copy.pack() == baseline.pack()
    stamped(baseline, [score("7.5", 28)])
    assert (baseline.before_newest, baseline.pending) == (b"", None)


# -- any history ---------------------------------------------------------------------------------------------------


def history(random: Random) -> Iterator[tuple[Completion, int, bool]]:
    """Executions, their records' timestamps, and whether the clock was right: whole stretches have a wrong one."""
    at, number = START, 0
    for _ in range(random.randint(2, 6)):
        off = random.choice(
            [timedelta(0), timedelta(minutes=random.uniform(62, 600)), timedelta(days=random.uniform(1, 60)), YEAR]
        )
        off *= random.choice([1, 1, 1, -1])
        for _ in range(random.randint(1, 12)):
            at += timedelta(minutes=random.expovariate(1 / random.choice([5, 60, 1440])))
            shown = at + off
            record_ms = epoch_ms(shown) + random.randint(0, 5000)
            if random.random() < 0.2:
                record_ms = random.choice([-1, 0, record_ms // 1000])
            yield (
                run(number, random.gauss(100, 5), random.choice(["success"] * 4 + ["failure"]), at=shown),
                record_ms,
                not off,
            )
            number += 1
    for _ in range(6):
        at += timedelta(minutes=random.uniform(1, 30))
        yield run(number, 100.0, at=at), epoch_ms(at) + 1000, True
        number += 1


@BOTH
@pytest.mark.parametrize("seed", range(150))
def test_x11_any_history_is_judged_again_after_at_most_three_good_executions(seed, config):
    baseline, in_a_row = workflow(), 0
    for event, record_ms, is_good in history(Random(seed)):
        outcome = step(baseline, event, config, record_ms)
        in_a_row = in_a_row + 1 if is_good else 0
        assert in_a_row < 3 or outcome.kind == "applied", (seed, event.execution_id)
        packed = baseline.pack()
        copy = Baseline.unpack(baseline.key, packed)
        assert copy.pack() == packed
        assert isinstance(copy, WorkflowBaseline) and max(copy.level.newest_ms, copy.evidence.good_ms) <= copy.newest_ms
    assert baseline.named_baselines()["success_rate"].window_size > 0


@pytest.mark.parametrize("seed", range(100))
def test_x11_any_history_of_scores_is_judged_again_by_the_second(seed):
    random, baseline, in_a_row = Random(seed), entity(), 0
    for event, record_ms, is_good in itertools.islice(history(random), 60):
        one = score(f"{random.uniform(5, 8):.1f}", run_id=event.execution_id, scored_at=event.finished_at)
        outcome = step(baseline, one, ROBUST, record_ms)
        in_a_row = in_a_row + 1 if is_good else 0
        assert in_a_row < 2 or outcome.kind == "applied", (seed, event.execution_id)
        assert Baseline.unpack(baseline.key, baseline.pack()).pack() == baseline.pack()


def test_x11_a_backfill_goes_back_and_reports_nothing():
    baseline = workflow()
    stamped(baseline, [*days_of(40), run(900, at=START + YEAR)], backfill=True)
    results = stamped(baseline, days_of(3, 40), backfill=True)
    assert ([one.kind for one in results], found(results)) == (["late", "late", "backfilled"], [])


def test_x11_the_explanation_counts():
    baseline, gates = workflow(), []
    stamped(baseline, [*days_of(40), run(900, at=START + YEAR)])
    stamped(baseline, days_of(2, 40), explain=gates)
    assert [one for one in gates if "in a row" in one] == [
        "its record is stamped before that of the newest: 1 of 3 in a row",
        "its record is stamped before that of the newest: 2 of 3 in a row",
    ]
    stamped(baseline, days_of(1, 42), explain=gates)
    assert any(one.startswith("3 executions in a row are dated") for one in gates)
    of_score: list[str] = []
    one = entity()
    stamped(one, [score("7", 400), score("7", 1), score("7", 2)], explain=of_score)
    assert "its record is stamped before that of the newest: 1 of 2 in a row" in of_score


def test_x11_relearn_forgets_the_clock_too():
    baseline = workflow()
    stamped(baseline, [*days_of(40), run(900, at=START + YEAR), *outcomes("S", 90)])
    assert baseline.before_newest and baseline.aside
    baseline.clear()
    assert (baseline.before_newest, baseline.aside, baseline.newest_record_ms) == (b"", b"", 0)
