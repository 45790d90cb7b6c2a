"""Score runs in their table: one summary a run and revision, whatever is replayed and whoever ends it."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from stream_detector.delivery.published_before import Ticket
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.events import RunPart, RunSummary
from stream_detector.kafka.topics import RUN_PARTS
from stream_detector.roles.run_table import EXPIRE_EVERY_MS, VALUE, RunTable, key_of
from tests.unit.delivery.snapshots import take_snapshot

AT = datetime(2026, 1, 22, tzinfo=UTC)
NOW_MS = 1_769_040_000_000
QUARTER_MS, DAY_MS = 15 * 60_000, 86_400_000


class Clock:
    """The broker's time and a clock that nobody sets; None where the broker names no time."""

    def __init__(self):
        self.broker_ms, self.at_ms = NOW_MS, NOW_MS

    def now_ms(self):
        return self.broker_ms

    def steady_ms(self):
        return self.at_ms


class App:
    def __init__(self, partition):
        self.partition = partition
        self.broker_clock = Clock()
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


class Published:
    """What was published before is applied when the test wants it."""

    def __init__(self):
        self.tickets = []

    def ask(self):
        self.tickets.append(Ticket())
        return self.tickets[-1]

    def forget(self):
        self.tickets.clear()

    def answer(self, *not_waited_for):
        for ticket in self.tickets:
            ticket.done, ticket.not_waited_for = True, [*not_waited_for]


class Runs:
    """The table, and the part of the topic `run-parts` that it writes itself."""

    def __init__(self, partition, published=None):
        self.app = App(partition)
        self.table = RunTable(self.app, 1, "robust", published)

    def apply(self, part, now_ms=NOW_MS, offset=-1):
        return self.table.apply(0, part, now_ms, offset=offset, is_append_time=True)

    def ends(self, number, now_ms):
        self.app.broker_clock.broker_ms = self.app.broker_clock.at_ms = now_ms
        return self.table.ends(number)

    def end(self, now_ms=NOW_MS):
        """What comes of the ends that are written by now."""
        return [one for part in self.ends(0, now_ms) for one in self.apply(part, now_ms)]


def table(partition, published=None):
    return Runs(partition, published)


@pytest.fixture
def runs(partition):
    return table(partition)


def scored(entity_id, run_id="r1"):
    return RunPart(run_id=run_id, kind="scored", at=AT, entity_id=entity_id, entity_name=entity_id)


def completed(expected=None, run_id="r1"):
    return RunPart(run_id=run_id, kind="run_completed", at=AT, expected=expected)


def summaries_of(made):
    return [(one.run_id, one.scored, one.revision) for one in made if isinstance(one, RunSummary)]


def memberships_of(runs, run_id, entities, second, now_ms=NOW_MS):
    """What a completed run of these entities passes on."""
    for one in entities:
        runs.apply(scored(one, run_id), now_ms)
    end = RunPart(run_id=run_id, kind="run_completed", at=AT + timedelta(seconds=second))
    runs.apply(end, now_ms)
    return [one for one in runs.end(now_ms) if isinstance(one, RunPart)]


def missing(runs, parts, now_ms=NOW_MS):
    return [(one.run_id, one.entity_id, one.state) for part in parts for one in runs.apply(part, now_ms)]


def test_a_run_with_an_expected_count_ends_where_it_is_complete_and_entities_are_counted_distinct(runs):
    for one in (scored("a"), scored("a"), completed(2)):
        assert summaries_of(runs.apply(one)) == []
    assert runs.end() == []
    assert summaries_of(runs.apply(scored("b"))) == [("r1", 2, 1)]
    assert runs.end(NOW_MS + QUARTER_MS) == []


