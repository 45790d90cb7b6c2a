"""How each role's consumer group is, by what the broker answered within the last seconds, never by what was last known.

A role works if its group has a member and it commits while there is something to read. A killed or stopped process is a
member until its session times out (10 s by default). The embedded broker never forgets a member: there `up` names the
addresses of its roles, which are asked for themselves (PROBE_URLS, `telemetry/probes.py`).
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import BrokerResponseError, GroupAuthorizationFailedError

from stream_detector.kafka.acls import GROUPED
from stream_detector.kafka.client import client_options
from stream_detector.kafka.describe import DescribedGroup, describe_group
from stream_detector.kafka.end_offsets import TOPICS_READ_BY, EndOffsets
from stream_detector.kafka.preflight import MissingAclsError
from stream_detector.settings import Settings

LOOK_EVERY_S = 1.5
FRESH_S = 10.0
"""An older answer counts for nothing: a connection may be half open, a broker may hang."""
STANDS_S = 60.0
"""One partition of a role that gets on with others may stand for so long."""
_ANSWER_WITHIN_S = 4.0
_CLOSE_WITHIN_S = 1.0
_ACLS_AGAIN_S = 60.0
_REBALANCING = ("PreparingRebalance", "CompletingRebalance")

PartState = Literal["ok", "behind", "away", "unknown"]


class Finding(NamedTuple):
    """How one part is, and why it is not ok."""

    state: PartState
    reason: str = ""


@dataclass
class Progress:
    """What one role has left to read, and since when it has committed nothing of it."""

    behind: dict[TopicPartition, int] = field(default_factory=dict)
    """Records of each partition that has any."""
    committed: Mapping[TopicPartition, int] = field(default_factory=dict)
    got_on_s: float = 0.0
    has_got_on: bool = False
    """Whether it was seen to commit."""
    stands_since_s: dict[TopicPartition, float] = field(default_factory=dict)

    def note(self, behind: dict[TopicPartition, int], committed: Mapping[TopicPartition, int], now_s: float) -> None:
        """Take a look's result."""
        if not behind or committed != self.committed:
            self.got_on_s = now_s
            self.has_got_on = bool(self.committed)
        self.stands_since_s = {
            tp: self.stands_since_s.get(tp, now_s) if committed[tp] == self.committed.get(tp) else now_s
            for tp in behind
        }
        self.behind, self.committed = behind, dict(committed)

    def find(self, now_s: float, limit_s: float) -> Finding:
        """ok, or behind and with what."""
        records = sum(self.behind.values())
        if self.behind and now_s - self.got_on_s > limit_s:
            stands_s = now_s - self.got_on_s
            return Finding("behind", f"{records} records to read, and nothing committed for {stands_s:.0f} s")
        for tp, since_s in self.stands_since_s.items():
            if now_s - since_s > STANDS_S:
                what = f"{tp.topic}-{tp.partition}: {self.behind[tp]} records to read"
                return Finding("behind", f"{what}, and nothing of it committed for {now_s - since_s:.0f} s")
        return Finding("ok")


