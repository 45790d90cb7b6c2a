"""`make drills`: every drill once, kill-detector at each of its points, and each one again without what it tests."""

import importlib

import pytest

from tests.drills import soak
from tests.drills.__main__ import DRILLS
from tests.drills.stage import DrillError, Options, Outcome
from tests.drills.unprotected import PROTECTIONS

pytestmark = pytest.mark.drill

SOAK_S = 300.0
KAFKA = {
    **dict.fromkeys(
        (
            "kill-detector",
            "rebalance",
            "run-ends",
            "stop-and-go",
            "soak",
            "retention",
            "older-dump",
            "clock",
        ),
        "apache",
    ),
    **dict.fromkeys(("broker-restart", "broker-killed"), "apache3"),
}
"""What a drill needs that is not carried out on the embedded broker."""
RUNS = {"kill-detector": 6, "retention": 2, "older-dump": 2, "unfold": 2}
WITHOUT = {
    "broker-killed": "awaited-delivery",
    "broker-restart": "awaited-delivery",
    "channels-failing": "retries",
    "clock": "barrier",
    "clock-ahead": "record-times",
    "clock-skew": "future-refused",
    "duplicates-and-late": "recent-ids",
    "empty-disk": "changelog",
    "hostile-input": "dead-letters",
    "kill-detector": "commit-order",
    "many-keys": "single-run-keys",
    "older-dump": "gaps-noted",
    "pgbouncer": "pooler-recognised",
    "poison": "small-steps",
    "postgres-away": "stored-rows",
    "read-only": "stored-rows",
    "rebalance": "applied-positions",
    "retention": "resets-remembered",
    "run-ends": "barrier",
    "stop-and-go": "epochs",
    "unfold": "event-index",
}
"""Drill -> the protection that it is about. A soak is about all of them."""
ELSEWHERE = {"following", "read-past"}
"""Protections whose absence other tests show: `test_drills.py`, with a harm of its own, and the one below."""


def cases(names: tuple[str, ...] | list[str]) -> list[object]:
    needs = {"pgbouncer": [pytest.mark.pgbouncer], **{name: [pytest.mark.apache] for name in KAFKA}}
    return [pytest.param(name, marks=needs.get(name, [])) for name in names]


async def carried_out(name: str, options: Options) -> Outcome:
    module = importlib.import_module(f"tests.drills.{name.replace('-', '_')}")
    outcome: Outcome = await module.drill(options)
    return outcome


@pytest.mark.parametrize("name", cases([name for name in DRILLS if name != "soak"]))
async def test_nothing_is_lost_doubled_or_changed(name: str) -> None:
    options = Options(KAFKA.get(name, "embedded"), events=10_000, runs=RUNS.get(name, 1), seed=200)
    outcome = await carried_out(name, options)
    assert outcome.passed, outcome.findings
    assert outcome.runs == options.runs and outcome.events >= 10_000 * options.runs


@pytest.mark.apache
async def test_poison_on_apache_kafka_too() -> None:
    outcome = await carried_out("poison", Options("apache", events=10_000, seed=200))
    assert outcome.passed, outcome.findings


async def test_poison_that_nobody_reads_past_ends_the_roles() -> None:
    with pytest.raises(DrillError, match=r"ended by itself|waited"):
        await carried_out("poison", Options("embedded", events=1_000, seed=200, without="read-past"))


@pytest.mark.apache
async def test_a_soak_ends_with_everything_told_once_and_flat_memory() -> None:
    outcome = await soak.drill(Options(KAFKA["soak"], events=soak.EVENTS, seed=71), lasts_s=SOAK_S)
    assert outcome.passed, outcome.findings


@pytest.mark.parametrize("name", cases([*WITHOUT]))
async def test_it_fails_without_what_it_tests(name: str) -> None:
    options = Options(KAFKA.get(name, "embedded"), events=5_000, seed=200, without=WITHOUT[name])
    try:
        outcome = await carried_out(name, options)
    except DrillError as error:  # without its deliveries a detector never catches up, say
        assert "waited" in str(error) or "ended" in str(error)
    else:
        assert outcome.events and not outcome.passed


def test_every_drill_and_every_protection_is_among_them() -> None:
    assert set(WITHOUT) | {"soak"} == set(DRILLS)
    assert set(WITHOUT.values()) | ELSEWHERE == set(PROTECTIONS)
