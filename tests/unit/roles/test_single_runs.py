"""Keys without end: what is dropped, when, and that no crash lets the same event be judged in two ways."""

import random
from datetime import timedelta
from typing import Any

import pytest

from stream_detector.delivery.state import changelog_record
from stream_detector.detect import Baseline, step
from stream_detector.detect.single_run import single_run_of
from stream_detector.events import Action, Completion
from stream_detector.events.completion import Resource
from stream_detector.events.decode import decode_completion
from stream_detector.kafka import topics
from stream_detector.kafka.topics import owner_partition
from stream_detector.roles import single_runs
from stream_detector.roles.single_runs import HARD_LIMIT, SingleRuns
from tests.effort import cases
from tests.events_made import NOON, completion, score
from tests.unit.roles.many_keys import CONFIG, PARTITIONS, Held, World


def run_of(workflow_id: str, day: float, number: int = 0, **given: Any) -> Completion:
    return completion(f"{workflow_id}/{number}", workflow_id, finished_at=NOON + timedelta(days=day), **given)


def builds(count: int, day: float, first: int = 0) -> list[Completion]:
    return [run_of(f"build-{first + number}", day) for number in range(count)]


async def test_nothing_is_dropped_without_pressure_however_long_it_was_quiet() -> None:
    world = World(most=50)
    await world.run(*builds(45, 0))
    await world.run(*builds(5, 400, first=100))
    assert len(world.ids()) == 50 and not world.dropped()


async def test_under_pressure_the_longest_quiet_go_down_to_the_setting() -> None:
    world = World(most=50)
    events = [run_of(f"build-{number}", number / 10) for number in range(60)]
    random.Random(1).shuffle(events)
    await world.run(*events)
    assert not world.dropped(), "nobody has been quiet for 35 days"
    await world.run(*builds(20, 200, first=1000))
    assert world.dropped() == {f"workflow:build-{number}" for number in range(30)}
    assert len(world.ids()) == 50


async def test_a_look_at_many_keys_is_spread_over_checkpoints_and_what_ran_again_meanwhile_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(most=50)
    await world.run(*(run_of(f"build-{number}", number / 10) for number in range(60)))
    monkeypatch.setattr(single_runs, "KEYS_A_LOOK", 10)
    await world.run(*builds(20, 200, first=1000))
    assert not world.dropped(), "two checkpoints have looked at 20 of 80 keys"
    await world.run(run_of("build-0", 200.1, number=1), *builds(5, 200.1, first=2000))
    for _ in range(40):
        world.take_checkpoint()
    assert len(world.dropped()) >= 30 and "workflow:build-0" not in world.dropped()
    assert world.dropped() <= {f"workflow:build-{number}" for number in range(60)}
    assert len(world.ids()) <= 51


async def test_none_younger_than_35_days_goes_until_ten_times_the_number() -> None:
    world = World(most=10)
    await world.run(*builds(60, 0))
    await world.run(*builds(40, 34.9, first=100))
    assert not world.dropped()
    await world.run(*builds(10, 34.95, first=1000))
    assert len(world.ids()) == 10 * HARD_LIMIT
    assert {key.partition("-")[2] for key in world.dropped()} <= {str(number) for number in range(60)}


async def test_weekly_and_monthly_jobs_among_them_keep_their_baselines() -> None:
    world = World(most=20)
    jobs = {"weekly": range(0, 400, 7), "monthly": range(0, 400, 31), "seldom": (0, 1, 300)}
    for day in range(400):
        due = [run_of(job, day, day) for job, days in jobs.items() if day in days]
        await world.run(*builds(2, day, first=2 * day), *due)
    assert len(world.dropped()) > 600
    for job, days in jobs.items():
        packed = world.table.partitions[owner_partition(job, PARTITIONS)].get(f"workflow:{job}")
        plain = Baseline.new(f"workflow:{job}")
        for day in days:
            step(plain, run_of(job, day, day), CONFIG)
        assert plain.pack() == packed, job


async def test_s6_a_score_has_its_previous_score_after_60_days_among_them() -> None:
    world = World(most=5)
    await world.run(score("lido", "7.5", scored_at=NOON))
    for day in range(1, 60):
        await world.run(*builds(3, day, first=3 * day))
    await world.run(score("lido", "5.8", scored_at=NOON + timedelta(days=60)))
    assert len(world.dropped()) > 50
    assert any(b'"deviation":-1.7' in value for value in world.alerts["score:lido"])


