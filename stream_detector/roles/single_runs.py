"""Keys without end: a producer that makes a new workflow id each run must not fill the detector's memory.

A score is never dropped, and a workflow that ran twice is not either. Of workflows with one execution those that have
been quiet for longest are, while there are more than the setting SINGLE_RUN_KEYS in this detector, if they have been
quiet for 35 days; beyond ten times the setting also younger ones, and those with an incident. Time is the events' own.

What is dropped is chosen right before a checkpoint and written by it: an empty payload, with the positions up to which
the key had its events. Until that is acknowledged no event is applied on the partition; and after a take-over nothing
is chosen before all is applied again that a former owner may have judged. So whoever judges an event of such a key, and
however often, has the same baseline: the old one before these positions, an empty one behind them.

How much a former owner may have judged is bounded, else a backlog of new ids would be kept as a whole: nobody applies
more than MOST_UNCOMMITTED records of a partition before a checkpoint has committed some of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from itertools import chain
from typing import Protocol

from faust.types import TP

from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.task import Tasks
from stream_detector.detect.single_run import QUIET_MS, FoundSingleRuns, add_single_runs, single_run_of
from stream_detector.kafka.aiokafka_patches import FetchState
from stream_detector.telemetry.log_events import SingleRunsDropped

HARD_LIMIT = 10
"""Beyond so many times the setting age protects no more."""
SLACK = 100
"""One in so many may be there above the limit: to look for those to drop takes 1 us a key of the detector."""
KEYS_A_LOOK = 40_000
"""So many keys are looked at before one checkpoint, 40 ms; the next one goes on. All of 100,000 at once took 0.23 s, in
which no event was judged."""
AGREE, AGREE_SHARE = 3, 100
"""So many keys, and one in so many, must have run as late as what counts as now: a few wrong clocks decide nothing."""
MOST_UNCOMMITTED = 30_000
"""Records of a source partition: more than one brings between two checkpoints of a busy detector. With 10,000 of them
checkpoints came so often that an event took 14.8 us of processor time, 13.6 with 30,000, 13.5 without a limit (medians
of three rounds in turns, `benchmarks.throughput --quick --systems ours_full --events 300000`)."""
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
    async def hurry_checkpoint(self) -> None: ...


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


class _Round:
    """Looks at the keys of each partition, some before each checkpoint. What is found may have changed by its end."""

    def __init__(self, known: Mapping[int, _Known]) -> None:
        self.partitions = {number: (each.partition, each.epoch) for number, each in known.items()}
        self.at_most = {number: each.at_most for number, each in known.items()}
        """Of each partition when it began."""
        self.found = {number: FoundSingleRuns() for number in known}
        self._left = [*known]
        self._keys: list[bytes] = []
        """Those of the first partition that is left; the last ones are looked at next."""
        self._begun = False

    def is_of(self, known: Mapping[int, _Known]) -> bool:
        """Whether the partitions are those that it began with."""
        return self.partitions == {number: (each.partition, each.epoch) for number, each in known.items()}

    def go_on(self, count: int) -> bool:
        """Look at the next keys; True where there are no more."""
        while self._left and count > 0:
            number = self._left[0]
            partition, found = self.partitions[number][0], self.found[number]
            if not self._begun:
                self._keys, self._begun = list(partition.packed), True
            some = self._keys[-count:]
            del self._keys[-count:]
            count -= len(some)
            newer = {key.encode(): packed for key, packed in partition.live.items()}
            gone = {key.encode() for key in partition.deleted}
            values = ((key, value) for key in some if (value := partition.packed.get(key)) is not None)
            add_single_runs(values, newer.keys() | gone, found)
            if not self._keys:
                _add_newer(newer, found)
                self._left.pop(0)
                self._begun = False
        return not self._left


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
        self._round: _Round | None = None

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
        if self._round is not None and not self._round.is_of(self._known):
            self._round = None
        if self._round is None and self._is_round_due():
            self._round = _Round(self._known)
        if self._round is not None and self._round.go_on(KEYS_A_LOOK):
            looked, self._round = self._round, None
            self._drop(checkpoint.begun, looked)
        return True

    def _is_round_due(self) -> bool:
        at_most = sum(known.at_most for known in self._known.values())
        if at_most <= self._most + self._most // SLACK:
            return False
        now_ms = self._latest[-1] if len(self._latest) == AGREE else 0
        hard = HARD_LIMIT * self._most
        if at_most <= hard + hard // SLACK and now_ms < self._useless_until_ms:
            return False
        return not all(self._is_behind(number, known) for number, known in self._known.items())

    async def until_written(self, number: int) -> None:
        """Return once no key of the partition is being dropped, or the partition is not ours any more."""
        while (dropping := self._dropping.get(number)) is not None:
            is_ours = self._table.find_owned(number) is dropping.partition
            if not is_ours or self._app.checkpoint.completed >= dropping.checkpoint:
                del self._dropping[number]
                return
            await self._app.until_checkpoint()

    async def until_few_uncommitted(self, chunk: Chunk) -> None:
        """Return once the chunk may be applied: what a successor might judge again does not get too much by it.

        At once where nothing of the partition is to be committed, however large the chunk, or it is not ours any more.
        """
        while (position := self._app.tasks.find_position(chunk.tp)) is not None:
            if not position.uncommitted or position.uncommitted + len(chunk.records) <= MOST_UNCOMMITTED:
                return
            await self._app.hurry_checkpoint()

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
        return any(
            position.next_offset < known.ends.get(tp, 0) and position.applied < MOST_UNCOMMITTED
            for tp, position in task.positions.items()
        )

    def _drop(self, checkpoint: int, looked: _Round) -> None:
        behind = {number for number, known in self._known.items() if self._is_behind(number, known)}
        if len(behind) == len(self._known):
            return
        by_number = looked.found
        for number, singles in by_number.items():
            known = self._known[number]
            known.at_most = len(singles) + known.at_most - looked.at_most[number]  # and those that came meanwhile
        count = sum(len(singles) for singles in by_number.values())
        excess = count - self._most
        if excess <= 0:
            return
        times = sorted(chain.from_iterable(singles.times for singles in by_number.values()))
        now_ms = times[-min(count, max(AGREE, count // AGREE_SHARE))]
        found = [singles for number, singles in by_number.items() if number not in behind]
        chosen = _oldest(found, excess, until_ms=now_ms - QUIET_MS)
        beyond = excess - (HARD_LIMIT - 1) * self._most - len(chosen)
        if beyond > 0:
            others = (each for singles in found for each in singles if each[1] not in chosen)
            chosen |= {each[1] for each in nsmallest(beyond, others)}
        else:
            young = (at for singles in found for at, _, had in singles if not had and at > now_ms - QUIET_MS)
            is_useless = len(chosen) < excess and not behind
            self._useless_until_ms = min(young, default=_NEVER_MS) + QUIET_MS if is_useless else 0
        dropped = 0
        for number in by_number.keys() - behind:
            partition = self._known[number].partition
            unchanged = [each[1] for each in by_number[number] if each[1] in chosen and _is_unchanged(partition, *each)]
            self._delete(number, unchanged, checkpoint)
            dropped += len(unchanged)
        if dropped:
            SingleRunsDropped(dropped, count - dropped, self._most).emit()

    def _delete(self, number: int, keys: list[bytes], checkpoint: int) -> None:
        known = self._known[number]
        for key in keys:
            known.partition.delete(key.decode())
        if keys:
            known.at_most -= len(keys)
            self._dropping[number] = _Dropping(known.partition, checkpoint)


def _oldest(found: Sequence[FoundSingleRuns], count: int, until_ms: int) -> set[bytes]:
    """The keys of those without an incident that are the oldest, at most `count`, none after `until_ms`.

    Only times are sorted: `nsmallest` compares the keys as well, and took 2 s of a million.
    """
    times = sorted(at for singles in found for at, _, had in singles if at <= until_ms and not had)
    if len(times) > count:
        until_ms = times[count - 1]
    chosen: set[bytes] = set()
    last: list[bytes] = []
    for newest_ms, key, has_incident in chain.from_iterable(found):
        if newest_ms > until_ms or has_incident:
            continue
        if newest_ms < until_ms:
            chosen.add(key)
        else:
            last.append(key)
    return chosen | set(last[: count - len(chosen)])


def _is_unchanged(partition: StatePartition[bytes], newest_ms: int, key: bytes, has_incident: bool) -> bool:
    """Whether the baseline is still that of the one execution that was seen."""
    packed = partition.get(key.decode())
    return packed is not None and single_run_of(packed) == (newest_ms, has_incident)


def _add_newer(newer: Mapping[bytes, bytes], found: FoundSingleRuns) -> None:
    for key, packed in newer.items():
        if (one := single_run_of(packed)) is not None:
            found.add(key, one)


def single_runs(partition: StatePartition[bytes]) -> FoundSingleRuns:
    """Each key whose baseline is of one execution.

    No snapshot is under way. 1 us a key that the partition holds.
    """
    found = FoundSingleRuns()
    newer = {key.encode(): packed for key, packed in partition.live.items()}
    _add_newer(newer, found)
    add_single_runs(partition.packed.items(), newer.keys() | {key.encode() for key in partition.deleted}, found)
    return found
