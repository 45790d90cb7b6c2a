"""How common an anomaly's labels are among all executions of the hour before it, as its record carries it.

Only a detector sees every execution, and only the notifier sees which anomalies come together. So each alert travels
with the counts of its own labels, in a header: they are about the stream, not about the anomaly, and an event that is
applied again after a crash may find others.
"""

import msgspec
from msgspec import Struct

from stream_detector.events.headers import Headers

HEADER = "stream-detector-label-counts"


class LabelCounts(Struct, frozen=True, gc=False, array_like=True):
    """What one detector has counted; where it saw too many executions for each to be counted, an estimate."""

    counter: str
    """The detector process that counted: each sees the executions of its own partitions."""
    executions: int
    """Of all workflows, in the hour before the anomaly."""
    labels: dict[str, int]
    """Name of each label of the anomaly -> how many of them have the same value."""


_decoder = msgspec.json.Decoder(LabelCounts)


def label_counts_header(counts: LabelCounts) -> tuple[str, bytes]:
    """As it travels."""
    return HEADER, msgspec.json.encode(counts)


def read_label_counts(headers: Headers) -> LabelCounts | None:
    """The counts that a record carries; None where it has none that can be read, as from an older detector.

    >>> counts = LabelCounts("a1", 40, {"image": 3})
    >>> read_label_counts([label_counts_header(counts)]) == counts, read_label_counts([(HEADER, b"?")])
    (True, None)
    """
    for name, value in headers:
        if name == HEADER and value:
            try:
                return _decoder.decode(value)
            except (ValueError, RecursionError):
                return None
    return None