async def test_scores_and_what_ran_twice_are_never_dropped() -> None:
    world = World(most=3)
    twice = [run_of(f"team-{number}", 0, run) for number in range(40) for run in range(2)]
    await world.run(*twice, *(score(f"dao-{number}", scored_at=NOON) for number in range(40)))
    await world.run(*builds(40, 400))
    assert all(key.startswith("workflow:build-") for key in world.dropped())
    assert len(world.ids()) == 40 + 40 + 3 * HARD_LIMIT


async def test_what_a_person_decided_about_or_has_an_incident_stays() -> None:
    world = World(most=4)
    full = {"disk": Resource(used=99.0, limit=100.0)}
    await world.run(*builds(10, 0), run_of("decided", 0), run_of("incident", 0, resources=full))
    number = owner_partition("decided", PARTITIONS)
    partition = world.table.partitions[number]
    decided = Baseline.unpack("workflow:decided", partition.get("workflow:decided") or b"")
    action = Action(action_id="a", kind="expected", by="ann", at=NOON, entity="workflow:decided")
    step(decided, action, CONFIG)
    partition.put("workflow:decided", decided.pack())
    await world.run(*builds(5, 100, first=100))
    assert {"decided", "incident"} <= world.ids() and len(world.dropped()) == 10


@pytest.mark.parametrize("wrong", [1, 2])
async def test_x11_the_clock_of_one_producer_makes_nothing_old(wrong: int) -> None:
    world = World(most=20)
    await world.run(*builds(30, 0), *(run_of(f"ahead-{number}", 365) for number in range(wrong)))
    assert not world.dropped()


async def test_a_history_that_is_loaded_late_is_dropped_by_its_own_time() -> None:
    world = World(most=20)
    await world.run(*builds(30, 0))
    await world.run(*builds(15, -80, first=100))
    assert world.dropped() == {f"workflow:build-{100 + number}" for number in range(15)}


async def test_a_retry_is_one_execution() -> None:
    world = World(most=10)
    await world.run(*builds(20, 0), *builds(20, 0))
    await world.run(*builds(5, 100, first=100))
    assert len(world.dropped()) == 15


async def test_after_a_restart_and_a_rebalance_the_count_is_that_of_the_keys() -> None:
    world = World(most=40)
    await world.run(*builds(60, 0))
    world.restart()
    await world.run(*builds(4, 100, first=100))
    assert len(world.ids()) == 40 and len(world.dropped()) == 24
    before = len(world.dropped())
    world.restart(owned=[0])
    world.take_checkpoint()
    assert len(world.dropped()) == before, "half of the partitions have half of the keys"


async def test_a_dropped_workflow_that_runs_again_begins_anew_and_is_written() -> None:
    world = World(most=5)
    await world.run(*builds(10, 0))
    await world.run(*builds(5, 50, first=100))
    assert "build-0" not in world.ids()
    await world.run(run_of("build-0", 51, 1))
    value = world.written()["workflow:build-0"]
    one = single_run_of(changelog_record.payload_of(value))
    assert one is not None and one.newest_ms == round((NOON + timedelta(days=51)).timestamp() * 1000)


async def test_events_wait_while_the_checkpoint_that_drops_is_written() -> None:
    world = World(most=5)
    await world.run(*builds(10, 0))
    world.publish(*builds(5, 50, first=100))
    await world.apply()
    taken = world.begin_checkpoint()
    world.publish(*(run_of(f"build-{number}", 50.5, 1) for number in range(10)))
    with pytest.raises(Held):
        await world.apply()
    world.write(taken)
    with pytest.raises(Held):
        await world.apply()
    world.finish(taken)
    await world.apply()
    assert len(world.ids()) == 15


async def test_a_first_start_drops_while_it_reads_its_backlog_and_a_later_one_after_it() -> None:
    world = World(most=10)
    world.publish(*(run_of(f"build-{number}", number) for number in range(400)))
    for _ in range(10):
        await world.apply(most=10)
        world.take_checkpoint()
    assert len(world.dropped()) > 100 and len(world.ids()) < 60
    before = len(world.dropped())
    world.restart()
    await world.apply(most=50)
    world.take_checkpoint()
    assert len(world.dropped()) == before
    await world.apply()
    world.take_checkpoint()
    world.take_checkpoint()
    assert len(world.ids()) < 40


async def test_behind_a_backlog_as_many_records_as_a_former_owner_may_have_judged_are_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(single_runs, "MOST_UNCOMMITTED", 30)
    world = World(most=10)
    world.publish(*(run_of(f"build-{number}", number) for number in range(4_000)))
    await world.apply(most=30)
    world.take_checkpoint()
    world.restart()
    most = 0
    for _ in range(100):
        await world.apply(most=10)
        world.take_checkpoint()
        most = max(most, len(world.ids()))
    assert most < 10 + 2 * PARTITIONS * 30 + 40, "35 days are of 35 ids"