def test_x1_a_run_ends_where_run_closed_is_read_and_not_before_all_is_applied(partition):
    published = Published()
    runs = table(partition, published)
    for one in (completed(), scored("a")):
        runs.apply(one)
    assert runs.end() == runs.end() == []
    assert len(published.tickets) == 1, "one question for all"
    runs.apply(scored("b"))
    published.answer()
    (closing,) = runs.ends(0, NOW_MS)
    assert runs.ends(0, NOW_MS) == [], "written once"
    runs.apply(scored("c"))
    assert summaries_of(runs.apply(closing)) == [("r1", 3, 1)], "what lies before it in the log"
    assert runs.apply(closing) == [], "a second one changes nothing"


def test_x1_what_comes_after_run_closed_is_in_one_revision_that_a_record_ends(partition, runs):
    runs.apply(completed())
    assert summaries_of(runs.end()) == [("r1", 0, 1)]
    runs.apply(scored("a"))
    assert runs.end(NOW_MS + 4_999) == []
    (closing,) = runs.ends(0, NOW_MS + 5_000)
    assert (closing.kind, closing.revision) == ("run_closed", 2)
    heir = table(partition)
    (again,) = heir.ends(0, NOW_MS + 5_000)
    assert summaries_of(runs.apply(closing)) == [("r1", 1, 2)]
    assert runs.apply(again) == [], "another owner wrote it too"


def test_x1_a_new_owner_asks_anew_and_ends_the_run(partition):
    first, published = table(partition, Published()), Published()
    for one in (scored("a"), completed()):
        first.apply(one)
    assert first.end() == []
    heir = table(partition, published)
    assert heir.end() == []
    published.answer("scores-0: 2 of 9")
    (closing,) = heir.ends(0, NOW_MS)
    (summary,) = [one for one in heir.apply(closing) if isinstance(one, RunSummary)]
    assert summary.not_waited_for == ["scores-0: 2 of 9"]


async def test_x1_after_a_rebalance_it_is_asked_anew(partition):
    published = Published()
    runs = table(partition, published)
    runs.apply(completed())
    runs.end()
    for listener in runs.app.listeners:
        await listener(runs.app)
    assert published.tickets == []
    runs.end()
    published.answer()
    assert summaries_of(runs.end()) == [("r1", 0, 1)]


def test_x1_a_silent_run_that_gets_a_part_while_it_waits_goes_on(partition):
    published = Published()
    runs = table(partition, published)
    runs.apply(scored("a"))
    assert runs.end(NOW_MS + QUARTER_MS) == []
    runs.apply(scored("b"), NOW_MS + QUARTER_MS)
    published.answer()
    assert runs.end(NOW_MS + QUARTER_MS) == []
    assert runs.end(NOW_MS + 2 * QUARTER_MS) == []
    published.answer()
    assert summaries_of(runs.end(NOW_MS + 2 * QUARTER_MS)) == [("r1", 2, 1)]


def test_a_replay_before_the_state_was_written_gives_the_same_again(partition, runs):
    parts = [scored("a"), scored("b"), completed(2), scored("late"), run_closed(2)]
    first = [one for part in parts for one in runs.apply(part)]
    again = table(owned())
    assert [one for part in parts for one in again.apply(part)] == first
    assert summaries_of(first) == [("r1", 2, 1), ("r1", 3, 2)]


def test_a_replay_after_the_state_was_written_gives_nothing(partition, runs):
    parts = [scored("a"), scored("b"), completed(2), scored("late"), run_closed(2)]
    for offset, one in enumerate(parts):
        runs.apply(one, offset=offset)
    take_snapshot(partition, {RUN_PARTS: len(parts)})
    before = partition.get("r1").pack()
    assert [made for offset, one in enumerate(parts) for made in runs.apply(one, NOW_MS + 9, offset=offset)] == []
    assert partition.get("r1").pack() == before
    assert runs.end(NOW_MS + QUARTER_MS) == []


def run_closed(revision=1):
    return RunPart(run_id="r1", kind="run_closed", at=AT, revision=revision)


