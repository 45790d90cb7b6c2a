"""The runs that are under way, and each type's memberships, in the table `runs-state`; which runs are to be ended.

A run ends where its `run_closed` is read, which its owner writes (see `detect.runs`). So whatever is replayed, and
whoever writes it a second time, its summaries are the same.

When it is written where nothing more comes is decided by no worker's clock. Where the broker stamps `run-parts`
(LogAppendTime, as `setup` makes it), it is the broker's time since the last part. Where it does not, stamps are of
several workers' clocks, so that is counted by whoever owns the run: for how long it has read nothing of it. An owner
that takes over counts anew, so there a run may end by its silence later, never earlier.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.published_before import PublishedBefore, Ticket
from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect.rules.missing_entity import PREFIX, Memberships, apply_membership, membership_parts
from stream_detector.detect.runs import Ages, Run, apply_part, close
from stream_detector.events import Anomaly, Profile, RunPart, RunSummary
from stream_detector.events.times import from_epoch_ms
from stream_detector.kafka import topics

Value = Run | Memberships
VALUE: Codec[Value] = Codec(
    lambda value: value.pack(), lambda key, packed: (Memberships if key.startswith(PREFIX) else Run).unpack(packed)
)

EXPIRE_EVERY_MS = 60_000
LATE_STAMP_MS = 3_600_000
"""A run is forgotten only so long after its time by the records that were read: `apply_part` decides by the record at
hand, and no record is stamped an hour before an earlier one."""


@dataclass
class _Read:
    """When this owner read what of a run, by `BrokerClock.steady_ms`; what it took over, when it first looked."""

    last_ms: int
    late_since_ms: int
    late_last_ms: int
    closed_ms: int


Made = Anomaly | RunSummary | RunPart
"""What a part leads to: a missing entity, a summary, a membership that the run passes on."""


def key_of(run_part: RunPart) -> str:
    """Where a part belongs. A producer may call a run anything, also like a membership: it gets a ~ before it."""
    return run_part.run_id if run_part.kind == "roster" else stored_key(run_part.run_id)


def stored_key(run_id: str) -> str:
    """Where a run is kept."""
    return f"~{run_id}" if run_id.lstrip("~").startswith(PREFIX) else run_id


class RunTable:
    """Gathers parts; a run's summaries come out where it ends, the same however often its parts are replayed.

    `published` answers whether all is applied that was published before a run's end; None: always at once.
    """

    def __init__(self, app: WorkerApp, partitions: int, profile: Profile, published: PublishedBefore | None) -> None:
        self._profile, self._published, self._clock = profile, published, app.broker_clock
        self._table = app.state_table(topics.RUNS_STATE, VALUE, partitions)
        self._open: dict[int, set[str]] = {}
        """Per partition the runs that have not ended, or have something for their next revision."""
        self._asked: dict[tuple[int, str], Ticket] = {}
        """Runs that wait for what was published before their end."""
        self._written: dict[tuple[int, str], int] = {}
        """The revision whose `run_closed` was written and is not read yet."""
        self._newest_ms: dict[int, int] = {}
        """Per partition the newest record time that was read."""
        self._read: dict[tuple[int, str], _Read] = {}
        """Of open runs."""
        self._expire_at_ms = 0

        @app.on_rebalance_complete.connect(weak=False)
        async def start_anew(app: Any, **_: Any) -> None:
            for known in (self._open, self._asked, self._written, self._newest_ms):
                known.clear()
            owned = self._table.owned_partitions
            self._read = {place: read for place, read in self._read.items() if place[0] in owned}
            if published is not None:
                published.forget()

    # -- parts -------------------------------------------------------------------------------------------------------

    def replayed_until(self, number: int) -> int:
        """Records before this offset may be in the state already."""
        return self._table.get_owned(number).replay_until.get(topics.RUN_PARTS, 0)

    def apply(
        self, number: int, run_part: RunPart, record_ms: int, *, offset: int = -1, is_append_time: bool = False
    ) -> list[Made]:
        """Put a part into its run, or a membership beside the earlier ones; returns what it leads to.

        Args:
            is_append_time: whether the broker stamped the record.
            offset: the record's, where it may be a replay of what the state has; -1: it is none.
        """
        partition = self._table.get_owned(number)
        key = key_of(run_part)
        if 0 <= offset < partition.applied_offset(key, topics.RUN_PARTS):
            return []
        self._newest_ms[number] = max(record_ms, self._newest_ms.get(number, 0))
        value = partition.get(key)
        if run_part.kind == "roster":
            memberships = value if isinstance(value, Memberships) else Memberships()
            missing = apply_membership(memberships, run_part, record_ms, self._profile)
            partition.put(key, memberships)
            return [*missing]
        run = value if isinstance(value, Run) else Run.new(run_part.run_id)
        made: list[Made] = []
        if run_part.kind != "run_closed":
            apply_part(run, run_part, record_ms)
            if run.is_complete and not run.closed:
                made = _close(run, record_ms, [])
        elif run_part.revision == run.revision + 1:  # else it was written twice
            made = _close(run, record_ms, run_part.not_waited_for)
        run.is_append_time = is_append_time
        partition.put(key, run)
        if not run.closed or run.late_since_ms:
            self._open_runs(number, partition).add(key)
            self._note_read((number, key), run, is_end=run_part.kind == "run_closed")
        return made

    def _note_read(self, place: tuple[int, str], run: Run, *, is_end: bool) -> None:
        now_ms = self._clock.steady_ms()
        read = self._read.get(place)
        if read is None:
            self._read[place] = _Read(now_ms, now_ms, now_ms, now_ms)
            return
        if is_end or not run.closed:
            read.late_since_ms = read.closed_ms = now_ms
        read.last_ms = read.late_last_ms = now_ms

    def _ages(self, place: tuple[int, str], run: Run) -> Ages:
        broker_ms = self._clock.now_ms()
        if run.is_append_time and broker_ms is not None:
            return run.ages(broker_ms)
        now_ms = self._clock.steady_ms()
        read = self._read.setdefault(place, _Read(now_ms, now_ms, now_ms, now_ms))
        return Ages(*(now_ms - at for at in (read.last_ms, read.late_since_ms, read.late_last_ms, read.closed_ms)))

    # -- ends --------------------------------------------------------------------------------------------------------

    def ends(self, number: int) -> list[RunPart]:
        """The `run_closed` to write now, each once: of runs for which nothing is waited for any more."""
        partition = self._table.find_owned(number)
        if partition is None:
            return []  # a partition of a producer's topic that has more of them than our tables
        if (now_ms := self._clock.steady_ms()) > self._expire_at_ms:
            self._expire_at_ms = now_ms + EXPIRE_EVERY_MS
            self._delete_expired(self._clock.now_ms())
        return [*self._ends(number, partition)]

    def _ends(self, number: int, partition: StatePartition[Value]) -> Iterator[RunPart]:
        still_open = self._open_runs(number, partition)
        for key in list(still_open):
            run, place = partition.get(key), (number, key)
            if not isinstance(run, Run) or (run.closed and not run.late_since_ms):
                still_open.discard(key)
                for known in (self._asked, self._written, self._read):
                    known.pop(place, None)
                continue
            if self._written.get(place) == run.revision + 1:
                continue  # it is on its way
            ages = self._ages(place, run)
            if run.closed:
                if run.is_revision_due_after(ages):
                    yield self._closing(place, run, ages, [])
            elif not run.has_ended(run.last_ms + ages.last_ms):
                self._asked.pop(place, None)
            elif (not_waited_for := self._not_waited_for(place)) is not None:
                yield self._closing(place, run, ages, not_waited_for)

    def _not_waited_for(self, place: tuple[int, str]) -> list[str] | None:
        """None while something that was published before the end is not applied."""
        if self._published is None:
            return []
        ticket = self._asked.get(place)
        if ticket is None:
            ticket = self._asked[place] = self._published.ask()
        return ticket.not_waited_for if ticket.done else None

    def _closing(self, place: tuple[int, str], run: Run, ages: Ages, not_waited_for: list[str]) -> RunPart:
        self._asked.pop(place, None)
        self._written[place] = revision = run.revision + 1
        return RunPart(
            run_id=run.run_id,
            kind="run_closed",
            at=from_epoch_ms(run.last_ms + ages.last_ms),
            revision=revision,
            not_waited_for=not_waited_for,
        )

    def _open_runs(self, number: int, partition: StatePartition[Value]) -> set[str]:
        if number not in self._open:
            known = ((key, partition.get(key)) for key in list(partition.keys()))
            self._open[number] = {
                key for key, value in known if isinstance(value, Run) and not (value.closed and not value.late_since_ms)
            }
        return self._open[number]

    def _delete_expired(self, broker_ms: int | None) -> None:
        for number, partition in self._table.owned_partitions.items():
            newest_ms = self._newest_ms.get(number, 0)
            now_ms = newest_ms if broker_ms is None else broker_ms
            read_ms = min(now_ms, newest_ms - LATE_STAMP_MS)
            for key in list(partition.keys()):
                value = partition.get(key)
                if isinstance(value, Memberships):
                    if value.forget_at_ms < now_ms:
                        partition.delete(key)
                elif value is None or not value.closed or value.late_since_ms:
                    continue
                elif value.delete_at_ms < now_ms:
                    partition.delete(key)
                elif value.forget_at_ms < read_ms and value.entities:
                    value.forget()
                    partition.put(key, value)


def _close(run: Run, record_ms: int, not_waited_for: list[str]) -> list[Made]:
    return [*close(run, record_ms, not_waited_for), *membership_parts(run, record_ms)]
