"""X31, X33: a replay asks what did not come as the live detector does: before each event, and once more at its end.

Situations that would break it: keys that have no event any more; an hour of the last one; a clock that is ahead; record
times; a rule for a job that never ran; the clock that asks at any time between two events.
"""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from stream_detector.detect import Config
from stream_detector.detect.replay import Replayer
from stream_detector.events import Anomaly, Completion, Start
from stream_detector.events.times import epoch_ms
from stream_detector.timing_rules import expect_rules, max_duration_rules
from tests.events_made import start
from tests.unit.detect.events_of import START, run

NIGHT = START.replace(hour=2)
DAY = timedelta(days=1)


def nightly(days: list[int], **more: object) -> list[Completion]:
    """One run each of these nights, of two minutes."""
    draw = random.Random(1)
    return [
        run(day, 120.0, started_at=at, at=at + timedelta(minutes=2), **more)
        for day in days
        for at in [NIGHT + day * DAY + timedelta(seconds=draw.randrange(40))]
    ]


def every_hour(hours: int) -> list[Completion]:
    return [run(1000 + n, 60.0, workflow_id="hourly", at=NIGHT + timedelta(hours=n)) for n in range(hours)]


def by_time(events: list[Completion]) -> list[Completion]:
    return sorted(events, key=lambda event: event.finished_at)


def missed(anomalies: list[Anomaly]) -> list[tuple[str, str]]:
    return [(one.entity_id, one.state) for one in anomalies if one.detector == "missed_run"]


def replayed(config: Config, events: list[Completion], record: bool = False) -> tuple[list[Anomaly], list[Anomaly]]:
    """What its events led to, and what it found at its end."""
    replayer = Replayer(config)
    found = [
        one
        for event in events
        for one in replayer.apply(event, epoch_ms(event.finished_at) + 2000 if record else -1).anomalies
    ]
    return found, replayer.due()


@pytest.mark.parametrize("record", [True, False])
def test_x31_a_key_that_has_no_event_any_more_is_asked_at_the_end(record: bool) -> None:
    events = by_time([*nightly([*range(20)]), *every_hour(24 * 21)])
    found, at_end = replayed(Config(), events, record)
    assert missed(found) == [] and missed(at_end) == [("nightly", "opened")]
    assert NIGHT + 20 * DAY < at_end[0].detected_at <= events[-1].finished_at


def test_x31_with_the_clock_off_and_before_it_is_due_nothing_is_found() -> None:
    events = by_time([*nightly([*range(20)]), *every_hour(24 * 21)])
    assert replayed(Config("classic"), events)[1] == replayed(Config(clock="off"), events)[1] == []
    early = [event for event in events if event.finished_at <= NIGHT + 20 * DAY + timedelta(minutes=1)]
    assert replayed(Config(), early)[1] == []


@pytest.mark.parametrize("record", [True, False])
def test_x33_a_clock_that_was_ahead_and_was_found_to_be_lets_nothing_else_be_missed(record: bool) -> None:
    later = [run(6000 + n, 60.0, workflow_id="hourly", at=NIGHT + 19 * DAY + timedelta(hours=1 + n)) for n in range(9)]
    ahead = run(5000, 60.0, workflow_id="hourly", at=NIGHT + 400 * DAY)
    events = [*by_time([*nightly([*range(20)]), *every_hour(24 * 19)]), ahead, *later]
    replayer = Replayer(Config())
    for event in events:
        came = NIGHT + 19 * DAY if event is ahead else event.finished_at
        replayer.apply(event, epoch_ms(came) if record else -1)
    assert missed(replayer.due()) == []


def test_x31_a_job_that_a_rule_names_and_that_never_ran_is_missed_in_a_replay() -> None:
    config = Config(expect_rules=expect_rules("backup -> every 24h, hourly -> off"))
    _, at_end = replayed(config, every_hour(40))
    (only,) = at_end
    assert missed(at_end) == [("backup", "opened")] and only.execution_id is None
    assert "never" in only.description and "every 24h" in only.description
    assert only.detected_at == every_hour(1)[0].finished_at + timedelta(hours=26.4)


@pytest.mark.parametrize("every_s", [700, 7200, 10**7])
def test_x33_whenever_the_clock_asks_the_ids_are_those_of_a_replay(every_s: int) -> None:
    """Runs that are left out and late, runs that hang: with record times, whoever asks first finds the same."""
    rules = {
        "expect_rules": expect_rules("ruled -> daily 05:00 Europe/Berlin"),
        "max_duration_rules": max_duration_rules("ruled -> 1h"),
    }
    config = Config(**rules)  # type: ignore[arg-type]
    history = arrived()
    live, plain = Replayer(config), Replayer(config)
    found: list[Anomaly] = []
    asked_ms = history[0][0]
    for record_ms, event in history:
        while asked_ms + 1000 * every_s <= record_ms:
            asked_ms += 1000 * every_s
            found += live.baselines.due(config, asked_ms)
        found += live.apply(event, record_ms).anomalies
    found += live.baselines.due(config, history[-1][0])
    replayed_ones = [one for record_ms, event in history for one in plain.apply(event, record_ms).anomalies]
    replayed_ones += plain.due()
    assert sorted(map(shown, found)) == sorted(map(shown, replayed_ones))
    assert {one.detector for one in found} >= {"missed_run", "still_running"}


def shown(anomaly: Anomaly) -> tuple[str, str, str, str]:
    return anomaly.id, anomaly.state, anomaly.description, str(anomaly.detected_at)


def arrived(named: Mapping[str, str] | None = None) -> list[tuple[int, Completion | Start]]:
    """(record time in epoch ms, event) in the order of their records.

    Args:
        named: the workflow ids in place of `nightly`, `ruled` and `hourly`.
    """
    draw, history = random.Random(33), list[tuple[int, Completion | Start]]()

    def take(workflow_id: str, number: int, at: datetime, minutes: float, delay_s: float = 2.0) -> None:
        workflow_id = (named or {}).get(workflow_id, workflow_id)
        begin = start(f"{workflow_id}-{number}", workflow_id, started_at=at)
        ended = at + timedelta(minutes=minutes)
        end = run(
            number,
            60.0 * minutes,
            workflow_id=workflow_id,
            execution_id=f"{workflow_id}-{number}",
            started_at=at,
            at=ended,
        )
        history.append((epoch_ms(at) + 1000, begin))
        history.append((epoch_ms(ended) + int(delay_s * 1000), end))

    for day in range(40):
        at = NIGHT + day * DAY + timedelta(seconds=draw.randrange(60))
        if day not in (18, 30, 31, 32, 33):
            late = timedelta(hours=3) if day == 24 else timedelta()
            take("nightly", day, at + late, 600.0 if day == 26 else draw.uniform(9, 11))
        if day not in (15, 36):
            take("ruled", day, at + timedelta(hours=2), 300.0 if day == 22 else 10.0)
        for hour in range(0, 24, 2):
            if (day, hour) not in {(14, 8), (21, 4)}:
                take("hourly", 24 * day + hour, NIGHT + day * DAY + timedelta(hours=hour), draw.uniform(3, 4))
    return sorted(history, key=lambda one: one[0])
