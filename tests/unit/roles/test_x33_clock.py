"""X33: the clock says sooner what the next event would say; nothing false, nothing twice, nothing that is lost."""

import asyncio
import json

import pytest

from stream_detector.detect.times import Miss, Times
from stream_detector.events.source_census import SourceCount
from stream_detector.roles.census import MOST_SOURCES
from stream_detector.roles.due_partition import Span
from stream_detector.roles.stream_clock import AWAY_MS, INTAKE_EVERY_MS
from stream_detector.telemetry import metrics
from tests.unit.delivery.snapshots import take_snapshot
from tests.unit.roles.clock_scene import MINUTE_MS, NOW_MS, Rules, Scene, baseline_of, owned

KEY = "workflow:nightly"


def found(key: str, due_ms: int) -> str:
    return f"{key}@{due_ms // 1000}"


def held_s() -> float:
    return float(metrics.TICKS_HELD._value.get())


async def test_x33_nothing_is_asked_of_anybody_while_nothing_is_due() -> None:
    scene = Scene()
    scene.event(KEY, NOW_MS + 10 * MINUTE_MS)
    for _ in range(9):
        scene.pass_ms(MINUTE_MS)
        await scene.look()
    assert "tick" not in scene.topic.stamped() and not scene.published.tickets


async def test_x33_what_is_due_is_in_a_checkpoint_before_it_is_said_and_is_said_once() -> None:
    scene = Scene()
    scene.event(KEY, NOW_MS + MINUTE_MS)
    scene.pass_ms(2 * MINUTE_MS)
    await scene.look()
    assert scene.sent == [] and scene.partition.dirty == {KEY}
    scene.checkpoint()
    assert scene.sent == [], "the checkpoint that holds it has only begun"
    scene.checkpoint()
    assert scene.sent == [found(KEY, NOW_MS + MINUTE_MS)]
    for _ in range(3):
        scene.pass_ms(MINUTE_MS)
        await scene.look()
        scene.checkpoint()
    assert len(scene.sent) == 1


@pytest.mark.parametrize("crash", ["found", "checkpointed", "sent"])
async def test_x33_a_detector_that_dies_in_between_leaves_it_to_the_next_one(crash: str) -> None:
    """Before the checkpoint it is found anew; after it, it is sent anew; once the mark is gone, it is not."""
    partition, rules = owned({KEY: NOW_MS + MINUTE_MS}), Rules()
    first = Scene(partition, rules)
    before = partition.get(KEY)
    first.pass_ms(2 * MINUTE_MS)
    await first.look()
    if crash == "found":
        assert before is not None
        partition.put(KEY, before)
        rules.marked.clear()
    else:
        first.checkpoint()
        first.checkpoint()
        assert first.sent
    if crash == "sent":
        first.checkpoint()
    second = Scene(partition, rules)
    second.pass_ms(2 * MINUTE_MS)
    second.topic.taken_in_ms[0] = second.topic.at_ms
    await second.look()
    second.checkpoint()
    second.checkpoint()
    said = first.sent + second.sent
    assert set(said) == {found(KEY, NOW_MS + MINUTE_MS)} and len(said) == 1


async def test_x33_while_anything_is_behind_nothing_is_said_and_that_is_counted() -> None:
    scene = Scene()
    scene.event(KEY, NOW_MS)
    scene.pass_ms(2 * MINUTE_MS)
    scene.published.at_once = False
    looking = asyncio.create_task(scene.look())
    for _ in range(5):
        scene.pass_ms(MINUTE_MS)
        scene.topic.taken_in_ms[0] = scene.topic.at_ms
        for _ in range(4):
            await asyncio.sleep(0)
    assert held_s() == pytest.approx(300.0, abs=60.0)
    scene.event(KEY, NOW_MS + 60 * MINUTE_MS)  # it was there all the time, and its partition was behind
    scene.published.answer()
    await looking
    for _ in range(2):
        scene.checkpoint()
    assert scene.sent == [] and held_s() == 0.0


async def test_x33_a_due_time_that_was_put_off_costs_the_event_nothing_and_one_that_became_earlier_is_met() -> None:
    scene = Scene()
    scene.event(KEY, NOW_MS + MINUTE_MS)
    scene.event(KEY, NOW_MS + 9 * MINUTE_MS)
    mine = scene.clock.begin(0, scene.partition)
    assert len(mine.keys) == 1
    scene.pass_ms(3 * MINUTE_MS)
    await scene.look()
    assert not scene.rules.marked and len(mine.keys) == 1
    scene.event(KEY, NOW_MS + 4 * MINUTE_MS)
    scene.pass_ms(2 * MINUTE_MS)
    await scene.look()
    assert [one.id for one in scene.rules.marked[KEY]] == [found(KEY, NOW_MS + 4 * MINUTE_MS)]