class GroupMonitor:
    """Asks the broker again and again, see `run`; one connection that does not answer is replaced by the next look.

    Args:
        settings: where the broker is.
        clock: seconds that never go back.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._admin: AIOKafkaAdminClient | None = None
        self._ends: EndOffsets | None = None
        self._no_ends_until_s = 0.0
        self._began_s = clock()
        self._answered_s: float | None = None
        self._why = "no response yet"
        self._is_embedded = False
        self._groups: dict[str, tuple[float, DescribedGroup | Exception]] = {}
        self._rebalances_since_s: dict[str, float] = {}
        self._progress = {role: Progress(got_on_s=self._began_s) for role in GROUPED}
        self._lags_at_s: float | None = None

    async def run(self) -> None:
        """Look until cancelled; nothing is under way afterwards."""
        self._began_s = self._clock()
        try:
            while True:
                await self.look()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """Give back the connections."""
        await self._drop_admin()
        await self._drop_ends()

    async def look(self) -> None:
        """Ask for everything once. Never raises: what does not answer is the result."""
        if not self._settings.broker:
            return
        await asyncio.gather(self._look_at_groups(), self._look_at_offsets())

    # -- what was found ------------------------------------------------------------------------------------------

    def kafka(self) -> Finding:
        """Whether the broker has answered lately."""
        if self._answered_s is None:
            return Finding("away" if self._clock() - self._began_s > FRESH_S else "unknown", self._why)
        age_s = self._clock() - self._answered_s
        if age_s <= FRESH_S:
            return Finding("ok")
        return Finding("away", f"no answer for {age_s:.0f} s" + (f" ({self._why})" if self._why else ""))

    def role(self, role: str) -> Finding:
        """How one role is."""
        if self.kafka().state != "ok":
            return Finding("unknown", "Kafka does not answer")
        now_s, (at_s, group) = self._clock(), self._groups.get(role, (-FRESH_S, None))
        if group is None or now_s - at_s > FRESH_S:
            return Finding("unknown", "its consumer group has not been described yet")
        if isinstance(group, GroupAuthorizationFailedError):
            name = self._settings.group(role)
            return Finding("unknown", f"Kafka does not allow Describe on group {name} (`stream-detector acls`)")
        if isinstance(group, Exception):
            return Finding("unknown", f"its consumer group cannot be described: {group}")
        if not group.members:
            return Finding("away", "its consumer group has no member")
        limit_s = max(FRESH_S, 2 * self._settings.checkpoint_interval_s)
        rebalances_s = now_s - self._rebalances_since_s.get(role, now_s)
        if rebalances_s > max(limit_s, self._settings.session_timeout_s):
            return Finding("behind", f"its consumer group has been rebalancing for {rebalances_s:.0f} s")
        if self._has_lags():
            found = self._progress[role].find(now_s, limit_s)
            if found.state != "ok":
                return found
        if self._is_embedded:
            return Finding("unknown", "the embedded broker also lists former members; PROBE_URLS is not set")
        return Finding("ok")

    def is_settled(self, role: str) -> bool:
        """Whether a longer look would find nothing else: a role with something to read has committed meanwhile."""
        progress, (_, group) = self._progress[role], self._groups.get(role, (0.0, None))
        if group is None or not self._has_lags():
            return False
        is_away = isinstance(group, DescribedGroup) and not group.members
        return is_away or not progress.behind or progress.has_got_on

    def lags(self) -> dict[str, int] | None:
        """Role -> records between what it has committed and the ends of its topics; None while that is not known."""
        if not self._has_lags():
            return None
        return {role: sum(progress.behind.values()) for role, progress in self._progress.items()}

    def _has_lags(self) -> bool:
        return self._lags_at_s is not None and self._clock() - self._lags_at_s <= FRESH_S

    # -- looking -------------------------------------------------------------------------------------------------

    async def _look_at_groups(self) -> None:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                if self._admin is None:
                    self._admin = AIOKafkaAdminClient(**client_options(self._settings))
                    await self._admin.start()
                    described = await self._admin.describe_cluster()
                    self._is_embedded = str(described.get("cluster_id")).startswith("embedded-")
                    self._note_answer()
                admin = self._admin
                await asyncio.gather(*(self._describe(admin, role) for role in GROUPED))
        except Exception as error:  # whatever it is: the next look begins with a new connection
            self._why = str(error) or type(error).__name__
            await self._drop_admin()

    async def _describe(self, admin: AIOKafkaAdminClient, role: str) -> None:
        """Note one group. An error that the broker answered is an answer; a connection that is gone is raised."""
        found: DescribedGroup | Exception
        try:
            found = await describe_group(admin, self._settings.group(role))
        except BrokerResponseError as error:
            found = error
        self._note_answer()
        now_s = self._clock()
        self._groups[role] = now_s, found
        if isinstance(found, DescribedGroup) and found.members and found.state in _REBALANCING:
            self._rebalances_since_s.setdefault(role, now_s)
        else:
            self._rebalances_since_s.pop(role, None)

    async def _look_at_offsets(self) -> None:
        """Commits first, ends afterwards: what was committed meanwhile is no lag."""
        if self._clock() < self._no_ends_until_s:
            return
        try:
            async with asyncio.timeout(2 * _ANSWER_WITHIN_S):
                if self._ends is None:
                    self._ends = await EndOffsets(self._settings, stable=True).__aenter__()
                asked = self._ends
                applied = {role: await asked.applied(role, TOPICS_READ_BY[role]) for role in GROUPED}
                ends = await asked.end_offsets()
                self._note_answer()
        except MissingAclsError:
            self._no_ends_until_s = self._clock() + _ACLS_AGAIN_S
        except Exception:
            await self._drop_ends()
        else:
            self._lags_at_s = self._clock()
            for role, offsets in applied.items():
                behind = {tp: ends.get(tp, 0) - offset for tp, offset in offsets.items()}
                self._progress[role].note({tp: n for tp, n in behind.items() if n > 0}, offsets, self._lags_at_s)

    def _note_answer(self) -> None:
        self._answered_s, self._why = self._clock(), ""

    async def _drop_admin(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            await _close(admin.close())

    async def _drop_ends(self) -> None:
        ends, self._ends = self._ends, None
        if ends is not None:
            await _close(ends.__aexit__(None, None, None))


async def _close(closing: Coroutine[Any, Any, None]) -> None:
    """Give up a client that does not answer. aiokafka's may raise CancelledError of tasks of its own."""
    task = asyncio.create_task(closing)
    await asyncio.wait([task], timeout=_CLOSE_WITHIN_S)
    if not task.done():
        task.cancel()
    elif not task.cancelled():
        task.exception()  # seen
