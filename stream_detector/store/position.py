"""Where an event lay in its stream: the order in which history is replayed."""

from typing import NamedTuple


class Position(NamedTuple):
    """Positions compare in the order in which history is replayed."""

    epoch: int
    """Of streams that were created again (`epochs.py`)."""
    partition: int
    offset: int
    event_index: int = 0
    """Of a record with several events: which of them."""


BEGINNING = Position(-1, -1, -1, -1)
END = Position(2**31 - 1, 2**31 - 1, 2**63 - 1, 2**31 - 1)
ROWS_AT_ONCE = 2_000
"""So many rows of a history are in memory at once."""
