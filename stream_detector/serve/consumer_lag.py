"""The consumer lag of each role, read from Kafka in the background, seldom."""

import asyncio
import time

from aiokafka.errors import KafkaError

from stream_detector.kafka.end_offsets import TOPICS_READ_BY, EndOffsets, total_lag
from stream_detector.settings import Settings

LOOK_EVERY_S = 10.0
_FRESH_S = 60.0
"""An older lag is not shown."""
_WITHIN_S = 20.0


class ConsumerLag:
    """The last known lag is returned at once; reading it starts the next look at Kafka where one is due."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ends: EndOffsets | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked_s = -LOOK_EVERY_S
        self._known: dict[str, int] | None = None

    def records(self) -> dict[str, int] | None:
        """Role -> records between what it has committed and the ends of its topics; None while that is not known.

        At most a minute old: the first call after a while returns None, and one a moment later the lag.
        """
        is_looking = self._looking is not None and not self._looking.done()
        if self._settings.broker and not is_looking and time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._looking = asyncio.create_task(self._look())
        return self._known if time.monotonic() - self._looked_s < _FRESH_S else None

    async def stop(self) -> None:
        """Nothing is under way afterwards."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._close()

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_WITHIN_S):
                if self._ends is None:
                    self._ends = await EndOffsets(self._settings).__aenter__()
                lags = await self._ends.lags()
                self._known = {role: total_lag(lags, role) for role in TOPICS_READ_BY}
        except (KafkaError, OSError, TimeoutError):
            self._known = None
            await self._close()
        finally:
            self._looked_s = time.monotonic()

    async def _close(self) -> None:
        ends, self._ends = self._ends, None
        if ends is not None:
            await ends.__aexit__(None, None, None)
