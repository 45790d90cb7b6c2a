"""Asks the roles of this machine how they are: /readyz of each, as `up` and PROBE_URLS name them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

ANSWER_WITHIN_S = 2.0


@dataclass
class ProbeAnswer:
    """What one role answered last; times are of a monotonic clock."""

    first_s: float
    """Since when it is asked."""
    ready_s: float
    """When it last said that it is ready, or was first asked."""
    answered_s: float
    """When it last answered at all, or was first asked."""
    why: str = "not asked yet"
    """Why it is not ready; empty if it is."""


class RoleProbes:
    """The answers of each role.

    Args:
        urls: role -> base URL of its metrics port.
        clock: seconds that never go back.
    """

    def __init__(self, urls: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._urls, self._clock = dict(urls), clock
        self.answers: dict[str, ProbeAnswer] = {}
        for role in self._urls:
            self.forget(role)
        self._session: aiohttp.ClientSession | None = None

    def forget(self, role: str) -> None:
        """The role was started anew: what its predecessor answered counts for nothing."""
        now_s = self._clock()
        self.answers[role] = ProbeAnswer(now_s, now_s, now_s)

    async def look(self) -> None:
        """Ask each once. Never raises: who does not answer is the result."""
        if self._urls:
            await asyncio.gather(*map(self._ask, self._urls))

    async def close(self) -> None:
        """Give back the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(self, role: str) -> None:
        if self._session is None:
            # A new connection each time: one that is kept may lead to a process that is gone.
            connector = aiohttp.TCPConnector(force_close=True)
            timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        answer = self.answers[role]
        try:
            async with self._session.get(f"{self._urls[role].rstrip('/')}/readyz") as response:
                text = (await response.text())[:500].strip()
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            answer.why = f"no answer from {self._urls[role]} ({str(error) or type(error).__name__})"
            return
        answer.answered_s = self._clock()
        answer.why = "" if response.status == 200 else text
        if response.status == 200:
            answer.ready_s = answer.answered_s
