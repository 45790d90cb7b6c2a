"""X30: what still runs too long is reported while it runs, once, and ended by its end."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from stream_detector.detect import Baseline, Config, WorkflowBaseline, running, step
from stream_detector.detect.codec.packed import has_unsent
from stream_detector.detect.codec.recent_ids import WITH_STARTS
from stream_detector.detect.replay import Replayer
from stream_detector.detect.running_state import MOST, Running, UsualRun
from stream_detector.detect.variants import ends_of
from stream_detector.events import Action, Anomaly, Completion, Start
from stream_detector.timing_rules import max_duration_rules
from tests.unit.detect.events_of import START, bytes_of, workflow

ROBUST = Config()
USUAL_S = 600.0
DAY = timedelta(days=1)


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def begun(name: str, at: datetime, **more: Any) -> Start:
    return Start(state="started", execution_id=name, workflow_id="nightly", started_at=at, **more)


def over(name: str, at: datetime, took_s: float | None = USUAL_S, status: str = "success", **more: Any) -> Completion:
    """The end of an execution that began at `at`; without `took_s` it is not known how long it ran."""
    finished = at + timedelta(seconds=USUAL_S if took_s is None else took_s)
    started = finished if took_s is None else at
    fields = {"execution_id": name, "workflow_id": "nightly", "started_at": started, "finished_at": finished} | more
    return Completion(status=status, **fields)  # type: ignore[arg-type]


class Key:
    """One workflow: each event arrives `lag_s` after its time; each packs and unpacks the baseline."""

    def __init__(self, config: Config = ROBUST, lag_s: float = 0.0) -> None:
        self.baseline: WorkflowBaseline = workflow()
        self.config, self.lag_s = config, lag_s
        self.sent: list[Anomaly] = []

    def take(self, *events: Start | Completion | Action, lag_s: float | None = None) -> list[Anomaly]:
        """What the events report, with what was due before they came."""
        found: list[Anomaly] = []
        for event in events:
            packed = Baseline.unpack(self.baseline.key, self.baseline.pack())
            assert isinstance(packed, WorkflowBaseline)
            self.baseline = packed
            if isinstance(event, Action):
                step(self.baseline, event, self.config)
                continue
            own = event.started_at if isinstance(event, Start) else event.finished_at
            record_ms = ms(own + timedelta(seconds=self.lag_s if lag_s is None else lag_s))
            found += step(self.baseline, event, self.config, record_ms).anomalies
        self.sent += found
        return found

    def ticks(self, at: datetime) -> list[Anomaly]:
        """What the clock finds then."""
        found = running.due_running(self.baseline, ms(at))
        self.sent += found
        return found

    def runs(self, count: int, first: int = 0, spread: float = 0.1) -> "Key":
        """So many usual executions with their starts, one a day."""
        random = Random(1)
        for number in range(first, first + count):
            at = START + number * DAY
            took_s = USUAL_S * random.lognormvariate(0.0, spread)
            assert not self.take(begun(f"n{number}", at), over(f"n{number}", at, took_s))
        return self

    @property
    def running(self) -> Running:
        """What runs."""
        assert self.baseline.running is not None
        return self.baseline.running


def states(found: Iterable[Anomaly]) -> list[tuple[str, str, str | None]]:
    return [(one.state, one.severity, one.execution_id) for one in found]


AT = START + 40 * DAY
OPENED, ONGOING = ("opened", "warning", "hung"), ("ongoing", "critical", "hung")


def limit_of(key: Key) -> timedelta:
    """The learned one: when it is due it is at least that of now, and as it was learned up to eight runs before."""
    return timedelta(seconds=max(running.usual_run(key.baseline).limit_s, key.running.limit_s))


# -- while it runs, once, ended by its end ---------------------------------------------------------------------------


def test_x30_a_run_that_hangs_is_reported_once_at_its_limit_and_once_at_twice() -> None:
    key = Key().runs(40)
    key.take(
        begun(
            "hung",
            AT,
            workflow_name="Nightly import",
            labels={"team": "core"},
            url="https://ci.example/7",
            source="github",
        )
    )
    limit = limit_of(key)
    assert timedelta(seconds=2 * USUAL_S) < limit < timedelta(seconds=3.1 * USUAL_S)
    assert key.ticks(AT + limit - timedelta(seconds=2)) == []
    (opened,) = key.ticks(AT + limit + timedelta(seconds=1))
    assert states([opened]) == [OPENED]
    assert (opened.anomaly_type, opened.detector) == ("UnusualExecutionTime", "still_running")
    assert opened.entity_name == "Nightly import" and opened.labels == {"team": "core"}
    assert opened.source == "github"
    assert opened.url == "https://ci.example/7" and opened.id == opened.incident_id
    assert abs(opened.detected_at - AT - limit) < 0.02 * limit
    assert opened.investigation_steps and {one.kind for one in opened.affected_entities} == {"workflow", "execution"}
    assert opened.metrics.current_value == (opened.detected_at - AT).total_seconds()
    assert key.ticks(AT + limit + timedelta(minutes=5)) == []
    (critical,) = key.ticks(AT + 2 * limit + timedelta(minutes=1))
    assert states([critical]) == [ONGOING]
    assert critical.incident_id == opened.id != critical.id
    assert key.ticks(AT + 2.5 * limit) == []
    (end,) = key.take(over("hung", AT, 2.6 * limit.total_seconds()))
    assert (end.state, end.severity, end.end_reason) == ("resolved", "info", "recovered")
    assert end.incident_id == opened.id and end.id not in (opened.id, critical.id)
    assert end.duration_s == pytest.approx((end.detected_at - opened.detected_at).total_seconds())
    assert key.running.executions == [] and key.baseline.due_s == 0


def test_x30_the_message_names_how_long_it_runs_what_is_usual_and_its_limit() -> None:
    key = Key().runs(40, spread=0.0)
    key.take(begun("hung", AT, workflow_name="Nightly import", limit_s=3600.0))
    (opened,) = key.ticks(AT + timedelta(minutes=61))
    assert opened.description == (
        "Nightly import has been running for 1 h: it usually takes 10 m (longest of the last 40: 10 m); limit 1 h; "
        "still running"
    )
    assert opened.gates[-1] == "the limit was given"
    (end,) = key.take(over("hung", AT, 3900.0, "failure"))
    assert end.description == (
        "Nightly import has ended with a failure, 1 h 5 m after its start; it usually takes 10 m; limit 1 h"
    )


def test_x30_without_a_clock_in_between_its_own_end_reports_the_same() -> None:
    with_clock, without = Key().runs(40), Key().runs(40)
    for key in (with_clock, without):
        key.take(begun("hung", AT))
    limit = limit_of(with_clock)
    for minutes in range(75):
        with_clock.ticks(AT + timedelta(minutes=minutes))
    end = over("hung", AT, 3.0 * limit.total_seconds())
    assert end.finished_at > AT + timedelta(minutes=75) > AT + 2 * limit
    with_clock.take(end)
    without.take(end)
    assert [one.id for one in with_clock.sent] == [one.id for one in without.sent]
    assert with_clock.sent == without.sent and len(without.sent) == 3
    assert with_clock.baseline.pack() == without.baseline.pack()


def test_x30_its_own_duration_is_not_reported_again_but_learned() -> None:
    watched, plain = Key().runs(40), Key(Config(clock="off")).runs(40)
    end = over("hung", AT, 8 * USUAL_S)
    watched.take(begun("hung", AT))
    watched.ticks(AT + timedelta(hours=1))
    assert [one.state for one in watched.take(end)] == ["resolved"]
    assert [one.detector for one in plain.take(end)] == ["unusual_execution_time"]
    assert bytes_of(watched.baseline.level) == bytes_of(plain.baseline.level)
    assert not watched.baseline.incidents
    lines: list[str] = []
    key = Key().runs(40)
    key.take(begun("hung", AT))
    step(key.baseline, end, ROBUST, ms(end.finished_at), explain=lines)
    assert "its duration is unusual, which was reported while it ran" in lines


def test_x30_a_hang_does_not_raise_the_limit_beyond_the_next_one() -> None:
    key = Key().runs(40)
    before = limit_of(key)
    key.take(begun("hung", AT))
    key.ticks(AT + 20 * before)
    key.take(over("hung", AT, 20 * before.total_seconds()))
    assert limit_of(key) < 4 * before
    usual = running.usual_run(key.baseline)
    assert usual.is_capped and usual.longest_s == pytest.approx(before.total_seconds(), rel=0.01)
    key.take(begun("hung2", AT + DAY))
    (again, _) = key.ticks(AT + 2 * DAY)
    assert "(longest of the last 41: over 2" in again.description
    key.take(over("longer", AT + DAY, 40 * before.total_seconds()))
    assert not running.usual_run(key.baseline).is_capped


@pytest.mark.parametrize(
    ("status", "end_reason"),
    [("success", "recovered"), ("failure", "superseded"), ("error", "superseded"), ("timeout", "superseded"),
     ("cancellation", "superseded"), ("skip", "superseded")],
)  # fmt: skip
def test_x30_any_end_ends_it_also_one_that_counts_in_nothing(status: str, end_reason: str) -> None:
    key = Key().runs(40)
    key.take(begun("hung", AT))
    assert len(key.ticks(AT + timedelta(hours=10))) == 2
    ends = [one for one in key.take(over("hung", AT, 36_000.0, status)) if one.detector == "still_running"]
    assert [(one.state, one.end_reason) for one in ends] == [("resolved", end_reason)]
    assert key.running.executions == []


def test_x30_an_end_before_the_limit_is_silent() -> None:
    key = Key().runs(40)
    assert key.take(begun("x", AT), over("x", AT, 1.2 * USUAL_S)) == []
    assert key.baseline.due_s == 0 and key.ticks(AT + 40 * DAY) == []


# -- cold start, lag, order, restart ---------------------------------------------------------------------------------


def test_x30_cold_start_fewer_than_ten_runs_and_no_limit_are_silent() -> None:
    key = Key().runs(9)
    key.take(begun("hung", AT))
    assert key.ticks(AT + 29 * DAY) == []
    key = Key().runs(10)
    key.take(begun("hung", AT))
    assert states(key.ticks(AT + timedelta(hours=10)))[0] == OPENED


def test_x30_a_run_that_began_before_there_was_a_limit_gets_the_one_that_is_learned() -> None:
    key = Key().runs(9)
    key.take(begun("hung", START + 9 * DAY))
    assert key.ticks(START + 9 * DAY + timedelta(minutes=1)) == []
    key.take(over("other", START + 9 * DAY))
    assert states(key.ticks(START + 9 * DAY + timedelta(hours=10)))[0] == OPENED


def test_x30_lag_the_end_of_a_job_of_a_second_may_come_half_a_minute_late() -> None:
    key = Key()
    for number in range(40):
        at = START + number * DAY
        key.take(begun(f"n{number}", at), over(f"n{number}", at, 1.0))
    key.take(begun("x", AT))
    assert key.take(over("x", AT, 1.0), lag_s=28.0) == []
    key.take(begun("hung", AT + DAY))
    assert len(key.ticks(AT + DAY + timedelta(minutes=2))) == 2


def test_x30_a_given_limit_holds_from_the_first_run_on() -> None:
    key = Key()
    assert key.take(begun("hung", AT, limit_s=60.0)) == []
    assert [one.state for one in key.ticks(AT + timedelta(seconds=60))] == ["opened"]
    (end,) = key.take(over("hung", AT, 90.0))
    assert (end.state, end.duration_s) == ("resolved", 30.0)


def test_x30_lag_what_comes_an_hour_late_by_a_poll_is_no_run_that_hangs() -> None:
    random = Random(2)
    key = Key()
    for number in range(200):
        at = START + number * DAY
        took_s = 120.0 * random.lognormvariate(0.0, 0.2)
        poll = 3600.0 * random.random()
        key.take(begun(f"n{number}", at), lag_s=poll)
        # the end may just miss the poll that had the start
        key.take(over(f"n{number}", at, took_s), lag_s=max(poll - took_s, 0.0) if number % 3 else 3600.0)
    assert not [one for one in key.sent if one.detector == "still_running"]
    key.take(begun("hung", AT + 200 * DAY))
    assert states(key.ticks(AT + 200 * DAY + timedelta(hours=2)))[0] == OPENED


def test_x30_lag_a_start_that_comes_after_its_limit_has_a_minute_for_its_end_to_follow() -> None:
    for key, given in ((Key(), {"limit_s": 3600.0}), (Key().runs(40), {})):
        key.take(begun("x", AT, **given), lag_s=7200.0)  # type: ignore[arg-type]
        assert key.take(over("x", AT), lag_s=7200.0 - USUAL_S + 30.0) == [], "after an outage"
        key.take(begun("hung", AT + DAY, **given), lag_s=7200.0)  # type: ignore[arg-type]
        assert key.ticks(AT + DAY + timedelta(seconds=7259)) == []
        (opened,) = key.ticks(AT + DAY + timedelta(seconds=7261))
        assert 7200.0 < opened.metrics.current_value <= 7260.0


def test_x30_lag_a_history_that_is_published_now_says_nothing_of_how_late_ends_are() -> None:
    key = Key()
    now = START + 40 * DAY
    for number in range(40):
        at = START + number * DAY
        for event, own in ((begun(f"n{number}", at), at), (over(f"n{number}", at), at + timedelta(seconds=USUAL_S))):
            assert key.take(event, lag_s=(now - own).total_seconds()) == []
    assert key.running.delay_s == 0.0
    key.take(begun("hung", now))
    assert len(key.ticks(now + timedelta(hours=3))) == 2


def test_x30_lag_a_backlog_is_judged_by_when_its_events_were_published() -> None:
    key = Key().runs(40)
    # Both lie on the topic for a day until they are read; the records have their own times.
    assert key.take(begun("x", AT), over("x", AT)) == []


def test_x30_a_start_after_its_end_runs_not() -> None:
    key = Key().runs(40)
    key.take(over("x", AT))
    key.take(*[over(f"y{number}", AT + number * DAY) for number in range(1, WITH_STARTS)])
    assert key.take(begun("x", AT)) == [] and key.running.executions == []
    key.take(over("y0", AT + 40 * DAY))
    key.take(begun("x", AT + 40 * DAY))  # 32 ends came after it: it is not known any more
    assert len(key.running.executions) == 1


def test_x30_a_late_start_of_an_earlier_attempt_of_what_has_ended_runs_not() -> None:
    key = Key().runs(40)
    key.take(over("x", AT, attempt=3), begun("x", AT, attempt=2), begun("x", AT, attempt=3))
    assert key.running.executions == []


def test_x30_a_start_that_comes_twice_is_one_and_reported_once() -> None:
    key = Key().runs(40)
    twice = begun("hung", AT)
    key.take(twice, twice)
    assert len(key.running.executions) == 1
    assert len(key.ticks(AT + timedelta(hours=10))) == 2
    assert key.take(twice) == [] and key.ticks(AT + timedelta(hours=11)) == []
    assert [one.state for one in key.take(over("hung", AT, 36_000.0), twice)] == ["resolved"]
    assert key.running.executions == []


def test_x30_of_two_starts_of_an_attempt_the_later_one_counts() -> None:
    key = Key().runs(40)
    later = AT + timedelta(minutes=5)
    key.take(begun("x", AT), begun("x", later))
    assert key.ticks(AT + limit_of(key) + timedelta(minutes=1)) == []
    key.take(begun("x", AT))
    assert key.running.executions[0].start_ms == ms(later)


def test_x30_a_run_that_waits_for_a_machine_does_not_run() -> None:
    key = Key().runs(40)
    key.take(begun("x", AT, queued_at=AT))
    assert key.ticks(AT + timedelta(hours=1)) == []
    later = AT + timedelta(hours=1)
    key.take(begun("x", later, queued_at=AT))
    assert key.ticks(later + limit_of(key) - timedelta(minutes=1)) == []
    assert len(key.ticks(later + limit_of(key) + timedelta(minutes=1))) == 1


def test_x30_an_end_without_a_start_is_the_normal_case() -> None:
    key = Key().runs(40)
    assert key.take(over("unknown", AT)) == []
    plain = Key()
    plain.take(*[over(f"x{number}", START + number * DAY) for number in range(50)])
    assert plain.baseline.running is None and plain.baseline.due_s == 0 and len(plain.baseline.ids) == 64


def test_x30_restart_the_packed_state_is_the_same() -> None:
    key = Key().runs(40)
    key.take(begun("hung", AT, url="https://ci.example/7", labels={"team": "ä" * 40}), begun("other", AT, limit_s=9e4))
    key.ticks(AT + timedelta(hours=1))
    packed = key.baseline.pack()
    again = Baseline.unpack(key.baseline.key, packed)
    assert isinstance(again, WorkflowBaseline) and again.pack() == packed
    assert [vars_of(one) for one in again.running.executions] == [vars_of(one) for one in key.running.executions]  # type: ignore[union-attr]
    assert again.due_s == key.baseline.due_s == key.running.due_s


def vars_of(one: Any) -> dict[str, Any]:
    names = "id", "attempt", "start_ms", "base_s", "limit_s", "given", "off", "closed", "stage", "unsent"
    return {name: getattr(one, name) for name in names}


def test_x30_parallel_runs_of_a_workflow_are_each_their_own() -> None:
    key = Key().runs(40)
    minute = timedelta(minutes=1)
    key.take(*[begun(f"p{number}", AT + number * minute) for number in range(5)])
    key.take(over("p1", AT + minute), over("p3", AT + 3 * minute))
    found = key.ticks(AT + limit_of(key) + 10 * minute)
    assert [one.execution_id for one in found] == ["p0", "p2", "p4"]
    assert len({one.id for one in found}) == 3
    assert [one.detected_at for one in found] == sorted(one.detected_at for one in found)
    assert [one.execution_id for one in key.take(over("p2", AT, 7200.0)) if one.state == "resolved"] == ["p2"]


def test_x30_more_than_sixteen_are_counted_and_not_watched() -> None:
    key = Key().runs(40)
    key.take(*[begun(f"p{number}", AT) for number in range(MOST + 4)])
    assert (len(key.running.executions), key.running.unwatched) == (MOST, 4)
    key.take(over(f"p{MOST}", AT), over("unknown", AT))
    assert key.running.unwatched == 2
    key.take(*[over(f"p{number}", AT) for number in range(MOST)])
    assert key.running.unwatched == 0


# -- attempts, and runs that end again -------------------------------------------------------------------------------


def test_x30_a_newer_attempt_ends_the_one_before() -> None:
    key = Key().runs(40)
    key.take(begun("hung", AT))
    (opened, _) = key.ticks(AT + timedelta(hours=10))
    again = AT + timedelta(hours=11)
    (end,) = key.take(begun("hung", again, attempt=2))
    assert (end.state, end.end_reason, end.attempt) == ("resolved", "superseded", 1)
    assert end.incident_id == opened.incident_id
    assert key.take(begun("hung", AT, attempt=1)) == []
    (second, _) = key.ticks(again + timedelta(hours=10))
    assert second.attempt == 2 and second.id != opened.id
    assert [one.attempt for one in key.take(over("hung", again, 40_000.0, attempt=2))] == [2]


def test_x30_the_end_of_a_newer_attempt_without_a_start_ends_it_too() -> None:
    key = Key().runs(40)
    key.take(begun("hung", AT))
    key.ticks(AT + timedelta(hours=10))
    ends = key.take(over("hung", AT + timedelta(hours=10), attempt=2))
    assert [(one.end_reason, one.attempt) for one in ends] == [("superseded", 1)]


def test_x30_the_end_of_an_earlier_attempt_ends_not_the_newer_one() -> None:
    key = Key().runs(40)
    key.take(begun("x", AT, attempt=2), over("x", AT, attempt=1))
    assert len(key.running.executions) == 1


def test_x30_a_run_that_can_end_again_is_paired_by_its_number() -> None:
    key = Key().runs(40)
    second = int(AT.timestamp())
    key.take(begun("gitlab:31", AT))
    assert len(key.ticks(AT + timedelta(hours=10))) == 2
    end = over(f"gitlab:31.{second + 36_000}", AT, 36_000.0)
    assert [(one.state, one.execution_id) for one in key.take(end)] == [("resolved", "gitlab:31")]
    assert key.take(begun("gitlab:31", AT)) == [] and key.running.executions == []  # a start after its end
    again = AT + timedelta(days=1)
    key.take(begun("gitlab:31", again))  # a job of it was started again
    assert len(key.running.executions) == 1
    key.take(over(f"gitlab:31.{second + 36_001}", AT, 36_001.0))  # not the end of what began later
    assert len(key.running.executions) == 1


def test_x30_the_first_start_of_a_workflow_after_its_end_runs_not() -> None:
    key = Key()
    key.take(over(f"gitlab:31.{int(AT.timestamp()) + 600}", AT), begun("gitlab:31", AT))
    assert key.baseline.running is None
    key.take(begun("gitlab:32", AT + DAY))
    assert len(key.running.executions) == 1


def test_x30_of_the_ends_of_runs_that_end_again_the_last_ones_are_remembered() -> None:
    key = Key()
    key.take(begun("gitlab:0", AT, limit_s=60.0))
    for number in range(1, 40):
        at = AT + number * DAY
        key.take(over(f"gitlab:{number}.{int(at.timestamp()) + 600}", at))
    assert len(key.running.ended) == 8 * 32
    assert key.running.has_ended("gitlab:39", 0) and not key.running.has_ended("gitlab:1", 0)


# -- limits and settings ---------------------------------------------------------------------------------------------


def test_x30_a_setting_gives_the_limit_or_turns_it_off() -> None:
    rules = max_duration_rules("nightly -> 30m, team=slow -> off")
    key = Key(Config(max_duration_rules=rules))
    key.take(begun("hung", AT))
    assert [one.state for one in key.ticks(AT + timedelta(minutes=31))] == ["opened"]
    off = Key(Config(max_duration_rules=max_duration_rules("nightly -> off"))).runs(40)
    off.take(begun("hung", AT, limit_s=60.0))
    assert off.ticks(AT + timedelta(hours=1)) == [] and len(off.running.executions) == 1


def test_x30_what_comes_with_the_start_is_nearer_than_the_setting() -> None:
    key = Key(Config(max_duration_rules=max_duration_rules("* -> 30m")))
    key.take(begun("hung", AT, limit_s=60.0))
    assert len(key.ticks(AT + timedelta(minutes=1))) == 1


@pytest.mark.parametrize("config", [Config(clock="off"), Config(profile="classic")])
def test_x30_without_the_clock_nothing_of_it_is_kept(config: Config) -> None:
    key = Key(config)
    key.take(*[over(f"x{number}", START + number * DAY) for number in range(40)])
    before = key.baseline.pack()
    assert key.take(begun("hung", AT, limit_s=1.0)) == [] and key.baseline.pack() == before
    assert key.ticks(AT + DAY) == [] and before[0] == 4


def test_x30_classic_with_the_clock_on_learns_its_limit_from_its_last_durations() -> None:
    key = Key(Config(profile="classic", clock="on"))
    for number in range(40):
        at = START + number * DAY
        key.take(begun(f"n{number}", at), over(f"n{number}", at))
    key.take(begun("hung", AT))
    (opened, _) = key.ticks(AT + timedelta(hours=10))
    assert opened.profile == "classic"


def test_x30_feedback_raises_the_learned_limit() -> None:
    key = Key().runs(40)
    before_s = running.usual_run(key.baseline).limit_s
    key.take(begun("hung", AT))
    key.take(action("expected", "a1"))
    assert running.usual_run(key.baseline).limit_s == pytest.approx(1.25 * before_s, rel=1e-6)
    assert key.baseline.due_s == pytest.approx(AT.timestamp() + 1.25 * before_s, abs=1.1)
    key.take(over("hung", AT), action("expected", "a2"))
    assert key.baseline.due_s == 0


def action(kind: str, action_id: str, incident_id: str | None = None) -> Action:
    return Action(
        action_id=action_id, kind=kind, at=AT, by="ann", entity="workflow:nightly", incident_id=incident_id  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["resolve", "expected"])
def test_x30_what_a_person_has_closed_is_reported_no_more(kind: str) -> None:
    key = Key().runs(40)
    key.take(begun("hung", AT), begun("other", AT))
    opened = key.ticks(AT + limit_of(key) + timedelta(minutes=1))
    assert len(opened) == 2 and key.baseline.status == "anomalous"
    key.take(action(kind, "a1", opened[0].incident_id))
    assert [one.execution_id for one in key.ticks(AT + timedelta(hours=3))] == ["other"]
    assert key.take(over("hung", AT, 9000.0)) == []
    key.take(action("resolve", "a2"))
    assert key.running.reported == 0 and key.baseline.status == "normal"


# -- forgotten -------------------------------------------------------------------------------------------------------


def test_x30_what_is_not_reported_is_forgotten_after_ten_times_the_usual() -> None:
    key = Key(Config(max_duration_rules=max_duration_rules("nightly -> off"))).runs(40)
    key.take(begun("hung", AT))
    assert key.ticks(AT + timedelta(seconds=9 * USUAL_S)) == [] and len(key.running.executions) == 1
    assert key.ticks(AT + timedelta(seconds=10.6 * USUAL_S)) == [] and key.running.executions == []
    assert key.baseline.due_s == 0
    assert key.take(begun("hung", AT), lag_s=25 * 3600.0) == [] and key.running.executions == []


def test_x30_what_is_reported_stays_until_its_end_and_for_30_days() -> None:
    key = Key().runs(40)
    key.take(begun("hung", AT))
    found = key.ticks(AT + 31 * DAY)
    assert [(one.state, one.end_reason) for one in found] == [
        ("opened", None), ("ongoing", None), ("resolved", "superseded")
    ]  # fmt: skip
    assert found[-1].description.startswith("nightly has not ended and is no longer watched, 30 d after its start")
    assert Baseline.unpack("workflow:nightly", key.baseline.pack()).running.executions == []  # type: ignore[union-attr]
    assert key.baseline.due_s == 0


def test_x30_what_was_killed_without_an_end_is_given_up_a_day_later_when_the_next_one_ends_well() -> None:
    key = Key().runs(40)
    key.take(begun("hung", AT))
    (opened, _) = key.ticks(AT + timedelta(hours=10))
    assert key.take(over("n41", AT + timedelta(hours=22))) == [], "it may still run"
    assert key.take(over("n42", AT + timedelta(hours=25), status="failure")) == []
    (end,) = key.take(over("n43", AT + timedelta(hours=26)))
    assert (end.execution_id, end.end_reason, end.incident_id) == ("hung", "superseded", opened.id)
    assert "gave no end, and a later execution has ended well" in end.description


def test_x30_where_all_places_are_taken_the_oldest_one_that_was_reported_gives_way() -> None:
    key = Key().runs(40)
    key.take(*[begun(f"hung{number}", AT + number * timedelta(seconds=1)) for number in range(MOST)])
    key.take(begun("next", AT + timedelta(minutes=80)))
    assert key.running.unwatched == 1, "none of them has run for ten times the usual"
    (end,) = [one for one in key.take(begun("later", AT + timedelta(hours=3))) if one.state == "resolved"]
    assert (end.execution_id, end.end_reason) == ("hung0", "superseded")
    key.take(action("resolve", "a1"))
    assert not [one for one in key.take(begun("last", AT + timedelta(hours=4))) if one.state == "resolved"]
    assert [one.id for one in key.running.executions[-2:]] == ["later", "last"]
    assert len(key.running.executions) == MOST


def test_x30_without_a_limit_nothing_is_kept_for_more_than_30_days() -> None:
    key = Key().runs(3)
    key.take(begun("hung", AT))
    assert key.ticks(AT + 29 * DAY) == [] and len(key.running.executions) == 1
    assert key.ticks(AT + 31 * DAY) == [] and key.running.executions == []


# -- found by the clock, sent after the checkpoint -------------------------------------------------------------------


def test_x30_what_the_clock_has_found_is_sent_again_with_the_same_ids_until_it_is_acknowledged() -> None:
    key = Key().runs(40)
    key.take(begun("hung", AT))
    found = key.ticks(AT + 31 * DAY)
    running.mark_running_unsent(key.baseline)
    again = Baseline.unpack("workflow:nightly", key.baseline.pack())
    assert isinstance(again, WorkflowBaseline)
    assert running.unsent_running(again) == found and len(found) == 3
    assert has_unsent(again.pack())
    running.mark_running_sent(again)
    assert running.unsent_running(again) == [] and again.running is not None and again.running.executions == []
    assert running.due_running(again, ms(AT + 40 * DAY)) == []


def test_x30_an_event_sends_first_what_the_clock_has_found_and_nobody_knows_of() -> None:
    for end in (over("hung", AT, 3 * 3600.0), begun("other", AT + timedelta(hours=3))):
        key = Key().runs(40)
        key.take(begun("hung", AT))
        found = key.ticks(AT + timedelta(hours=2))
        running.mark_running_unsent(key.baseline)
        assert key.take(end)[:2] == found
        assert running.unsent_running(key.baseline) == [] and not has_unsent(key.baseline.pack())


def test_x30_turning_the_clock_off_ends_what_was_reported() -> None:
    for end in (over("hung", AT, 3 * 3600.0), begun("other", AT + timedelta(hours=3))):
        key = Key().runs(40)
        key.take(begun("hung", AT), begun("quiet", AT))
        key.running.executions[1].off = True
        (opened,) = key.ticks(AT + timedelta(minutes=40))
        key.config = Config(clock="off")
        resolved = [one for one in key.take(end) if one.detector == "still_running"]
        assert [(one.end_reason, one.incident_id) for one in resolved] == [("superseded", opened.id)]
        assert key.baseline.running is None and key.baseline.due_s == 0 and key.baseline.pack()[0] == 4
        assert key.take(begun("next", AT + DAY)) == []
    running.forget(workflow(), 0)


def test_x30_what_an_event_has_found_is_not_to_be_sent_by_the_clock() -> None:
    key = Key().runs(40)
    key.take(begun("hung", AT))
    key.ticks(AT + limit_of(key) + timedelta(minutes=1))
    key.ticks(AT + limit_of(key) + timedelta(minutes=2))
    running.mark_running_unsent(key.baseline)
    assert running.unsent_running(key.baseline) == []
    plain = workflow()
    running.mark_running_unsent(plain)
    running.mark_running_sent(plain)
    assert running.unsent_running(plain) == [] == running.open_incidents(plain)


# -- pairing ---------------------------------------------------------------------------------------------------------


def test_x30_an_end_that_does_not_carry_its_start_takes_its_time_from_what_runs() -> None:
    key = Key()
    key.take(over("first", START - DAY, None))
    for number in range(40):
        at = START + number * DAY
        key.take(begun(f"n{number}", at), over(f"n{number}", at, None))
    usual = running.usual_run(key.baseline)
    assert usual.usual_s == pytest.approx(USUAL_S, rel=0.01) and usual.runs == 40
    assert key.baseline.level.n == 40
    key.take(begun("slow", AT))
    end = AT + timedelta(hours=2)
    found = key.take(over("slow", AT, None, started_at=end, finished_at=end))
    assert any("2 h" in one.description for one in found)


def test_x30_an_end_with_times_of_its_own_keeps_them() -> None:
    key = Key().runs(40)
    key.take(begun("x", AT - timedelta(minutes=5)), over("x", AT))
    assert running.usual_run(key.baseline).longest_s < 1.5 * USUAL_S


# -- state -----------------------------------------------------------------------------------------------------------


def test_x30_a_running_execution_takes_24_bytes_and_its_id() -> None:
    key = Key().runs(40)
    before = len(key.baseline.pack())
    key.take(begun("a", AT))
    one = len(key.baseline.pack())
    key.take(begun("b" * 10, AT))
    assert len(key.baseline.pack()) - one == 24 + 10
    assert one - before < 24 + 1 + 100, "name, labels and source of what runs"


def test_x30_what_many_labels_would_take_is_bounded() -> None:
    key = Key()
    labels = {f"label{number}": "v" * 400 for number in range(60)}
    key.take(
        begun("hung", AT, limit_s=60.0, labels=labels, workflow_name="ü" * 500, url="https://ci.example/" + "x" * 900)
    )
    packed = key.baseline.pack()
    assert len(packed) < 1000
    again = Baseline.unpack("workflow:nightly", packed)
    assert isinstance(again, WorkflowBaseline)
    (opened,) = running.due_running(again, ms(AT) + 60_000)
    assert opened.entity_name == "ü" * 64 and opened.url is None and opened.labels == {}


def test_x30_damaged_bytes_are_refused() -> None:
    running_part = Running()
    running_part.executions.append(running_of("abc"))
    running_part.about = {"name": "n", "labels": {}, "url": None, "source": None}
    packed = bytes_of(running_part)
    with pytest.raises(ValueError, match="cut off"):
        Running().fill(packed[:-1], 0)


def running_of(name: str) -> Any:
    from stream_detector.detect.running_state import Execution

    return Execution(name, 1, ms(AT), ms(AT) // 1000, 60.0)


def test_the_delay_of_ends_is_followed_and_an_outage_counts_in_steps() -> None:
    part = Running()
    for _ in range(20):
        part.note_delay(3.0)
    assert part.delay_s == pytest.approx(3.0)
    part.note_delay(7_200.0)
    assert part.delay_s == pytest.approx(612.0)
    part.note_delay(86_400.0)
    assert part.delay_s == pytest.approx(612.0)
    for _ in range(400):
        part.note_delay(3.0)
    assert part.delay_s < 15.0
    part.note_delay(-5.0)
    assert part.base_of(10_000, 8_000, 0.0) == 8 + -(-int(1.2 * part.delay_s * 1000) // 1000)


def test_what_runs_of_a_workflow_share_is_shown_of_each() -> None:
    key = Key()
    key.take(begun("a", AT, limit_s=60.0, labels={"team": "core", "branch": "x"}, url="https://ci.example/1"))
    key.take(begun("b", AT, limit_s=60.0, labels={"team": "core", "branch": "y"}, url="https://ci.example/2"))
    found = key.ticks(AT + timedelta(minutes=1))
    assert [one.labels for one in found] == [{"team": "core"}] * 2 and [one.url for one in found] == [None, None]


def test_explanations_name_the_limit() -> None:
    key, lines = Key().runs(40), []  # type: ignore[var-annotated]
    step(key.baseline, begun("x", AT), ROBUST, ms(AT), explain=lines)
    assert lines[-1].startswith("1 running; the learned limit is ")
    cold, lines = Key(), []
    step(cold.baseline, begun("x", AT), ROBUST, ms(AT), explain=lines)
    assert lines == ["1 running; no limit is learned before 10 executions with a duration"]
    assert running.explained(workflow())[0].startswith("0 running")
    assert UsualRun(b"", Running().longest, 0.0).usual_s == 0.0


def test_an_unbelievable_record_time_is_not_an_arrival() -> None:
    assert running.arrived_ms(ms(AT), -1) == running.arrived_ms(ms(AT), None) == ms(AT)
    assert running.arrived_ms(ms(AT), ms(AT) + 5) == ms(AT) + 5
    running.refresh(workflow())
    assert datetime(2026, 1, 1, tzinfo=UTC) == START


def test_x30_where_its_key_gives_way_what_was_reported_ends() -> None:
    former, kept = Key().runs(40), Key().runs(50)
    former.take(begun("hung", AT))
    (opened, _) = former.ticks(AT + timedelta(hours=10))
    (end,) = ends_of(former.baseline, kept.baseline, AT + DAY, ROBUST)
    assert (end.state, end.end_reason, end.incident_id) == ("resolved", "retired", opened.id)
    assert (end.detector, end.anomaly_type) == ("still_running", "UnusualExecutionTime")


def test_x30_a_history_that_is_imported_starts_nothing() -> None:
    key = Key().runs(3)
    assert step(key.baseline, begun("old", AT), ROBUST, ms(AT), backfill=True).kind == "started"
    assert key.running.executions == []
    assert step(key.baseline, over("n9", AT), ROBUST, ms(AT + 20 * DAY), backfill=True).kind == "backfilled"
    assert key.running.delay_s == 0.0, "it says nothing of how long events take to arrive"


def test_x30_a_replay_watches_the_first_run_of_a_workflow_whose_limit_is_given() -> None:
    replayed = Replayer(ROBUST)
    assert replayed.apply(begun("quiet", AT), ms(AT)).kind == "started" and not replayed.baselines
    replayed.apply(begun("hung", AT, limit_s=60.0), ms(AT))
    assert replayed.apply(begun("old", AT, limit_s=60.0, variant="push"), ms(AT), backfill=True).kind == "started"
    (opened,) = replayed.apply(
        over("next", AT + timedelta(seconds=100), 1.0), ms(AT + timedelta(seconds=101))
    ).anomalies
    assert opened.execution_id == "hung"
    off = Replayer(Config(clock="off"))
    off.apply(begun("hung", AT, limit_s=60.0), ms(AT))
    assert not off.baselines


def test_x30_a_decision_about_another_incident_closes_nothing() -> None:
    key = Key().runs(40)
    key.take(action("resolve", "a0"), begun("hung", AT))
    key.ticks(AT + limit_of(key) + timedelta(minutes=1))
    key.take(action("resolve", "a1", "e71d1dc6-0f5c-5f7c-a3a4-111111111111"))
    assert key.running.reported == 1
    plain = Key()
    plain.take(action("resolve", "a1"))
    assert plain.baseline.running is None
