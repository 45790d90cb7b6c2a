"""The API's hold on PostgreSQL: there or not, queried once more where a connection had died meanwhile."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

import asyncpg

from stream_detector.serve.problems import RETRY_AFTER_S
from stream_detector.settings import Settings
from stream_detector.store.connect import StoreAwayError, address_of, as_store_away, wait_for_pool
from stream_detector.store.grants import admit
from stream_detector.telemetry.log_events import ServiceUnavailable

P = ParamSpec("P")
T = TypeVar("T")
_QUERY_S = 10.0
FIRST_TRY_S = 5.0


class Database:
    """Connects in the background, so that the server answers at once, if only that the database is away."""

    def __init__(self, settings: Settings, *, name: str = "api", size: int = 8) -> None:
        self._settings, self._name, self._size = settings, name, size
        self.pool: asyncpg.Pool | None = None
        self.why_away = "no response yet"
        self._connecting: asyncio.Task[None] | None = None
        self._started_s = time.monotonic()

    @property
    def was_tried(self) -> bool:
        """Whether it is connected, or was waited for as long as a healthy one takes."""
        return self.pool is not None or time.monotonic() - self._started_s > FIRST_TRY_S

    def start(self) -> "asyncio.Task[None]":
        """Begin to connect and migrate; the task ends when it is done, or with an error that waiting cannot solve."""
        self._connecting = asyncio.create_task(self._connect())
        return self._connecting

    async def stop(self) -> None:
        """Give back every connection."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self.pool is not None:
            self.pool.terminate()

    async def query(
        self, query: Callable[Concatenate[asyncpg.Pool, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The query's answer. Raises `StoreAwayError` where the database is away.

        Only for queries that may run twice: a connection that died while idle is noticed by the first that uses it,
        so the query is tried once more on a new one.
        """
        if self.pool is None:
            raise StoreAwayError(self.why_away)
        for last in (False, True):
            try:
                return await query(self.pool, *args, **kwargs)
            except Exception as error:
                known = as_store_away(error)
                if known is None:
                    raise
                if last or isinstance(error, TimeoutError):
                    raise known from error
                await self.pool.expire_connections()
        raise AssertionError("unreachable")

    async def _connect(self) -> None:
        while self.pool is None:
            pool = await wait_for_pool(self._settings.database_url, name=self._name, size=self._size, query_s=_QUERY_S)
            try:
                await admit(pool, "api")
                self.pool = pool
            except StoreAwayError as error:
                pool.terminate()
                self.why_away = str(error)
                ServiceUnavailable("PostgreSQL", self.address, str(error), RETRY_AFTER_S).emit()
                await asyncio.sleep(RETRY_AFTER_S)

    @property
    def address(self) -> str:
        """Where it is, without secrets."""
        return address_of(self._settings.database_url)