async def test_events_wait_for_a_commit_where_a_successor_would_judge_too_many_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(single_runs, "MOST_UNCOMMITTED", 30)
    world = World(most=10)
    world.publish(*(run_of("nightly", number, number) for number in range(200)))
    await world.apply(most=20)
    with pytest.raises(Held):
        await world.apply(most=20)
    taken = world.begin_checkpoint()
    world.write(taken)
    with pytest.raises(Held):
        await world.apply(most=20)
    world.finish(taken)
    await world.apply(most=20)
    with pytest.raises(Held):
        await world.apply(most=11)
    await world.apply(most=10)
    world.take_checkpoint()
    await world.apply(most=40)  # nothing is to be committed: a chunk of any size may be applied


async def wander(seed: int) -> World:
    """Crashes at any moment, while workflows that are dropped run again with a finding that names the last good run."""
    draw, world, day = random.Random(seed), World(most=6), 0.0
    taken: Any = None
    full = {"disk": Resource(used=99.0, limit=100.0)}
    for number in range(200):
        act = draw.choice(("publish", "publish", "apply", "apply", "begin", "write", "crash"))
        if act == "publish":
            day += draw.choice((0, 1, 30))
            again = run_of(f"build-{draw.randrange(number + 1)}", day, number + 1, resources=full)
            world.publish(run_of(f"build-{number}", day), again)
        elif act == "apply":
            try:
                await world.apply(most=draw.choice((1, 3)))
            except Held:
                continue
        elif act == "begin" and taken is None:
            taken = world.begin_checkpoint(), False
        elif act == "write" and taken is not None:
            if taken[1]:
                world.finish(taken[0])
                taken = None
            else:
                world.write(taken[0])
                taken = taken[0], True
        elif act == "crash" and draw.random() < 0.4:
            world.restart()
            taken = None
    world.restart()
    await world.apply()
    world.take_checkpoint()
    return world


def folded(world: World) -> dict[str, bytes]:
    """Key -> what its events make of it from where the changelog last dropped it."""
    expected: dict[str, Baseline] = {}
    for number in range(PARTITIONS):
        since: dict[str, int] = {}
        for key, value in world.changelog[number]:
            if changelog_record.is_deleted(value):
                since[key.decode()] = changelog_record.positions_of(value).get(topics.COMPLETIONS, 0)
        for record in world.sources[topics.COMPLETIONS, number]:
            event = decode_completion(record.value, (), record.timestamp)
            key = f"workflow:{event.workflow_id}"
            if record.offset >= since.get(key, 0):
                step(expected.setdefault(key, Baseline.new(key)), event, CONFIG)
    return {key: baseline.pack() for key, baseline in expected.items()}


@pytest.mark.parametrize("seed", range(cases(60)))
async def test_no_crash_lets_an_event_be_judged_in_two_ways_or_be_lost(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:
        monkeypatch.setattr(single_runs, "KEYS_A_LOOK", 3)
    if seed % 3:
        monkeypatch.setattr(single_runs, "MOST_UNCOMMITTED", 3 + seed % 5)
    world = await wander(seed)
    kept = {key: value for key, value in folded(world).items() if key not in world.dropped()}
    found = {
        key.decode() if isinstance(key, bytes) else key: changelog_record.payload_of(value)
        for key, value in world.written().items()
        if not changelog_record.is_deleted(value)
    }
    assert found == kept
    by_id: dict[bytes, set[bytes]] = {}
    for values in world.alerts.values():
        for value in values:
            by_id.setdefault(value[27:63], set()).add(value)
    assert by_id and all(len(values) == 1 for values in by_id.values())


async def at_once(self: SingleRuns, number: int) -> None: ...


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("until_written", at_once),
        ("until_few_uncommitted", at_once),
        ("_is_behind", lambda self, number, known: False),
    ],
)
async def test_without_a_rule_a_crash_does(monkeypatch: pytest.MonkeyPatch, name: str, without: Any) -> None:
    monkeypatch.setattr(SingleRuns, name, without)
    monkeypatch.setattr(single_runs, "MOST_UNCOMMITTED", 4)
    for seed in range(300):
        world = await wander(seed)
        ids = [value[27:63] for values in world.alerts.values() for value in values]
        if len(ids) != len(set(ids)):
            return
    pytest.fail("no case of 300 shows it")
