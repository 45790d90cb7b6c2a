"""When recovery from the changelog is complete."""

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery


class PositionRecovery(Recovery):  # type: ignore[misc]
    """Ends by fetch position, up to the end that the fetches report.

    Stock recovery waits for the record before the end, which markers and compaction may have removed; and the embedded
    broker's ListOffsets answers an end that is too low.
    """

    def need_recovery(self) -> bool:
        """True while some changelog partition of ours is not read to its end."""
        consumer = self.app.consumer
        return any(
            last >= 0 and consumer.fetch_position(tp) <= max(last, consumer.stable_end(tp) - 1)
            for tp, last in self.active_highwaters.items()
            if tp in self.active_tps
        )


class Tables(TableManager):  # type: ignore[misc]
    """Faust's table manager with our end of recovery."""

    @property
    def recovery(self) -> Recovery:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = PositionRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
