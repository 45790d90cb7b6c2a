"""A moment by the broker's clock up to which everything that was published is applied, by every member of the group.

Only then can it be concluded that something did not come. The moment is the time of a record on the topic `clock`; what
was published before it lies before the ends that are asked for after its acknowledgement (`published_before`).
"""

from collections.abc import Awaitable, Callable

from stream_detector.delivery import faults
from stream_detector.delivery.clock_topic import TICK, ClockTopic
from stream_detector.delivery.published_before import PublishedBefore


class Barrier:
    """Reached by one caller at a time, for all partitions of the worker.

    Args:
        topic: the topic `clock`.
        published: answers with endless patience: what is behind may be what is looked for.
        pause: awaited between two looks.
    """

    def __init__(self, topic: ClockTopic, published: PublishedBefore, pause: Callable[[], Awaitable[None]]) -> None:
        self._topic, self._published, self._pause = topic, published, pause

    async def reach(self, is_wanted: Callable[[], bool]) -> int | None:
        """The moment, in epoch ms; None where nothing names the broker's time, or it is not wanted any more.

        Args:
            is_wanted: asked at each look. False ends the wait: the partitions are another worker's, for example.

        Raises:
            KafkaError: the broker does not take the record.
        """
        at_ms = await self._topic.stamp(TICK)
        if at_ms is None:
            return None
        faults.reach("tick-stamped")
        ticket = self._published.ask()
        while not ticket.done:
            if not is_wanted():
                return None
            await self._pause()
        return at_ms if is_wanted() else None
