"""Crash between any two steps, any interleaving of generations: nothing lost, nothing doubled. Thousands of cases."""

import random
from collections.abc import Iterator

import pytest

from stream_detector.delivery.state.contents import Records
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.state.snapshot import PartitionSnapshot
from tests.effort import cases
from tests.unit.delivery.protocol_model import SOURCES, World

CASES, STEPS = 1_500, 160
ENOUGH = 10 * CASES
"""Each rule that is left out shows within so many; most within 100."""


def _case(seed: int) -> World:
    rng = random.Random(seed)
    world = World(choose=rng.randrange)
    for _ in range(rng.randrange(STEPS)):
        world.act()
    world.settle()
    return world


def _wrong(worlds: Iterator[World]) -> World | None:
    for world in worlds:
        alerts = {(source, event.number) for source in SOURCES for event in world.sources[source]}
        if world.found() != world.expected() or world.alerts != alerts:
            return world
    return None


def test_any_crash_and_any_zombie_leave_every_event_applied_once():
    assert _wrong(map(_case, range(cases(CASES)))) is None


def _later_record_wins(self: StatePartition, key: bytes, written_by: int) -> bool:
    return False


def _no_memory_of_replays(self: StatePartition, key: str, source: str) -> int:
    return 0


def _no_look_at_others(self: StatePartition, records: Records) -> bool:
    return True


def _encoded_after_it_changed(self: StatePartition, key: str) -> None:
    pass


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("_is_late", _later_record_wins),
        ("applied_offset", _no_memory_of_replays),
        ("note_foreign_writes", _no_look_at_others),
        ("encode_now", _encoded_after_it_changed),
    ],
)
def test_each_rule_is_needed(monkeypatch, name, broken):
    monkeypatch.setattr(StatePartition, name, broken)
    assert _wrong(map(_case, range(ENOUGH))) is not None


def test_a_watermark_ahead_of_the_state_would_lose_events(monkeypatch):
    encode_for = PartitionSnapshot.encode_for

    def watermarks_first(self, seconds):
        encode_for(self, seconds)
        self.records, self.watermarks = self.watermarks + self.records, []

    monkeypatch.setattr(PartitionSnapshot, "encode_for", watermarks_first)
    assert _wrong(map(_case, range(ENOUGH))) is not None
