"""What a checkpoint of one partition writes, encoded at once."""

from typing import Any

from stream_detector.delivery.state.changelog_record import Positions
from stream_detector.delivery.state.contents import Records
from stream_detector.delivery.state.partition import StatePartition


def take_snapshot(partition: StatePartition[Any], positions: Positions) -> tuple[Records, Records]:
    """The keys' records, and those of the watermarks."""
    snapshot = partition.begin_snapshot(positions)
    snapshot.encode_for(float("inf"))
    return snapshot.records, snapshot.watermarks
