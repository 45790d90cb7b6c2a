"""What the recorder hands over: typed events with their place in the stream."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Struct

from stream_detector.events import (
    Action,
    Anomaly,
    Completion,
    Notification,
    RefusedError,
    RunSummary,
    Score,
    ScoreRun,
    Start,
)
from stream_detector.events.detector_settings import DetectorSettings

E = TypeVar("E")


class Row(Struct, Generic[E], frozen=True, gc=False):
    """One event, and where it lay: `topic`, `partition`, `offset`, `record_ms` (the broker's time, epoch ms).

    `epoch` tells topics apart that were created again, whose offsets start at 0 (`store/epochs.py` gives it).
    """

    event: E
    topic: str
    partition: int
    offset: int
    record_ms: int
    backfill: bool = False
    epoch: int = 0
    value: bytes | None = None
    """The event's JSON as it came, one object; stored instead of the event encoded again."""
    duration_from_times: bool = True
    """The setting DURATION_FROM_TIMES: what the column has of an execution that says no duration."""
    variant_by: tuple[str, ...] = ()
    """The setting VARIANT_BY: what the column has of an execution that names no variant."""
    index: int = 0
    """Of a record with several events: which of them it is."""


class NamedValue(NamedTuple):
    """One named baseline of a key."""

    value: float | None
    std_dev: float | None
    window_size: int


class ExpectedRun(NamedTuple):
    """When the next run of a workflow is due, and what is missed of it."""

    expected_at: datetime
    """`NEVER` where none is due."""
    missed_since: datetime | None = None
    """When the first of those was due that are missed now; None where none is."""
    source: str | None = None


NEVER = datetime(9999, 12, 31, tzinfo=UTC)


class BaselineState(Struct, frozen=True, gc=False, kw_only=True):
    """The newest value of one state key. `packed` None means that the key was retired: its row goes."""

    key: str
    packed: bytes | None
    state: str = "learning"
    """learning, normal or anomalous"""
    named: Mapping[str, Any] = {}
    """name -> anything with `value`, `std_dev` and `window_size` (a `NamedValue`, or detection's own)"""
    owner_epoch: int = 0
    """The one that its head names."""
    expected: ExpectedRun | None = None
    """None: it has no times, learned or by a rule."""
    limit_s: float | None = None
    """The longest that one of its executions may run now."""


class StateRecord(Struct, frozen=True, gc=False, kw_only=True):
    """One record of a state topic, byte for byte; `owner_epoch` is the one that its head names."""

    key: bytes
    value: bytes
    owner_epoch: int


class DeadLetterNote(Struct, frozen=True, gc=False, kw_only=True):
    """What is stored of a dead letter: where it came from and why. Never its payload."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    stage: str
    reason: str
    message: str
    value_bytes: int | None = None
    index: int | None = None
    """Of a record with several events: which of them was refused; None: the record."""


@dataclass
class Rows:
    """One batch. Each list may be empty; order within a list is the stream's."""

    starts: list[Row[Start]] = field(default_factory=list)
    executions: list[Row[Completion]] = field(default_factory=list)
    scores: list[Row[Score]] = field(default_factory=list)
    score_runs: list[Row[ScoreRun]] = field(default_factory=list)
    summaries: list[Row[RunSummary]] = field(default_factory=list)
    anomalies: list[Row[Anomaly]] = field(default_factory=list)
    actions: list[Row[Action]] = field(default_factory=list)
    notifications: list[Row[Notification]] = field(default_factory=list)
    baselines: list[Row[BaselineState]] = field(default_factory=list)
    state_records: list[Row[StateRecord]] = field(default_factory=list)
    dead_letters: list[Row[DeadLetterNote]] = field(default_factory=list)
    settings: list[Row[DetectorSettings]] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self.lists())

    def lists(self) -> Iterator[tuple[str, list[Row[Any]]]]:
        """(name, rows) of every list, in the order in which they are written."""
        return ((each.name, getattr(self, each.name)) for each in fields(self))


@dataclass(frozen=True)
class BadRow:
    """A row that PostgreSQL refuses however often it is tried."""

    table: str
    row: Row[Any]
    error: RefusedError
