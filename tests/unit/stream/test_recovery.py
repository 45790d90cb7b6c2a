"""When recovery is over."""

from collections import Counter
from types import SimpleNamespace

import pytest
from faust.types import TP

from stream_detector.stream.recovery import PositionRecovery

OLD, NEW = TP("baselines", 0), TP("baselines", 1)


@pytest.fixture
def recovery():
    """Partition 0 has 10 records and is read up to `at[OLD]`."""
    made = PositionRecovery.__new__(PositionRecovery)
    made.active_tps, made.active_highwaters, at = {OLD}, Counter({OLD: 9}), {OLD: 10, NEW: 0}
    made.app = SimpleNamespace(consumer=SimpleNamespace(fetch_position=at.get, stable_end=lambda tp: 10))
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
