"""X30: whatever comes in whatever order, clock or not: the same ids once, and every opening gets its end."""

import random
from datetime import timedelta
from typing import Any

import pytest

from stream_detector.detect import Baseline, Config, WorkflowBaseline, due, step
from stream_detector.events import Anomaly, Completion, Start
from tests.unit.detect.events_of import START, workflow

CONFIG = Config()


def history(rng: random.Random) -> list[tuple[int, Start | Completion]]:
    """Arrivals (epoch ms) and events of one workflow: parallel, late, twice, out of order, hanging, without an end."""
    found: list[tuple[int, Any]] = []
    at = START
    for number in range(120):
        at += timedelta(minutes=rng.uniform(1, 60))
        name = rng.choice(("x", "gitlab:")) + str(number)
        took = timedelta(minutes=10 * rng.lognormvariate(0, 0.3))
        if rng.random() < 0.06:
            took *= rng.choice((6, 20, 200))
        status = rng.choice(("success",) * 8 + ("failure", "cancellation", "timeout", "skip"))
        attempts = rng.choice((1, 1, 1, 2))
        begin = at
        for attempt in range(1, attempts + 1):
            end = begin + took
            ended = f"{name}.{int(end.timestamp())}" if name.startswith("gitlab") else name
            limit_s = rng.choice((None, None, None, 900.0))
            start = Start(
                state="started", execution_id=name, workflow_id="nightly", started_at=begin, attempt=attempt,
                limit_s=limit_s, labels={"team": "core", "n": str(number % 3)},
            )  # fmt: skip
            done = Completion(
                execution_id=ended, workflow_id="nightly", status=status, started_at=begin, finished_at=end,
                attempt=attempt,
            )  # fmt: skip
            for event, own in ((start, begin), (done, end)):
                if rng.random() < 0.04:
                    continue  # lost
                for _ in range(rng.choice((1, 1, 1, 1, 2))):
                    lag = rng.expovariate(1 / 5) if rng.random() < 0.95 else rng.uniform(60, 7200)
                    found.append((int((own.timestamp() + lag) * 1000), event))
            begin = end + timedelta(minutes=1)
    return sorted(found, key=lambda each: each[0])


def judged(events: list[tuple[int, Any]], ticks: random.Random | None, packs: bool) -> tuple[list[Anomaly], bytes]:
    baseline, found = workflow(), []
    before_ms = events[0][0]
    for arrival_ms, event in events:
        if ticks is not None:
            for now_ms in sorted(ticks.randrange(before_ms, arrival_ms + 1) for _ in range(ticks.randrange(3))):
                found += clocked(baseline, now_ms)
        if packs:
            again = Baseline.unpack(baseline.key, baseline.pack())
            assert isinstance(again, WorkflowBaseline)
            baseline = again
        found += step(baseline, event, CONFIG, arrival_ms).anomalies
        before_ms = arrival_ms
    found += clocked(baseline, before_ms + 40 * 86_400_000)
    return found, baseline.pack()


def clocked(baseline: WorkflowBaseline, now_ms: int) -> list[Anomaly]:
    """As the clock's task does: marked, sent, acknowledged."""
    found = due.due(baseline, now_ms, CONFIG)
    due.mark_unsent(baseline)
    assert due.unsent(baseline, CONFIG) == found
    due.mark_sent(baseline)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_x30_the_clock_changes_nothing_but_when_it_is_known(seed: int) -> None:
    events = history(random.Random(seed))
    plain, state = judged(events, None, packs=False)
    for number in range(3):
        found, packed = judged(events, random.Random(f"{seed}/{number}"), packs=number > 0)
        assert sorted(found, key=order) == sorted(plain, key=order)
        assert packed == state
    assert len({one.id for one in plain}) == len(plain), "each is reported once"


def order(one: Anomaly) -> tuple[Any, str]:
    return one.detected_at, one.id


@pytest.mark.parametrize("seed", range(8))
def test_x30_every_opening_gets_its_end_and_a_critical_one_was_opened_before(seed: int) -> None:
    found = [
        one for one in judged(history(random.Random(seed)), None, packs=True)[0] if one.detector == "still_running"
    ]
    assert found
    states: dict[str, list[str]] = {}
    for one in found:
        states.setdefault(one.incident_id, []).append(one.state)
    for seen in states.values():
        assert seen in (["opened", "resolved"], ["opened", "ongoing", "resolved"]), seen
