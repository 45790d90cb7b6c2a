"""When recovery is over."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest
from faust.tables.recovery import RebalanceAgain
from faust.types import TP

from stream_detector.delivery.state.recovery import PositionRecovery

OLD, NEW = TP("baselines", 0), TP("baselines", 1)


@pytest.fixture
def recovery():
    """Partition 0 has 10 records and is read up to `at[OLD]`."""
    made = PositionRecovery.__new__(PositionRecovery)
    made.active_tps, made.active_highwaters, at = {OLD}, Counter({OLD: 9}), {OLD: 10, NEW: 0}
    consumer = SimpleNamespace(fetch_position=at.get, last_stable_offset=lambda tp: 10, unused=set())
    made.app = SimpleNamespace(consumer=consumer, rebalancing_count=1)
    made._rebalance, made._signal_recovery_start = 1, asyncio.Event()
    made.at = at
    return made


@pytest.mark.parametrize(("at", "needed"), [(-1, True), (0, True), (9, True), (10, False)])
def test_it_goes_on_up_to_the_end_that_fetches_report(recovery, at, needed):
    recovery.at[OLD] = at
    assert recovery.need_recovery() is needed


def test_a_partition_without_records_needs_none(recovery):
    recovery.active_tps, recovery.active_highwaters[NEW] = {NEW}, -1
    assert not recovery.need_recovery()


def test_a_partition_that_a_rebalance_brings_meanwhile_is_not_taken_for_recovered(recovery):
    """Its end is asked for by the next recovery alone."""
    recovery.active_tps.add(NEW)
    assert recovery.need_recovery()


def test_what_is_fetched_and_not_in_the_store_yet_is_not_recovered(recovery):
    recovery.app.consumer.unused.add(OLD)
    assert recovery.need_recovery()


async def test_a_recovery_that_another_rebalance_interrupts_claims_nothing(recovery):
    """Stock goes on to its end with the new partitions and the old ends."""
    recovery._signal_recovery_start.set()
    with pytest.raises(RebalanceAgain):
        await recovery.on_recovery_completed(1)


async def test_nor_one_that_ends_while_the_partitions_are_given_back(recovery):
    recovery.app.rebalancing_count = 2
    with pytest.raises(RebalanceAgain):
        await recovery.on_recovery_completed(1)
