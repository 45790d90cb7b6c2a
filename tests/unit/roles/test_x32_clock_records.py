"""X32: what the notifier takes from the topic `clock`: each record once, whatever is read again, and no other's."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from stream_detector.delivery.clock_topic import AWAY, INTAKE, TICK, Away
from stream_detector.events.encode import encode
from stream_detector.events.source_census import census_key
from stream_detector.kafka import topics
from stream_detector.notify import policy
from stream_detector.notify.stages.silent_sources import clock_offset, count_of
from stream_detector.roles.clock_records import ClockRecord, read_record
from tests.unit.notify.absent import census
from tests.unit.notify.living import NOW_S
from tests.unit.roles.test_notifier import Scene

CENSUS = census(scheduled=40, absent=21)
ABSENCE = Away(from_ms=int(1000 * NOW_S) - 28_800_000, until_ms=int(1000 * NOW_S), expected_runs=31)


def record(key: bytes | None, value: bytes | None, timestamp: int = int(1000 * NOW_S)) -> Any:
    return SimpleNamespace(key=key, value=value, timestamp=timestamp, offset=7)


def test_x32_a_census_and_an_absence_are_read_and_the_time_is_that_of_the_record() -> None:
    assert read_record(record(census_key(0), encode(CENSUS)), topics.CLOCK) == ClockRecord(7, NOW_S, CENSUS)
    assert read_record(record(AWAY, msgspec.json.encode(ABSENCE)), topics.CLOCK) == ClockRecord(7, NOW_S, ABSENCE)
    without_time = read_record(record(census_key(0), encode(CENSUS), timestamp=-1), topics.CLOCK)
    assert without_time == ClockRecord(7, 0.0, CENSUS)


@pytest.mark.parametrize(
    ("key", "value"),
    [(TICK, b"{}"), (INTAKE, b'{"partitions":[1]}'), (b"sources/1", None), (b"sources/1", b"[]"), (AWAY, b"{}")],
)
def test_x32_what_only_detectors_need_and_what_cannot_be_read_is_left(key: bytes, value: bytes | None) -> None:
    assert read_record(record(key, value), topics.CLOCK) is None


class Following(Scene):
    """A notifier that owns the state, and reads the topic."""

    def __init__(self) -> None:
        super().__init__()
        self.partition = self.notifier._table.get_owned(0)
        self.notifier._find_decided = lambda: self.partition  # type: ignore[method-assign]
        self.app.dispatch = lambda number: None
        self.app.now_s = lambda: NOW_S
        self.state = self.notifier._store_of(self.partition)

    def take(self, *found: ClockRecord) -> bool:
        return self.notifier._take_clock(self.partition, self.partition.epoch, found)


def test_x32_a_record_that_is_read_again_changes_nothing() -> None:
    scene = Following()
    assert scene.take(ClockRecord(7, NOW_S, CENSUS), ClockRecord(9, 0.0, census(scheduled=40, absent=2)))
    assert scene.take(ClockRecord(7, NOW_S, CENSUS))
    assert clock_offset(scene.state) == 10 and count_of(scene.state, "jenkins").missed == 2


def test_x32_a_defect_in_one_record_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def defective(*given: Any) -> Any:
        raise ZeroDivisionError("a defect")

    scene = Following()
    monkeypatch.setattr(policy, "take_away", defective)
    assert scene.take(ClockRecord(7, NOW_S, ABSENCE), ClockRecord(8, NOW_S, CENSUS))
    assert clock_offset(scene.state) == 9 and count_of(scene.state, "jenkins").scheduled == 40


def test_x32_nothing_is_taken_once_the_state_is_another_notifiers() -> None:
    scene = Following()
    assert not scene.notifier._take_clock(scene.partition, scene.partition.epoch + 1, [ClockRecord(7, NOW_S, CENSUS)])
    assert clock_offset(scene.state) is None
