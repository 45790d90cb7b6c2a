"""Score runs in their table: one summary a run, whatever is replayed, and none where the partition is not ours."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from stream_detector.events import RunPart
from stream_detector.stream.part import Part
from stream_detector.stream.run_table import FORGET_EVERY_MS, RUN, RunTable

AT = datetime(2026, 1, 22, tzinfo=UTC)
NOW_MS = 1_769_040_000_000
QUARTER_MS, DAY_MS = 15 * 60_000, 86_400_000


class App:
    def __init__(self, part):
        self.part = part
        self.listeners = []
        self.on_rebalance_complete = SimpleNamespace(connect=lambda weak: self.listeners.append)

    def state(self, name, codec, partitions):
        return SimpleNamespace(data=SimpleNamespace(owned={0: self.part}.get, parts={0: self.part}))


@pytest.fixture
def part():
    made = Part(RUN)
    made.recovered(-1)
    made.claimed_at(0)
    return made


@pytest.fixture
def runs(part):
    return RunTable(App(part), 1)


def scored(entity_id, run_id="r1"):
    return RunPart(run_id=run_id, kind="scored", at=AT, entity_id=entity_id, entity_name=entity_id)


def completed(expected=2, run_id="r1"):
    return RunPart(run_id=run_id, kind="run_completed", at=AT, expected=expected)


def told(runs, now_ms=NOW_MS):
    return [(key, summary.scored, summary.id) for key, summary in runs.ended(0, now_ms)]


def test_one_summary_when_it_is_complete_and_entities_are_counted_distinct(runs):
    for one in (scored("a"), scored("a"), completed()):
        runs.apply(0, one, NOW_MS)
    assert told(runs) == []
    runs.apply(0, scored("b"), NOW_MS)
    ((key, count, _),) = told(runs)
    assert (key, count) == ("r1", 2)
    runs.apply(0, scored("c"), NOW_MS)
    assert told(runs, NOW_MS + QUARTER_MS) == [], "what comes after the end changes nothing"


def test_a_replay_before_the_state_was_written_tells_the_same_again(part, runs):
    parts = [scored("a"), scored("b"), completed()]
    for one in parts:
        runs.apply(0, one, NOW_MS)
    first = told(runs)
    again = RunTable(App(Part(RUN)), 1)
    again._table.data.owned(0).owned = True
    for one in parts:
        again.apply(0, one, NOW_MS)
    assert told(again, NOW_MS + 5) == first


def test_a_replay_after_the_state_was_written_tells_nothing(part, runs):
    parts = [scored("a"), scored("b"), completed()]
    for one in parts:
        runs.apply(0, one, NOW_MS)
    assert told(runs)
    part.take({})
    for one in parts:
        runs.apply(0, one, NOW_MS)
    assert told(runs) == []


def test_it_times_out_by_the_clock_after_its_last_part(runs):
    runs.apply(0, scored("a"), NOW_MS)
    assert told(runs, NOW_MS + QUARTER_MS - 1) == []
    assert [count for _, count, _ in told(runs, NOW_MS + QUARTER_MS)] == [1]


def test_runs_that_came_with_a_recovered_partition_are_looked_at(part, runs):
    runs.apply(0, scored("a"), NOW_MS)
    fresh = RunTable(App(part), 1)
    assert [key for key, *_ in told(fresh, NOW_MS + QUARTER_MS)] == ["r1"]


def test_a_closed_run_is_forgotten_a_day_later(part, runs):
    for one in (scored("a"), completed(1)):
        runs.apply(0, one, NOW_MS)
    assert told(runs)
    told(runs, NOW_MS + DAY_MS - 1)
    assert list(part.keys()) == ["r1"]
    told(runs, NOW_MS + DAY_MS + FORGET_EVERY_MS + 1)
    assert list(part.keys()) == []


def test_a_partition_beyond_our_tables_has_no_runs(runs):
    """A producer's topic may have more partitions than they."""
    assert list(runs.ended(7, NOW_MS)) == []
