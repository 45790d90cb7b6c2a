"""Keys without end: a producer that makes a new workflow id each run must not fill the detector's memory.

A score is never dropped, and a workflow that ran twice is not either. Of workflows with one execution those that have
been quiet for longest are, while there are more than the setting SINGLE_RUN_KEYS in this detector, if they have been
quiet for 35 days; beyond ten times the setting also younger ones, and those with an incident. Time is the events' own.

What is dropped is chosen right before a checkpoint and written by it: an empty payload, with the positions up to which
the key had its events. Until that is acknowledged no event is applied on the partition; and after a take-over nothing
is chosen before all is applied again that a former owner may have judged. So whoever judges an event of such a key, and
however often, has the same baseline: the old one before these positions, an empty one behind them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from typing import Protocol

from faust.types import TP

from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.task import Tasks
from stream_detector.detect.single_run import QUIET_MS, add_single_runs, single_run_of
from stream_detector.kafka.aiokafka_patches import FetchState
from stream_detector.telemetry.log_events import SingleRunsDropped

HARD_LIMIT = 10
"""Beyond so many times the setting age protects no more."""
SLACK = 100
"""One in so many may be there above the limit: to look for those to drop takes 1 us a key of the detector."""
AGREE, AGREE_SHARE = 3, 100
"""So many keys, and one in so many, must have run as late as what counts as now: a few wrong clocks decide nothing."""
_NEVER_MS = 1 << 62


class Checkpoints(Protocol):
    """What is needed of the app's checkpoint."""

    begun: int
    completed: int
    is_running: bool


class Ends(Protocol):
    """What is needed of the consumer."""

    def fetch_state(self, tp: TP) -> FetchState | None: ...


class App(Protocol):
    """What is needed of the app."""

    @property
    def checkpoint(self) -> Checkpoints: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def worker_consumer(self) -> Ends: ...
    async def until_checkpoint(self) -> None: ...


class Table(Protocol):
    """What is needed of the table of baselines."""

    @property
    def owned_partitions(self) -> Mapping[int, StatePartition[bytes]]: ...
    def find_owned(self, number: int) -> StatePartition[bytes] | None: ...


@dataclass
class _Known:
    """What is known of one partition: at most so many keys with a single run, and who its owner is."""

    partition: StatePartition[bytes]
    epoch: int
    at_most: int
    ends: dict[TP, int] | None = None
    """Up to where a former owner may have judged events; None: no fetch has shown it yet."""


@dataclass
class _Dropping:
    """A partition of which keys are being dropped: by this checkpoint, or the first one behind it that succeeds."""

    partition: StatePartition[bytes]
    checkpoint: int


