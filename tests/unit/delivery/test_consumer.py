"""Where what was fetched goes: to the agents, into the store, or back."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from stream_detector.delivery.consumer import BatchConsumer
from stream_detector.delivery.processor import Positions
from stream_detector.kafka.aiokafka_patches import FetchState
from stream_detector.kafka.topics import COMPLETIONS

TP0, CHANGELOG = TP(COMPLETIONS, 0), TP("baselines", 0)


class Reading(BatchConsumer):
    """The real decisions, without Faust around them; one fetch brings five records of a source and of a changelog."""

    def __init__(self, *, flow: bool = True, rebalancing: bool = False, active: bool = True) -> None:
        self.fetched_until, self.at, self.delivered = {}, {TP0: 15, CHANGELOG: 15}, []
        self.recovered: list[int] = []
        self._skip_gaps_at_s = 0.0
        self.brings: set[TP] = {TP0, CHANGELOG}
        self.sought: list[int] = []
        self._thread = SimpleNamespace(seek=lambda tp, offset: self.sought.append(offset))
        partition = SimpleNamespace(apply_changelog=lambda records: self.recovered.append(records[0].offset))
        self.app = SimpleNamespace(
            positions=Positions(lambda: self, lambda number, source: 0, pytest.fail),
            tables_by_changelog={CHANGELOG.topic: SimpleNamespace(get_or_create=lambda number: partition)},
            recovery=SimpleNamespace(active_tps={CHANGELOG} if active else set(), active_offsets={}, in_recovery=False),
            rebalancing=rebalancing,
            batch_producer=SimpleNamespace(pending_bytes=0),
        )
        self.app.positions.start(TP0, 10, 10)
        self.flow_active, self.can_resume_flow = True, asyncio.Event()
        self._flow = flow

    def assignment(self):
        return {TP0, CHANGELOG}

    def fetch_state(self, tp):
        return FetchState(self.at[tp], 1000, None)

    def _get_active_partitions(self):
        return {TP0, CHANGELOG}

    async def _getmany(self, wanted, timeout_s):
        self.flow_active = self._flow
        return {tp: [SimpleNamespace(offset=10 + n, value=b"1") for n in range(5)] for tp in wanted & self.brings}

    async def _deliver(self, chunk):
        self.delivered.append((chunk.records[0].offset, chunk.next_offset))


async def test_a_fetch_goes_to_the_agents_and_into_the_store():
    reading = Reading()
    await reading._drain_once()
    assert (reading.delivered, reading.recovered, reading.sought) == ([(10, 15)], [10], [])
    assert not reading.unused


async def test_a_partition_that_brings_nothing_passes_its_markers_while_another_brings_records():
    """A lone marker of a transaction, or an aborted one: else the group's commits stay before the end."""
    reading = Reading()
    other = TP(COMPLETIONS, 1)
    reading.app.positions.start(other, 3, 3)
    reading.at[other] = 4
    reading._get_active_partitions = lambda: {TP0, CHANGELOG, other}
    await reading._drain_once()
    assert reading.delivered == [(10, 15)]
    assert reading.app.positions.tasks.find_position(other).next_offset == 4
    assert reading.app.positions.tasks.find_position(TP0).next_offset == 10, "its records are not applied yet"


async def test_what_a_rebalance_keeps_from_its_use_is_fetched_again():
    """The fetch position is behind it: a changelog's records would pass for recovered."""
    reading = Reading(flow=False)
    await reading._drain_once()
    assert (reading.delivered, reading.recovered, reading.sought) == ([], [], [10, 10])


async def test_what_was_fetched_before_somebody_sought_is_not_used():
    reading = Reading()
    asyncio.get_running_loop().call_soon(reading.at.update, dict.fromkeys((TP0, CHANGELOG), 3))
    await reading._drain_once()
    assert (reading.delivered, reading.recovered, reading.sought) == ([], [], [])


async def test_a_standby_is_read_by_nobody():
    reading = Reading(active=False)
    await reading._drain_once()
    assert (reading.delivered, reading.recovered, reading.sought) == ([(10, 15)], [], [])


@pytest.mark.parametrize("is_away", [False, True])
async def test_progress_names_each_partition_and_nobody_stands_while_the_broker_is_away(is_away):
    async def end_offsets(partitions):
        if is_away:
            raise KafkaConnectionError
        return dict.fromkeys(partitions, 13)

    reading = Reading()
    reading._thread = SimpleNamespace(kafka_consumer=SimpleNamespace(end_offsets=end_offsets))
    reading.at[TP0] = 12
    assert await reading.read_progress() == ([] if is_away else [(TP0, 12, 13)])
