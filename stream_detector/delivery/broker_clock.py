"""What time it is by the broker, and how long something has lasted: neither is asked of this worker's clock.

A record on a topic with `message.timestamp.type=LogAppendTime` is stamped by the broker, and its acknowledgement names
that time. From then on it goes on by a clock that nobody sets. A worker claims its state on such topics when it starts,
so it knows the broker's time before it decides anything. The embedded broker, and topics that an earlier version made,
keep the stamps of who wrote; there nothing is known.
"""

import time
from typing import Protocol

LOG_APPEND_TIME = 1
"""A record's `timestamp_type` where the broker stamped it."""
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Elsewhere than on Linux it may stop while the machine sleeps: what is waited for comes later then."""


class Acknowledged(Protocol):
    """What is read of an acknowledgement (aiokafka's `RecordMetadata`)."""

    @property
    def timestamp(self) -> int | None: ...
    @property
    def timestamp_type(self) -> int | None: ...


def steady_ms() -> int:
    """Of a clock that nobody sets, in ms; it runs on while the process is stopped or the machine sleeps."""
    return time.clock_gettime_ns(_STEADY) // 1_000_000


class BrokerClock:
    """The broker's time, by what it has acknowledged."""

    def __init__(self) -> None:
        self._ahead_ms: int | None = None
        """Of `steady_ms`."""

    def note(self, acknowledged: Acknowledged) -> None:
        """Take the broker's time from an acknowledgement that has just come."""
        if acknowledged.timestamp_type == LOG_APPEND_TIME and acknowledged.timestamp:
            self._ahead_ms = acknowledged.timestamp - self.steady_ms()

    def now_ms(self) -> int | None:
        """Epoch ms by the broker; None where it has named no time."""
        return None if self._ahead_ms is None else self.steady_ms() + self._ahead_ms

    def steady_ms(self) -> int:
        """See `steady_ms`."""
        return steady_ms()
