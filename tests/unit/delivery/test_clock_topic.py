"""The topic `clock`: whose time it is, and what is read of it."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from stream_detector.delivery.broker_clock import LOG_APPEND_TIME, BrokerClock
from stream_detector.delivery.clock_topic import INTAKE, LEAST_MISSED, ClockTopic
from stream_detector.events.encode import encode
from stream_detector.events.source_census import SourceCensus, SourceCount, census_key
from stream_detector.settings import Settings

NOW_MS = 1_796_000_040_000


@dataclass
class Broker:
    """Acknowledges with its own time, or with that of who sent."""

    timestamp_type: int = LOG_APPEND_TIME
    timestamp: int = NOW_MS

    async def send_and_wait(self, topic: str, value: bytes, *, key: bytes, partition: int) -> Any:
        return SimpleNamespace(timestamp=self.timestamp, timestamp_type=self.timestamp_type)


def topic_of(broker: Broker, *, is_granted: bool = True, **settings: str) -> ClockTopic:
    return ClockTopic(Settings(**settings), lambda: broker, BrokerClock(), is_granted=is_granted)  # type: ignore[arg-type, return-value]


def record(key: bytes, value: bytes | None, at_ms: int = NOW_MS, offset: int = 0) -> Any:
    return SimpleNamespace(key=key, value=value, timestamp=at_ms, offset=offset)


async def test_x33_the_time_is_that_of_the_acknowledgement() -> None:
    topic = topic_of(Broker())
    assert topic.now_ms() is None
    assert await topic.stamp(b"tick") == NOW_MS
    assert topic.now_ms() == pytest.approx(NOW_MS, abs=5_000)


@pytest.mark.parametrize(("timestamp_type", "timestamp"), [(0, NOW_MS), (0, -1), (LOG_APPEND_TIME, -0)])
async def test_x33_a_broker_that_names_no_time_is_refused_outside_of_up(
    timestamp_type: int, timestamp: int, caplog: pytest.LogCaptureFixture
) -> None:
    topic = topic_of(Broker(timestamp_type, timestamp))
    with caplog.at_level("WARNING", "stream_detector"):
        assert await topic.stamp(b"tick") is None
    assert not topic.is_usable and topic.now_ms() is None
    assert "the broker does not stamp its records" in caplog.text


async def test_x33_under_up_it_is_that_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: (NOW_MS + 5) * 1_000_000)
    topic = topic_of(Broker(0, -1), starts_file="/tmp/starts")
    assert await topic.stamp(b"tick") == topic.now_ms() == NOW_MS + 5 and topic.is_usable


async def test_x33_without_its_acls_it_is_not_read_and_nobody_waits_for_it(caplog: pytest.LogCaptureFixture) -> None:
    topic = topic_of(Broker(), is_granted=False)
    with caplog.at_level("WARNING", "stream_detector"):
        await topic.follow()
    await topic.until_read()
    assert "stream-detector acls --role detector" in caplog.text


def test_x33_until_when_a_partition_was_taken_in_is_the_newest_note_whoever_wrote_it() -> None:
    topic = topic_of(Broker())
    for at_ms, value in ((NOW_MS, b'{"partitions": [0, 1]}'), (NOW_MS + 7, b'{"partitions": [1]}'), (NOW_MS + 9, b"{")):
        topic._take(record(INTAKE, value, at_ms))
    topic._take(record(INTAKE, None))
    topic._take(record(b"other", b'{"partitions": [3]}'))
    assert topic.taken_in_ms == {0: NOW_MS, 1: NOW_MS + 7}


async def test_x33_a_source_is_suspected_by_what_all_partitions_miss_of_it_together() -> None:
    topic = topic_of(Broker())
    await topic.stamp(b"tick")

    def census(partition: int, missed: int, at_ms: int = NOW_MS) -> None:
        counts = {"github": SourceCount(scheduled=9, missed=missed), "gitlab": SourceCount(scheduled=9, missed=0)}
        value = encode(SourceCensus(schema_version=1, partition=partition, sources=counts))
        topic._take(record(census_key(partition), value, at_ms))

    census(0, LEAST_MISSED - 1)
    assert topic.suspected() == set()
    census(1, 1)
    assert topic.suspected() == {"github"}
    census(1, 0)
    topic._take(record(census_key(2), b"somebody else's"))
    assert topic.suspected() == set()
    census(2, LEAST_MISSED, NOW_MS - 25 * 3_600_000)
    assert topic.suspected() == set(), "it is of yesterday"
