"""Score runs in their table: one summary a run, whatever is replayed, and none where the partition is not ours."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from stream_detector.delivery.state.partition import StatePartition
from stream_detector.events import RunPart, RunSummary
from stream_detector.roles.run_table import EXPIRE_EVERY_MS, VALUE, RunTable, key_of
from tests.unit.delivery.snapshots import take_snapshot

AT = datetime(2026, 1, 22, tzinfo=UTC)
NOW_MS = 1_769_040_000_000
QUARTER_MS, DAY_MS = 15 * 60_000, 86_400_000


class App:
    def __init__(self, partition):
        self.partition = partition
        self.listeners = []
        self.on_rebalance_complete = SimpleNamespace(connect=lambda weak: self.listeners.append)

    def state_table(self, name, codec, partitions):
        owned = {0: self.partition}
        return SimpleNamespace(find_owned=owned.get, get_owned=owned.__getitem__, owned_partitions=owned)


@pytest.fixture
def partition():
    made = StatePartition(VALUE)
    made.finish_recovery(-1)
    made.confirm_claim(0)
    return made


def table(partition):
    return RunTable(App(partition), 1, "robust")


@pytest.fixture
def runs(partition):
    return table(partition)


def scored(entity_id, run_id="r1"):
    return RunPart(run_id=run_id, kind="scored", at=AT, entity_id=entity_id, entity_name=entity_id)


def completed(expected=2, run_id="r1"):
    return RunPart(run_id=run_id, kind="run_completed", at=AT, expected=expected)


def summaries_of(runs, now_ms=NOW_MS):
    ended = [one for one in runs.close_ended(0, now_ms) if isinstance(one, RunSummary)]
    return [(summary.run_id, summary.scored, summary.id) for summary in ended]


def memberships_of(runs, run_id, entities, second, now_ms=NOW_MS):
    """What a completed run of these entities passes on."""
    for one in entities:
        runs.apply(0, scored(one, run_id), now_ms)
    end = RunPart(run_id=run_id, kind="run_completed", at=AT + timedelta(seconds=second))
    runs.apply(0, end, now_ms)
    return [one for one in runs.close_ended(0, now_ms) if isinstance(one, RunPart)]


def missing(runs, partitions, now_ms=NOW_MS):
    return [(one.run_id, one.entity_id, one.id) for partition in partitions for one in runs.apply(0, partition, now_ms)]


def test_one_summary_when_it_is_complete_and_entities_are_counted_distinct(runs):
    for one in (scored("a"), scored("a"), completed()):
        runs.apply(0, one, NOW_MS)
    assert summaries_of(runs) == []
    runs.apply(0, scored("b"), NOW_MS)
    ((key, count, _),) = summaries_of(runs)
    assert (key, count) == ("r1", 2)
    runs.apply(0, scored("c"), NOW_MS)
    assert summaries_of(runs, NOW_MS + QUARTER_MS) == [], "what comes after the end changes nothing"


def test_a_replay_before_the_state_was_written_gives_the_same_again(partition, runs):
    parts = [scored("a"), scored("b"), completed()]
    for one in parts:
        runs.apply(0, one, NOW_MS)
    first = summaries_of(runs)
    again = table(StatePartition(VALUE))
    for one in parts:
        again.apply(0, one, NOW_MS)
    assert summaries_of(again, NOW_MS + 5) == first


def test_a_replay_after_the_state_was_written_gives_nothing(partition, runs):
    parts = [scored("a"), scored("b"), completed()]
    for one in parts:
        runs.apply(0, one, NOW_MS)
    assert summaries_of(runs)
    take_snapshot(partition, {})
    for one in parts:
        runs.apply(0, one, NOW_MS)
    assert summaries_of(runs) == []


def test_it_times_out_by_the_clock_after_its_last_part(runs):
    runs.apply(0, scored("a"), NOW_MS)
    assert summaries_of(runs, NOW_MS + QUARTER_MS - 1) == []
    assert [count for _, count, _ in summaries_of(runs, NOW_MS + QUARTER_MS)] == [1]


def test_runs_that_came_with_a_recovered_partition_are_looked_at(partition, runs):
    runs.apply(0, scored("a"), NOW_MS)
    fresh = table(partition)
    assert [key for key, *_ in summaries_of(fresh, NOW_MS + QUARTER_MS)] == ["r1"]


def test_a_closed_run_is_forgotten_a_day_later(partition, runs):
    for one in (scored("a"), completed(1)):
        runs.apply(0, one, NOW_MS)
    assert summaries_of(runs)
    summaries_of(runs, NOW_MS + DAY_MS - 1)
    assert list(partition.keys()) == ["r1"]
    summaries_of(runs, NOW_MS + DAY_MS + EXPIRE_EVERY_MS + 1)
    assert list(partition.keys()) == []


def test_a_partition_beyond_our_tables_has_no_runs(runs):
    """A producer's topic may have more partitions than they."""
    assert list(runs.close_ended(7, NOW_MS)) == []


def test_an_entity_missing_from_the_next_run_is_reported_once_also_by_who_recovers(partition, runs):
    first, second = memberships_of(runs, "r1", "abc", 0), memberships_of(runs, "r2", "ab", 60)
    assert missing(runs, first) == []
    state, _ = take_snapshot(partition, {})
    ((run_id, entity_id, own_id),) = missing(runs, second)
    assert (run_id, entity_id) == ("r2", "c")
    assert missing(runs, [*first, *second]) == [], "what is applied changes nothing"

    heir = StatePartition(VALUE)
    heir.packed.update(state)
    heir.finish_recovery(-1)
    heir.confirm_claim(0)
    assert missing(table(heir), [*first, *second]) == [("r2", "c", own_id)], "the state was not written: the same id"


def test_a_run_that_has_passed_on_its_membership_does_it_once(partition, runs):
    assert len(memberships_of(runs, "r1", "ab", 0)) == 1
    take_snapshot(partition, {})
    assert memberships_of(runs, "r1", "ab", 0) == []


def test_memberships_are_no_runs_and_are_forgotten_after_90_days(partition, runs):
    missing(runs, memberships_of(runs, "r1", "ab", 0))
    fresh = table(partition)
    assert list(fresh.close_ended(0, NOW_MS + 90 * DAY_MS)) == []
    assert list(partition.keys()) == ["roster~"], "the run itself is kept for a day"
    list(fresh.close_ended(0, NOW_MS + 90 * DAY_MS + EXPIRE_EVERY_MS + 1))
    assert list(partition.keys()) == []


@pytest.mark.parametrize("run_id", ["roster~", "~roster~", "~~roster~dao", "~other", "other"])
def test_a_run_may_be_called_like_a_membership(partition, runs, run_id):
    missing(runs, memberships_of(runs, "r1", "abc", 0))
    mine = memberships_of(runs, run_id, "ab", 60)
    assert [entity_id for _, entity_id, _ in missing(runs, mine)] == ["c"]
    assert summaries_of(table(partition), NOW_MS) == [], "it has ended"


def test_no_two_runs_share_a_key():
    names = ["roster~", "~roster~", "~~roster~", "~", "roster", "~r"]
    keys = {key_of(scored("a", name)) for name in names}
    assert len(keys) == len(names)
    assert "roster~" not in keys
