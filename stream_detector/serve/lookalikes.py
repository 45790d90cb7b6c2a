"""Which ids look the same, asked of the database at most once a minute: it looks at every id."""

import time

from aiohttp import web

from stream_detector.serve.database import Database
from stream_detector.store.lookalikes import stored_lookalikes

_FRESH_S = 60.0


class Lookalikes:
    """Of workflows and of scored entities."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, dict[str, list[str]]]] = {}

    async def of_kind(self, kind: str) -> dict[str, list[str]]:
        """Id -> the other ids that look like it; only those that have some. Raises `StoreAwayError`."""
        asked_s, known = self._known.get(kind, (0.0, {}))
        if kind not in self._known or time.monotonic() - asked_s > _FRESH_S:
            groups = await self._database.query(stored_lookalikes, kind)
            known = {each: [other for other in group if other != each] for group in groups for each in group}
            self._known[kind] = time.monotonic(), known
        return known


LOOKALIKES: web.AppKey[Lookalikes] = web.AppKey("lookalikes", Lookalikes)