async def test_x33_a_rebalance_while_it_waits_says_nothing_and_the_owner_looks_again() -> None:
    scene = Scene()
    scene.event(KEY, NOW_MS)
    scene.pass_ms(2 * MINUTE_MS)
    scene.published.at_once = False
    looking = asyncio.create_task(scene.look())
    for _ in range(20):
        await asyncio.sleep(0)
    assert scene.published.tickets
    scene.app.positions.assignment = 2
    await scene.rebalanced()
    await looking
    assert not scene.rules.marked
    scene.published.at_once = True
    await scene.look()
    assert scene.rules.marked


async def test_x33_no_wall_clock_of_the_worker_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1 / 0)
    monkeypatch.setattr("time.time_ns", lambda: 1 // 0)
    scene = Scene()
    scene.event(KEY, NOW_MS)
    scene.pass_ms(2 * MINUTE_MS)
    await scene.look()
    assert scene.rules.marked


async def test_x33_who_takes_over_knows_what_is_due_of_every_key() -> None:
    due = {f"workflow:w{number}": NOW_MS + number * MINUTE_MS for number in range(500)}
    scene = Scene(owned(due | {"workflow/w@b": NOW_MS, "workflow:never": 0}))
    await scene.look()
    mine = scene.clock.begin(0, scene.partition)
    assert mine.is_collected and len(mine.keys) == 501
    assert not scene.partition.live, "values stay packed"


async def test_x33_runs_of_a_time_in_which_nobody_was_there_are_not_missed_and_one_notice_names_it() -> None:
    due = {f"workflow:w{number}": NOW_MS - number * MINUTE_MS for number in range(10)}
    scene = Scene(owned(due | {KEY: NOW_MS + 5 * MINUTE_MS}))
    scene.topic.taken_in_ms = {0: NOW_MS - 60 * MINUTE_MS}
    await scene.look()
    await scene.look()
    away = [json.loads(value) for key, value in scene.topic.records if key == b"away"]
    assert away == [{"from_ms": NOW_MS - 60 * MINUTE_MS, "until_ms": NOW_MS, "expected_runs": 10, "schema_version": 1}]
    assert not scene.rules.marked
    for _ in range(7):
        scene.checkpoint()
        scene.pass_ms(MINUTE_MS)
        await scene.look()
    assert set(scene.rules.marked) == {KEY}, "what is due after it is missed as ever"


async def test_x33_an_event_of_that_time_excuses_its_key_first() -> None:
    scene = Scene(owned({KEY: NOW_MS}))
    scene.topic.taken_in_ms = {}
    mine = scene.clock.begin(0, scene.partition)
    assert mine.away == Span(0, NOW_MS)


async def test_x33_a_partition_counts_as_taken_in_once_what_was_excused_is_safe() -> None:
    scene = Scene(owned({KEY: NOW_MS, "workflow:other": NOW_MS + 60 * MINUTE_MS}))
    scene.topic.taken_in_ms = {0: NOW_MS - 60 * MINUTE_MS}
    scene.published.at_once = False
    scene.pass_ms(INTAKE_EVERY_MS)
    await scene.look()
    assert scene.topic.stamped() == [], "what was published meanwhile is not applied"
    scene.published.answer()
    await scene.look()
    assert scene.topic.stamped() == ["away"], "no checkpoint holds it"
    scene.checkpoint()
    await scene.look()
    assert scene.topic.stamped() == ["away", "intake"]


async def test_x33_a_machine_that_slept_or_a_broker_that_was_away_long_is_noticed_by_the_next_chunk() -> None:
    scene = Scene()
    scene.event(KEY, NOW_MS + 10 * MINUTE_MS)
    scene.pass_ms(INTAKE_EVERY_MS)
    await scene.look()
    slept_ms = AWAY_MS + MINUTE_MS * 20
    scene.pass_ms(slept_ms)
    mine = scene.clock.begin(0, scene.partition)
    assert mine.away == Span(NOW_MS + INTAKE_EVERY_MS, NOW_MS + INTAKE_EVERY_MS + slept_ms)
    await scene.look()
    await scene.look()
    assert scene.rules.excused and not scene.rules.marked


async def test_x33_a_time_that_was_set_ahead_is_not_time_that_passed() -> None:
    scene = Scene()
    scene.event(KEY, NOW_MS + 30 * MINUTE_MS)
    scene.pass_ms(INTAKE_EVERY_MS)
    await scene.look()
    scene.pass_ms(INTAKE_EVERY_MS)
    scene.topic.at_ms += 8 * 60 * MINUTE_MS
    for _ in range(3):
        await scene.look()
    assert scene.rules.excused and not scene.rules.marked


async def test_x33_after_the_broker_was_away_its_producers_get_as_long_to_publish() -> None:
    scene = Scene()
    scene.event(KEY, NOW_MS)
    scene.age_s, scene.topic.is_away = 60.0, True
    scene.pass_ms(2 * MINUTE_MS)
    await scene.look()
    await scene.look()
    scene.age_s, scene.topic.is_away = 0.0, False
    await scene.look()
    await scene.look()
    assert not scene.rules.marked
    scene.pass_ms(MINUTE_MS)
    await scene.look()
    assert scene.rules.marked


async def test_x33_a_broker_that_is_away_ends_nothing() -> None:
    scene = Scene()
    scene.event(KEY, NOW_MS)
    scene.pass_ms(2 * MINUTE_MS)
    scene.topic.is_away = True
    await scene.look()
    assert not scene.rules.marked
    scene.topic.is_away = False
    await scene.look()
    assert scene.rules.marked


def timed(key: str, source: str, due_ms: int, misses: int = 0) -> bytes:
    baseline = baseline_of(key, due_ms)
    baseline.rest, baseline.times = 0, Times()
    baseline.times.source, baseline.newest_record_ms = source, NOW_MS - MINUTE_MS
    baseline.times.misses = [Miss(NOW_MS // 1000 - 600, NOW_MS // 1000 - 60 * number) for number in range(misses)][::-1]
    return baseline.pack()


async def test_x33_a_census_counts_what_each_source_has_and_what_of_it_is_missed() -> None:
    partition = owned()
    due_ms = NOW_MS + 60 * MINUTE_MS
    for number in range(6):
        partition.put(f"workflow:g{number}", timed(f"workflow:g{number}", "github", due_ms, misses=number % 3))
    partition.put("workflow:gone", timed("workflow:gone", "github", 0, misses=3))
    partition.put("workflow:plain", timed("workflow:plain", "", due_ms))
    take_snapshot(partition, {})
    scene = Scene(partition)
    await scene.look()
    (census,) = scene.topic.censuses()
    assert census.sources["github"] == SourceCount(
        scheduled=6, missed=4, first_due_ms=NOW_MS - MINUTE_MS, newest_ms=NOW_MS - MINUTE_MS
    )
    assert census.sources["kafka"] == SourceCount(scheduled=1, missed=0, newest_ms=NOW_MS - MINUTE_MS)


async def test_x33_a_census_is_published_where_something_changed_and_once_an_hour() -> None:
    partition = owned()
    partition.put(KEY, timed(KEY, "github", NOW_MS + 600 * MINUTE_MS))
    take_snapshot(partition, {})
    scene = Scene(partition)
    counts = []
    for minute in range(80):
        if minute == 10:
            scene.clock.want_census(0)
        await scene.look()
        scene.pass_ms(MINUTE_MS)
        counts.append(len(scene.topic.censuses()))
    assert counts[0] == counts[9] == 1 and counts[10] == counts[69] == 2 and counts[-1] == 3


async def test_x33_an_event_of_a_source_that_seems_silent_is_known_within_a_minute() -> None:
    partition = owned()
    partition.put(KEY, timed(KEY, "github", NOW_MS + 600 * MINUTE_MS))
    take_snapshot(partition, {})
    scene = Scene(partition)
    await scene.look()
    scene.pass_ms(MINUTE_MS)
    scene.clock.begin(0, partition).newest_ms["github"] = scene.topic.at_ms
    await scene.look()
    assert len(scene.topic.censuses()) == 1, "nobody suspects it"
    scene.topic.suspects = ["github"]
    await scene.look()
    await scene.look()
    assert [one.sources["github"].newest_ms for one in scene.topic.censuses()][1:] == [scene.topic.at_ms]


async def test_x33_however_many_sources_a_producer_names_a_census_stays_small() -> None:
    partition = owned()
    partition.put(KEY, timed(KEY, "github", NOW_MS + 600 * MINUTE_MS, misses=1))
    take_snapshot(partition, {})
    scene = Scene(partition)
    mine = scene.clock.begin(0, partition)
    mine.newest_ms.update({f"s{number}": NOW_MS + number for number in range(3 * MOST_SOURCES)})
    await scene.look()
    (census,) = scene.topic.censuses()
    assert len(census.sources) == MOST_SOURCES and census.sources["github"].missed == 1
    assert set(mine.newest_ms) == {f"s{number}" for number in range(2 * MOST_SOURCES, 3 * MOST_SOURCES)}