def owned():
    made = StatePartition(VALUE)
    made.finish_recovery(-1)
    made.confirm_claim(0)
    return made


def test_it_times_out_by_the_clock_after_its_last_part(runs):
    runs.apply(scored("a"))
    assert runs.end(NOW_MS + QUARTER_MS - 1) == []
    assert summaries_of(runs.end(NOW_MS + QUARTER_MS)) == [("r1", 1, 1)]


def test_runs_that_came_with_a_recovered_partition_are_looked_at(partition, runs):
    runs.apply(scored("a"))
    fresh = table(partition)
    assert summaries_of(fresh.end(NOW_MS + QUARTER_MS)) == [("r1", 1, 1)]


def test_x1_a_run_is_whole_for_a_day_then_its_numbers_are_kept_for_30(partition, runs):
    for one in (scored("a"), completed(1)):
        runs.apply(one)
    hour = 3_600_000
    runs.apply(completed(run_id="r2"), NOW_MS + DAY_MS + hour)
    runs.ends(0, NOW_MS + 2 * DAY_MS)
    assert list(partition.get("r1").entities) == ["a"], "no record that was read is so late"
    runs.apply(completed(run_id="r2"), NOW_MS + DAY_MS + hour + 1)
    runs.ends(0, NOW_MS + 2 * DAY_MS + EXPIRE_EVERY_MS + 1)
    assert partition.get("r1").entities == {}
    runs.ends(0, NOW_MS + 30 * DAY_MS)
    assert "r1" in list(partition.keys())
    runs.ends(0, NOW_MS + 30 * DAY_MS + EXPIRE_EVERY_MS + 1)
    assert "r1" not in list(partition.keys())


def test_a_partition_beyond_our_tables_has_no_runs(runs):
    """A producer's topic may have more partitions than they."""
    assert runs.ends(7, NOW_MS) == []


def test_an_entity_missing_from_the_next_run_is_reported_once_also_by_who_recovers(partition, runs):
    first, second = memberships_of(runs, "r1", "abc", 0), memberships_of(runs, "r2", "ab", 60)
    assert missing(runs, first) == []
    state, _ = take_snapshot(partition, {})
    assert missing(runs, second) == [("r2", "c", "opened")]
    assert missing(runs, [*first, *second]) == [], "what is applied changes nothing"

    heir = StatePartition(VALUE)
    heir.packed.update(state)
    heir.finish_recovery(-1)
    heir.confirm_claim(0)
    assert missing(table(heir), [*first, *second]) == [("r2", "c", "opened")], "the state was not written"


def test_x1_a_missing_entity_that_comes_late_ends_its_record(partition, runs):
    missing(runs, memberships_of(runs, "r1", "abc", 0))
    (opened,) = [one for part in memberships_of(runs, "r2", "ab", 60) for one in runs.apply(part)]
    runs.apply(scored("c", "r2"))
    (part,) = [one for one in runs.end(NOW_MS + 5_000) if isinstance(one, RunPart)]
    (ended,) = runs.apply(part)
    assert (ended.state, ended.entity_id, ended.incident_id) == ("resolved", "c", opened.incident_id)
    assert ended.id != opened.id
    assert runs.apply(part) == [], "told once"
    third = memberships_of(runs, "r3", "ab", 120)
    assert missing(runs, third) == [("r3", "c", "opened")], "it counts as one of the run that it came to late"


def test_a_run_that_has_passed_on_its_membership_does_it_once(partition, runs):
    assert len(memberships_of(runs, "r1", "ab", 0)) == 1
    take_snapshot(partition, {})
    assert memberships_of(runs, "r1", "ab", 0) == []


def test_memberships_are_no_runs_and_are_forgotten_after_90_days(partition, runs):
    missing(runs, memberships_of(runs, "r1", "ab", 0))
    fresh = table(partition)
    assert fresh.ends(0, NOW_MS + 90 * DAY_MS) == []
    assert list(partition.keys()) == ["roster~"], "the run's own numbers are kept for 30"
    fresh.ends(0, NOW_MS + 90 * DAY_MS + EXPIRE_EVERY_MS + 1)
    assert list(partition.keys()) == []


