"""Queries that name a workflow by a former id are about the one that it leads to."""

import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from stream_detector.events.variant import key_parts, state_key
from stream_detector.serve.database import Database
from stream_detector.store.connect import StoreAwayError
from stream_detector.store.renames import renames

_FRESH_S = 2.0
_FIELDS = ("entity", "id", "workflow")
"""Parameters of queries that may name a workflow."""


class FormerIds:
    """Where former ids lead to, asked of the database at most every two seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Mapping[str, str] = {}
        self._asked_s = -_FRESH_S

    def middleware(self) -> Any:
        """Changes the query of a request before its handler reads it."""

        @web.middleware
        async def follow(request: web.Request, handler: Any) -> web.StreamResponse:
            if request.method == "GET" and request.path.startswith("/api/v1/"):
                given = {name: request.query[name] for name in _FIELDS if name in request.query}
                changed = {name: holds for name, text in given.items() if (holds := await self.holds(text)) != text}
                if changed:
                    request = request.clone(rel_url=request.rel_url.update_query(changed))
            response: web.StreamResponse = await handler(request)
            return response

        return follow

    async def holds(self, named: str) -> str:
        """The id or state key that a former one leads to, else itself."""
        if time.monotonic() - self._asked_s > _FRESH_S:
            self._asked_s = time.monotonic()
            try:
                self._known = {each.old_id: each.new_id for each in await self._database.query(renames)}
            except StoreAwayError:  # the handler says so where it matters
                return named
        if not self._known:
            return named
        if named in self._known:
            return self._known[named]
        try:
            kind, entity_id, variant = key_parts(named)
        except ValueError:
            return named
        holds = self._known.get(entity_id) if kind == "workflow" else None
        return state_key(kind, holds, variant) if holds else named
