"""Workflow ids that look unique per run are reported, once a day for each pattern, and nothing else is."""

import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from stream_detector.events.completion import Completion
from stream_detector.events.id_patterns import LOOKS_UNIQUE_FROM
from tests.events_made import NOON, completion
from tests.unit.roles.many_keys import World

ADVICE = "send what is the same in all as workflow_id"


def runs(ids: list[str], day: float = 0, number: int = 0) -> list[Completion]:
    return [completion(f"{each}/{number}", each, finished_at=NOON + timedelta(days=day)) for each in ids]


def builds(count: int, first: int = 0) -> list[str]:
    return [f"build-{first + number}" for number in range(count)]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if ADVICE in record.message]


async def test_from_1000_new_ids_of_a_pattern_in_a_day_it_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "stream_detector")
    world = World(most=100_000)
    await world.run(*runs(builds(999)))
    assert not lines(caplog)
    await world.run(*runs(builds(235, 999)))
    await world.run(*runs(builds(500, 5_000)))
    assert lines(caplog) == [f"workflow ids look unique per run: `build-*` (1,234 today); {ADVICE}"]


async def test_ids_over_two_days_and_of_many_patterns_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "stream_detector")
    world = World(most=100_000)
    await world.run(*runs(builds(900)), *runs(builds(900, 900), day=1))
    await world.run(*runs([f"{team}-{number}" for team in ("ab", "cd", "ef") for number in range(900)], day=2))
    assert not lines(caplog)


async def test_a_fleet_that_runs_again_is_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "stream_detector")
    world = World(most=100_000)
    hosts = [f"backup-host-{number:04d}" for number in range(1_500)]
    for first in range(0, 1_500, 500):
        some = hosts[first : first + 500]
        await world.run(*runs(some), *runs(some, day=0.1, number=1))
    assert not lines(caplog)


async def test_a_restart_in_between_forgets_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "stream_detector")
    world = World(most=100_000)
    await world.run(*runs(builds(300, 20_000), day=-1), *runs(builds(900)))
    world.restart()
    await world.run(*runs(builds(100, 900)))
    assert lines(caplog) == [f"workflow ids look unique per run: `build-*` (1,000 today); {ADVICE}"]


async def test_a_detector_with_half_of_the_partitions_knows_about_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "stream_detector")
    world = World(most=100_000)
    world.restart(owned=[0])
    await world.run(*runs(builds(1_400)))
    (line,) = lines(caplog)
    count = int(line.partition("(")[2].partition(" ")[0].replace(",", ""))
    assert count % 2 == 0 and abs(count - 1_400) < 200


@pytest.mark.parametrize(
    ("shape", "pattern"),
    [
        (lambda n: f"{UUID(int=n * 7919 << 60)}", "*"),
        (lambda n: f"job_{UUID(int=n * 7919 << 60)}", "job_*"),
        (lambda n: f"run/{n * 2654435761 % (1 << 32):08x}/test", "run/*/test"),
        (lambda n: f"etl 2026-11-30T{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}Z", "etl *"),
        (lambda n: f"deploy{n}", "deploy*"),
        (lambda n: f"nightly-{28_473_920 + n}-x{n % 7}k2p", "nightly-*"),
        (lambda n: "ci-" + "".join(chr(97 + int(digit)) for digit in f"{n:05d}"), "ci-*"),
        (lambda n: "feature-" + "".join(chr(97 + int(digit)) for digit in f"{n:05d}") + f"-{n}", "feature-*"),
    ],
)
async def test_every_shape_of_such_ids_is_found(
    caplog: pytest.LogCaptureFixture, shape: Callable[[int], str], pattern: str
) -> None:
    caplog.set_level(logging.WARNING, "stream_detector")
    world = World(most=100_000)
    await world.run(*runs([shape(n) for n in range(LOOKS_UNIQUE_FROM)]))
    assert lines(caplog) == [f"workflow ids look unique per run: `{pattern}` (1,000 today); {ADVICE}"]


async def test_a_history_that_is_loaded_is_not_of_today(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "stream_detector")
    world = World(most=100_000)
    await world.run(*runs(["now"]), *runs(builds(1_500), day=-40))
    assert not lines(caplog)
    world.restart()
    await world.run(*runs(["later"]))
    assert not lines(caplog)


def in_variants(workflow_id: str, names: list[str], number: int = 0, day: float = 0) -> list[Completion]:
    at = NOON + timedelta(days=day)
    return [completion(f"{name}/{number}", workflow_id, finished_at=at, variant=name) for name in names]


def about_variants(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message.partition(", so")[0] for record in caplog.records if "VARIANT_BY" in record.message]


async def test_x21_variants_that_are_new_in_each_run_are_reported_once_a_day(caplog: pytest.LogCaptureFixture) -> None:
    """A label such as a commit in VARIANT_BY; the workflow's own id is one, so nothing else would show it."""
    caplog.set_level(logging.WARNING, "stream_detector")
    world = World(most=100_000)
    commits = [f"c{number:06x}" for number in range(260)]
    await world.run(*in_variants("nightly", commits[:99]), *in_variants("other", commits[:60]))
    assert not about_variants(caplog)
    await world.run(*in_variants("nightly", commits[99:150]))
    assert about_variants(caplog) == ["variants of the workflow nightly look unique per run (150 today)"]
    await world.run(*in_variants("nightly", commits[150:260]))
    assert len(about_variants(caplog)) == 1
    await world.run(*in_variants("nightly", [f"d{number}" for number in range(100)], day=1))
    assert len(about_variants(caplog)) == 2 and not lines(caplog)


async def test_x21_variants_that_run_again_or_on_several_days_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "stream_detector")
    world = World(most=100_000)
    names = [f"branch {number}" for number in range(180)]
    for day in range(3):
        await world.run(*in_variants("app", names[day * 60 : day * 60 + 60], day=day))
    for first in range(0, 180, 60):
        some = names[first : first + 60]
        await world.run(*in_variants("again", some, 1, 5), *in_variants("again", some, 2, 5.1))
    assert not about_variants(caplog)


async def test_x21_a_restart_in_between_forgets_no_variants(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "stream_detector")
    world = World(most=100_000)
    await world.run(*in_variants("nightly", [f"c{number}" for number in range(90)]))
    world.restart()
    await world.run(*in_variants("nightly", [f"d{number}" for number in range(10)]))
    assert about_variants(caplog) == ["variants of the workflow nightly look unique per run (100 today)"]