@pytest.mark.parametrize("run_id", ["roster~", "~roster~", "~~roster~dao", "~other", "other"])
def test_a_run_may_be_called_like_a_membership(partition, runs, run_id):
    missing(runs, memberships_of(runs, "r1", "abc", 0))
    mine = memberships_of(runs, run_id, "ab", 60)
    assert [entity_id for _, entity_id, _ in missing(runs, mine)] == ["c"]
    assert table(partition).end() == [], "it has ended"


def test_no_two_runs_share_a_key():
    names = ["roster~", "~roster~", "~~roster~", "~", "roster", "~r"]
    keys = {key_of(scored("a", name)) for name in names}
    assert len(keys) == len(names)
    assert "roster~" not in keys


class ByWorkers(Runs):
    """A broker that stamps nothing: `run-parts` has the times of the workers that wrote."""

    def __init__(self, partition, wrong_ms=0):
        super().__init__(partition)
        self.wrong_ms = wrong_ms
        self.app.broker_clock.broker_ms = None

    def apply(self, part, after_ms=0, offset=-1):
        self.app.broker_clock.at_ms = NOW_MS + after_ms
        return self.table.apply(0, part, NOW_MS + after_ms + self.wrong_ms, offset=offset)

    def ends(self, number, now_ms):
        self.app.broker_clock.at_ms = now_ms
        return self.table.ends(number)


@pytest.mark.parametrize("wrong_ms", [-3_600_000, 0, 3_600_000])
def test_x11_whatever_clock_stamps_the_parts_a_run_ends_15_minutes_after_the_last_was_read(partition, wrong_ms):
    runs = ByWorkers(partition, wrong_ms)
    runs.apply(scored("a"))
    runs.wrong_ms = -runs.wrong_ms
    runs.apply(scored("b"), after_ms=60_000)
    assert runs.ends(0, NOW_MS + 60_000 + QUARTER_MS - 1) == []
    assert [one.run_id for one in runs.ends(0, NOW_MS + 60_000 + QUARTER_MS)] == ["r1"]


@pytest.mark.parametrize("wrong_ms", [-3_600_000, 0, 3_600_000])
def test_x11_whatever_clock_stamps_what_came_late_it_is_one_revision(partition, wrong_ms):
    runs = ByWorkers(partition, wrong_ms)
    for one in (scored("a"), completed(1)):
        runs.apply(one)
    for second, name in enumerate("bcd"):
        runs.wrong_ms = -runs.wrong_ms
        runs.apply(scored(name), after_ms=second * 1_000)
        assert runs.ends(0, NOW_MS + second * 1_000) == [], "more may come"
    (closing,) = runs.ends(0, NOW_MS + 2_000 + 5_000)
    (summary,) = summaries_of(runs.apply(closing, after_ms=7_000))
    assert summary == ("r1", 4, 2)


def test_x11_who_takes_over_without_the_brokers_time_waits_anew_and_with_it_does_not(partition, runs):
    runs.apply(scored("a"))
    heir = ByWorkers(partition)
    assert heir.ends(0, NOW_MS + QUARTER_MS) == [], "how long nothing came it does not know"
    assert len(heir.ends(0, NOW_MS + 2 * QUARTER_MS)) == 1
    assert len(table(partition).ends(0, NOW_MS + QUARTER_MS)) == 1


def test_a_rebalance_that_leaves_a_run_here_counts_on(partition):
    runs = ByWorkers(partition)
    runs.apply(scored("a"))
    for listener in runs.app.listeners:
        asyncio.run(listener(runs.app))
    assert len(runs.ends(0, NOW_MS + QUARTER_MS)) == 1
