"""Workflow ids that look unique per run: in `/health`, and once in a message."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from stream_detector.events import Action
from stream_detector.events.id_patterns import UNIQUE_IDS_NOTICE, unique_ids_text
from stream_detector.events.ids import derived_id
from stream_detector.serve.broker import BrokerAwayError
from stream_detector.serve.database import Database
from stream_detector.store import incidents
from stream_detector.store.connect import StoreAwayError
from stream_detector.store.unique_ids import ids_that_look_unique

LOOK_EVERY_S = 60.0
_WITHIN_S = 30.0


class UniqueIdsWatch:
    """Looks every minute; what it finds for the first time goes to the notifier, as a comment on `operator-actions`.

    Args:
        database: to look in.
        publish: publishes actions and stores them.
    """

    def __init__(self, database: Database, publish: Callable[[list[Action]], Awaitable[object]]) -> None:
        self._database, self._publish = database, publish
        self.found: dict[str, int] = {}
        """Pattern -> how many ids today, the most first."""
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look from now on."""
        self._looking = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Nothing is under way afterwards."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def reasons(self) -> list[str]:
        """What people are told of it."""
        return [unique_ids_text(pattern, count) for pattern, count in self.found.items()]

    async def look(self) -> None:
        """Look once. Raises `StoreAwayError`, `TimeoutError` and `BrokerAwayError`."""
        async with asyncio.timeout(_WITHIN_S):
            self.found = await self._database.query(ids_that_look_unique)
        for pattern, count in self.found.items():
            action_id = derived_id("unique_workflow_ids", pattern)
            if await self._database.query(incidents.decided_at, [action_id]) is None:
                await self._publish([notice_of(action_id, pattern, count)])

    async def _run(self) -> None:
        while True:
            # Neither answers: that is reported elsewhere.
            with contextlib.suppress(StoreAwayError, BrokerAwayError, TimeoutError):
                await self.look()
            await asyncio.sleep(LOOK_EVERY_S)


def notice_of(action_id: str, pattern: str, count: int) -> Action:
    """The comment that the notifier turns into a message."""
    return Action(
        action_id=action_id,
        kind="comment",
        by="stream_detector",
        at=datetime.now(UTC),
        entity=f"workflow:{pattern}",
        matchers=UNIQUE_IDS_NOTICE,
        comment=unique_ids_text(pattern, count),
    )
