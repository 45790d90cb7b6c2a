"""In which order the events of a file happened."""

from collections.abc import Iterable, Iterator

from stream_detector.events.completion import Completion
from stream_detector.events.lines import Line
from stream_detector.events.start import Start


def in_order_of_time(lines: Iterable[Line]) -> Iterator[Line]:
    """Events of ours as they stand, then those of other systems' payloads in the order of their ends.

    A history of our own events is in the order in which they arrived. What an API lists, newest first, has none.
    """
    listed: list[tuple[tuple[float, str, int], Line]] = []
    for line in lines:
        if line.is_foreign and line.record_ms is None and isinstance(line.event, Completion | Start):
            listed.append((time_order(line.event), line))
        else:
            yield line
    for _, line in sorted(listed, key=lambda one: one[0]):
        yield line


def time_order(event: Completion | Start) -> tuple[float, str, int]:
    """By when it happened; what did at the same time by its id, so the order does not depend on where it comes from."""
    at = event.started_at if isinstance(event, Start) else event.finished_at
    return at.timestamp(), event.execution_id, event.attempt