class SingleRuns:
    """Counts workflows with a single execution, and drops those that nobody will miss.

    Args:
        app: with its checkpoint.
        table: of baselines.
        most: the setting SINGLE_RUN_KEYS.
    """

    def __init__(self, app: App, table: Table, most: int) -> None:
        self._app, self._table, self._most = app, table, most
        self._known: dict[int, _Known] = {}
        self._dropping: dict[int, _Dropping] = {}
        self._looked_at = 0
        """The last checkpoint before which it was looked."""
        self._latest: list[int] = []
        """The latest times at which new keys ran, in epoch ms, the last one first."""
        self._useless_until_ms = 0
        """Before that nothing is old enough; 0: not known."""

    def note_new(self, number: int, newest_ms: int) -> None:
        """A workflow has its first execution on this partition."""
        if (known := self._known.get(number)) is not None:
            known.at_most += 1
        if len(self._latest) < AGREE or newest_ms > self._latest[-1]:
            self._latest = nlargest(AGREE, [*self._latest, newest_ms])
        self._useless_until_ms = min(self._useless_until_ms, newest_ms + QUIET_MS)

    def before_checkpoint(self) -> bool:
        """Choose what to drop, once for each checkpoint: before the first of its snapshots. False afterwards."""
        checkpoint = self._app.checkpoint
        if not checkpoint.is_running or checkpoint.begun == self._looked_at:
            return False
        self._looked_at = checkpoint.begun
        self._follow_assignment()
        at_most = sum(known.at_most for known in self._known.values())
        if at_most <= self._most + self._most // SLACK:
            return True
        now_ms = self._latest[-1] if len(self._latest) == AGREE else 0
        hard = HARD_LIMIT * self._most
        if at_most > hard + hard // SLACK or now_ms >= self._useless_until_ms:
            self._drop(checkpoint.begun)
        return True

    async def until_written(self, number: int) -> None:
        """Return once no key of the partition is being dropped, or the partition is not ours any more."""
        while (dropping := self._dropping.get(number)) is not None:
            is_ours = self._table.find_owned(number) is dropping.partition
            if not is_ours or self._app.checkpoint.completed >= dropping.checkpoint:
                del self._dropping[number]
                return
            await self._app.until_checkpoint()

    def _follow_assignment(self) -> None:
        owned = self._table.owned_partitions
        for number in self._known.keys() - owned.keys():
            del self._known[number]
        for number, partition in owned.items():
            known = self._known.get(number)
            if known is None or known.partition is not partition or known.epoch != partition.epoch:
                at_most = len(partition.packed) + len(partition.live)
                self._known[number] = _Known(partition, partition.epoch, at_most)
                self._useless_until_ms = 0

    def _is_behind(self, number: int, known: _Known) -> bool:
        """Whether a former owner may have judged what is not applied here yet. The first one has none."""
        if known.epoch == 1:
            return False
        task = self._app.tasks.by_number.get(number)
        if task is None:
            return True
        if known.ends is None:
            states = {tp: self._app.worker_consumer.fetch_state(tp) for tp in task.positions}
            ends = {tp: state.high_watermark for tp, state in states.items() if state is not None}
            shown = {tp: end for tp, end in ends.items() if end is not None}
            if len(shown) < len(states):
                return True
            known.ends = shown
        return any(position.next_offset < known.ends.get(tp, 0) for tp, position in task.positions.items())

    def _drop(self, checkpoint: int) -> None:
        behind = {number for number, known in self._known.items() if self._is_behind(number, known)}
        if len(behind) == len(self._known):
            return
        by_number = {number: single_runs(known.partition) for number, known in self._known.items()}
        for number, singles in by_number.items():
            self._known[number].at_most = len(singles)
        count = sum(map(len, by_number.values()))
        excess = count - self._most
        if excess <= 0:
            return
        times = [each[0] for singles in by_number.values() for each in singles]
        now_ms = nlargest(max(AGREE, count // AGREE_SHARE), times)[-1]
        found = [each for number, singles in by_number.items() if number not in behind for each in singles]
        old = [each for each in found if each[0] <= now_ms - QUIET_MS and not each[2]]
        chosen = {each[1] for each in nsmallest(excess, old)}
        beyond = excess - (HARD_LIMIT - 1) * self._most - len(chosen)
        if beyond > 0:
            chosen |= {each[1] for each in nsmallest(beyond, (each for each in found if each[1] not in chosen))}
        else:
            young = (each[0] for each in found if not each[2] and each[0] > now_ms - QUIET_MS)
            is_useless = len(chosen) < excess and not behind
            self._useless_until_ms = min(young, default=_NEVER_MS) + QUIET_MS if is_useless else 0
        for number in by_number.keys() - behind:
            self._delete(number, [each[1] for each in by_number[number] if each[1] in chosen], checkpoint)
        if chosen:
            SingleRunsDropped(len(chosen), count - len(chosen), self._most).emit()

    def _delete(self, number: int, keys: list[bytes], checkpoint: int) -> None:
        known = self._known[number]
        for key in keys:
            known.partition.delete(key.decode())
        if keys:
            known.at_most -= len(keys)
            self._dropping[number] = _Dropping(known.partition, checkpoint)


def single_runs(partition: StatePartition[bytes]) -> list[tuple[int, bytes, bool]]:
    """Each key whose baseline is of one execution: its time in epoch ms, the key, whether it has or had an incident.

    No snapshot is under way. 1 us a key that the partition holds.
    """
    found: list[tuple[int, bytes, bool]] = []
    newer = {key.encode(): packed for key, packed in partition.live.items()}
    for raw, packed in newer.items():
        if (one := single_run_of(packed)) is not None:
            found.append((one.newest_ms, raw, one.has_incident))
    add_single_runs(partition.packed.items(), newer.keys() | {key.encode() for key in partition.deleted}, found)
    return found
