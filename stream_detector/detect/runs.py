"""Score runs: parts in, one summary out and a revision for what comes later, whatever is replayed.

A run ends where a part of kind `run_closed` is read, or where its end is known and the expected count of entities is
there. Who owns the run writes `run_closed`: once all is applied that was published before its `completed` or `failed`
event without an expected count, or 15 minutes after its last part. Scores without a run_id are gathered by entity type
in windows of 60 s; such a window ends 60 s after its last part.

Everything here follows from the parts and their record times in the order of the log, so that a replay gives the same
summaries, ids and bytes. When `run_closed` is written, where no record comes any more, decides the broker's clock or
how long nothing came, never the time of a worker (`roles.run_table`).
"""

from collections import Counter
from decimal import Context, Decimal
from typing import NamedTuple

import msgspec
from msgspec import Struct

from stream_detector.detect.outcome import Outcome
from stream_detector.events import Movement, RunPart, RunSummary, Score, SummaryAnomaly
from stream_detector.events.anomaly_types import TYPES
from stream_detector.events.ids import derived_id
from stream_detector.events.movement import MOVES
from stream_detector.events.run_summary import RUN_SILENCE_S
from stream_detector.events.times import epoch_ms, from_epoch_ms

SILENCE_MS = RUN_SILENCE_S * 1000
WINDOW_MS = 60_000
REMEMBERED_MS = 24 * 3_600_000
"""A run that has ended is kept whole so long after its last part: what comes meanwhile goes into its revisions."""
COUNTED_MS, WINDOW_COUNTED_MS = 30 * 24 * 3_600_000, 8 * 24 * 3_600_000
"""Its numbers alone, and how many revisions it had, are kept so long after its last part: as long as the summaries lie
on their topic, of windows as long as scores do. So no id gets a second content."""
QUIET_MS, LONGEST_GATHERING_MS, FIRST_PAUSE_MS = 5_000, 60_000, 10_000
"""A revision is made after so long without a late part, a minute after the first of them at the latest; from the second
follow-up on 10, 20, 40 ... s after the last revision at the earliest."""
PART_ANOMALIES = 5_000
MOST_MEMBERS = 5_000
"""A run with more entities passes no membership on, and no more names are kept than these."""
_WINDOW = "window~"
_EXACT = Context(prec=80)
_UNCHANGED, _FELL, _ROSE = (MOVES.index(move) for move in ("unchanged", "fell", "rose"))
_LONGEST_PAUSE = 13
"""Doublings of the pause: 10 s times 2 to the 13th is nearly a day."""


class Entity(Struct, gc=False, array_like=True, omit_defaults=True):
    """The outcome of one entity within the run: its newest part counts, with every change that was published.

    `entity_type` is empty where the score has none, and None where it was not kept. `listed` are the ids of its
    anomalies that a revision had.
    """

    scored: bool
    anomaly: SummaryAnomaly | None = None
    """The last of its changes."""
    name: str = ""
    entity_type: str | None = None
    listed: tuple[str, ...] = ()
    earlier: tuple[SummaryAnomaly, ...] = ()
    """Its changes before `anomaly`, in the order of the log."""
    moved: int | None = None
    """Its place in `MOVES`; None where an older version kept it, or it failed."""

    @property
    def changes(self) -> tuple[SummaryAnomaly, ...]:
        """All of them, in the order of the log."""
        return self.earlier if self.anomaly is None else (*self.earlier, self.anomaly)

    @property
    def new(self) -> list[str]:
        """The ids of its anomalies that no revision had."""
        return [one.id for one in self.changes if one.id not in self.listed]


class Counts(Struct, gc=False, array_like=True):
    """The numbers of a run whose entities are forgotten."""

    scored: int = 0
    failures: int = 0
    anomalies: int = 0
    moved: tuple[int, int, int] | None = None
    """How many fell, rose and did neither; None where that is not known."""


class Ages(NamedTuple):
    """How long ago, in ms, were the last part of a run, the first and the last that came after its end, and its end."""

    last_ms: int
    late_since_ms: int
    late_last_ms: int
    closed_ms: int


class Run(Struct, gc=False, array_like=True):
    """What is known of one run.

    Times are epoch ms: `last_ms`, `late_since_ms`, `late_last_ms` and `closed_ms` by record time, the others by event
    time; 0: unknown, or none.
    """

    run_id: str
    entities: dict[str, Entity] = {}
    status: str = ""
    expected: int | None = None
    started_ms: int = 0
    ended_ms: int = 0
    newest_scored_ms: int = 0
    last_ms: int = 0
    closed: bool = False
    error: str | None = None
    revision: int = 0
    """The last one that was made; 0: the run has not ended."""
    follow_ups: int = 0
    """Revisions after the first that had a new anomaly."""
    closed_ms: int = 0
    late_since_ms: int = 0
    """The first part that is in no revision yet and changes something."""
    late_last_ms: int = 0
    forgotten: Counts | None = None
    """What it had until its entities were forgotten; None: they are all here."""
    changes_age_ms: int | None = None
    """How long after their own times its score changes were published, at least; None: not known."""
    end_age_ms: int = 0
    """The same of the event that ended it."""
    is_append_time: bool = False
    """Whether the broker stamped the last record of it: else it was whoever wrote it, by a clock of its own."""

    @classmethod
    def new(cls, run_id: str) -> "Run":
        """A run that nothing is known of yet."""
        return cls(run_id)

    @classmethod
    def unpack(cls, packed: bytes) -> "Run":
        """The run that `pack` gave, also an earlier version's. Raises `msgspec.DecodeError`."""
        run = _DECODER.decode(packed)
        if run.closed and not run.revision:  # versions without revisions: the summary had what there is
            run.revision = 1
            run._note_listed()
        return run

    def pack(self) -> bytes:
        """MessagePack, about 30 bytes an entity with its name and type, and 160 more for one with an anomaly."""
        return msgspec.msgpack.encode(self)

    @property
    def window(self) -> bool:
        """Whether it gathers scores that named no run."""
        return self.run_id.startswith(_WINDOW)

    @property
    def is_complete(self) -> bool:
        """Whether it ends with what is here: its end has come, and as many entities as it announced."""
        return bool(self.status) and self.expected is not None and len(self.entities) >= self.expected

    def is_silent(self, now_ms: int) -> bool:
        """Whether its last part was so long ago that no other is waited for."""
        return bool(self.last_ms) and now_ms - self.last_ms >= (WINDOW_MS if self.window else SILENCE_MS)

    def has_ended(self, now_ms: int) -> bool:
        """Whether nothing more is waited for at `now_ms` but what was published before."""
        return self.closed or self.is_complete or bool(self.status and self.expected is None) or self.is_silent(now_ms)

    def is_revision_due(self, now_ms: int) -> bool:
        """Whether what came after the end is to be put into a revision by now."""
        return self.is_revision_due_after(self.ages(now_ms))

    def is_revision_due_after(self, ages: "Ages") -> bool:
        """The same by how long ago each was."""
        if not self.closed or not self.late_since_ms:
            return False
        if ages.late_last_ms < QUIET_MS and ages.late_since_ms < LONGEST_GATHERING_MS:
            return False
        earlier = self.follow_ups if any(entity.new for entity in self.entities.values()) else self.revision - 1
        return earlier == 0 or ages.closed_ms >= FIRST_PAUSE_MS * 2 ** min(earlier - 1, _LONGEST_PAUSE)

    def ages(self, now_ms: int) -> "Ages":
        """How long ago each was, by a clock that stamped the records."""
        return Ages(
            now_ms - self.last_ms, now_ms - self.late_since_ms, now_ms - self.late_last_ms, now_ms - self.closed_ms
        )

    @property
    def forget_at_ms(self) -> int:
        """From then on its entities may be forgotten, if it has ended."""
        return self.last_ms + REMEMBERED_MS

    @property
    def delete_at_ms(self) -> int:
        """From then on nothing of it needs to be kept, if it has ended."""
        return self.last_ms + (WINDOW_COUNTED_MS if self.window else COUNTED_MS)

    def forget(self) -> None:
        """Keep the numbers of a run that has ended, and no entity."""
        before, moved = self.forgotten or Counts(), self.moved()
        scored = sum(entity.scored for entity in self.entities.values())
        found = sum(len(entity.changes) for entity in self.entities.values())
        self.forgotten = Counts(
            before.scored + scored, before.failures + len(self.entities) - scored, before.anomalies + found, moved
        )
        self.entities = {}

    def moved(self) -> tuple[int, int, int] | None:
        """How many of its entities fell, rose, and did neither; None where that is not known of all of them."""
        before = self.forgotten.moved if self.forgotten is not None else (0, 0, 0)
        counted = Counter(entity.moved for entity in self.entities.values() if entity.scored)
        if before is None or None in counted:
            return None
        fell, rose, unchanged = before
        return fell + counted[_FELL], rose + counted[_ROSE], unchanged + counted[_UNCHANGED]

    def _note_listed(self) -> None:
        for entity in self.entities.values():
            entity.listed = (*entity.listed, *entity.new)


_DECODER = msgspec.msgpack.Decoder(Run)


def apply_part(run: Run, part: RunPart, record_ms: int) -> None:
    """Put one part into its run; the same part again changes nothing. After the run's end it waits for a revision.

    Args:
        record_ms: the record's timestamp, in epoch ms.
    """
    if run.closed and not run.late_since_ms and record_ms > run.forget_at_ms:
        run.forget()  # here, by record times, and not when somebody looks: a replay gives the same
    run.last_ms = max(run.last_ms, record_ms)
    _note_age(run, part)
    changed = _apply_entity(run, part) if part.kind in ("scored", "failed") else _apply_event(run, part)
    if changed and run.closed:
        run.late_since_ms = run.late_since_ms or record_ms
        run.late_last_ms = max(run.late_last_ms, record_ms)


def _apply_entity(run: Run, part: RunPart) -> bool:
    known = run.entities.get(part.entity_id)
    # A later score takes nothing back that was published: of two changes within a minute both are in the summary.
    changes = known.changes if known is not None else ()
    change = _summed_up(part)
    if change is not None and all(one.id != change.id for one in changes):
        changes = (*changes, change)
    entity = Entity(part.kind == "scored", changes[-1] if changes else None, earlier=changes[:-1])
    if part.moved is not None:
        entity.moved = MOVES.index(part.moved)
    if known is not None:
        entity.listed = known.listed
    if not run.window and (len(run.entities) < MOST_MEMBERS or known is not None):
        entity.name, entity.entity_type = part.entity_name, part.entity_type or ""
    run.entities[part.entity_id] = entity
    run.newest_scored_ms = max(run.newest_scored_ms, epoch_ms(part.at))
    return known != entity


def _apply_event(run: Run, part: RunPart) -> bool:
    before = (run.status, run.expected, run.started_ms, run.ended_ms, run.error)
    if part.expected is not None:
        run.expected = part.expected
    if part.kind == "run_started":
        run.started_ms = epoch_ms(part.at)
    else:
        run.status = "completed" if part.kind == "run_completed" else "failed"
        run.ended_ms, run.error = epoch_ms(part.at), part.error
        if part.kind == "run_failed" and part.expected is None:
            # What a run was to score when it started will not come any more.
            run.expected = None
    return before != (run.status, run.expected, run.started_ms, run.ended_ms, run.error)


def _note_age(run: Run, part: RunPart) -> None:
    """Note how long after its own time the part's event was published, where it says so."""
    anomaly = part.anomaly
    if anomaly is not None and anomaly.published_at is not None:
        age_ms = epoch_ms(anomaly.published_at) - epoch_ms(anomaly.detected_at)
        run.changes_age_ms = age_ms if run.changes_age_ms is None else min(age_ms, run.changes_age_ms)
    if part.kind in ("run_completed", "run_failed") and part.published_at is not None:
        run.end_age_ms = epoch_ms(part.published_at) - epoch_ms(part.at)


def close(run: Run, record_ms: int, not_waited_for: tuple[str, ...] | list[str] = ()) -> list[RunSummary]:
    """End the run with what is here, or its next revision; gives the summary, in parts of 5,000 anomalies.

    Args:
        record_ms: the time of the record at which it ends, in epoch ms.
        not_waited_for: what was published before the end and is not here, in words.
    """
    run.closed, run.closed_ms, run.late_since_ms, run.late_last_ms = True, record_ms, 0, 0
    run.revision += 1
    new = {anomaly_id for entity in run.entities.values() for anomaly_id in entity.new}
    if run.revision == 1 or not new:
        new, follow_up = set(), 0
    else:
        follow_up = run.follow_ups = run.follow_ups + 1
    run._note_listed()
    return _summaries(run, new, follow_up, list(not_waited_for))


def _summaries(run: Run, new: set[str], follow_up: int, not_waited_for: list[str]) -> list[RunSummary]:
    status = run.status or ("completed" if run.window else "timed_out")
    ended_ms = run.ended_ms or run.newest_scored_ms or run.last_ms
    found = [change for entity in run.entities.values() for change in entity.changes]
    found.sort(key=lambda one: (-abs(one.delta), one.entity_id))
    pages = [found[at : at + PART_ANOMALIES] for at in range(0, len(found), PART_ANOMALIES)] or [[]]
    scored = sum(entity.scored for entity in run.entities.values())
    before = run.forgotten or Counts()
    revision = () if run.revision == 1 else (str(run.revision),)
    moved = run.moved()
    return [
        RunSummary(
            schema_version=1,
            id=derived_id("run_summary", run.run_id, str(number), *revision),
            run_id=run.run_id,
            status=status,  # type: ignore[arg-type]
            started_at=from_epoch_ms(run.started_ms) if run.started_ms else None,
            ended_at=from_epoch_ms(ended_ms),
            duration_s=max(0, ended_ms - run.started_ms) / 1000 if run.started_ms else None,
            scored=before.scored + scored,
            failures=before.failures + len(run.entities) - scored,
            expected=run.expected,
            anomaly_count=before.anomalies + len(found),
            anomalies=page,
            part=number,
            parts=len(pages),
            error=run.error,
            revision=run.revision,
            new=[one.id for one in page if one.id in new],
            follow_up=follow_up,
            not_waited_for=not_waited_for,
            published_after_s=None if run.changes_age_ms is None else run.changes_age_ms / 1000,
            movement=Movement(fell=moved[0], rose=moved[1], unchanged=moved[2]) if moved and any(moved) else None,
        )
        for number, page in enumerate(pages, 1)
    ]


def run_part_of(score: Score, outcome: Outcome | None, failed: bool) -> RunPart | None:
    """What one score means for its run; `failed` where it could not be judged (then `outcome` is None).

    Nothing for a duplicate: the part of the first copy stands, and a part without its anomaly would erase that one.
    """
    if outcome is not None and outcome.kind == "duplicate":
        return None
    changes = [a for a in (outcome.anomalies if outcome else ()) if TYPES[a.anomaly_type].in_run_summary]
    return RunPart(
        run_id=score.run_id if score.run_id is not None else window_run_id(score),
        kind="failed" if failed else "scored",
        at=score.scored_at,
        entity_id=score.entity_id,
        entity_name=score.entity_name,
        entity_type=score.entity_type,
        anomaly=changes[0] if changes else None,
        moved=outcome.moved if outcome is not None else None,
    )


def window_run_id(score: Score) -> str:
    """The window of 60 s that a score without run_id belongs to, by entity type and the score's own time.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 1, 22, 0, 5, 59, tzinfo=UTC)
    >>> window_run_id(Score(entity_id="lido", entity_name="Lido", score=Decimal(5), scored_at=at, entity_type="dao"))
    'window~dao~2026-01-22T00:05Z'
    """
    minute = from_epoch_ms(epoch_ms(score.scored_at) // WINDOW_MS * WINDOW_MS).strftime("%Y-%m-%dT%H:%MZ")
    kind = score.entity_type or ""
    return f"{_WINDOW}{kind if len(kind) <= 200 else derived_id(kind)}~{minute}"


def _summed_up(part: RunPart) -> SummaryAnomaly | None:
    anomaly = part.anomaly
    if anomaly is None:
        return None
    metrics, scores = anomaly.metrics, anomaly.scores
    # repr of a float is the shortest text that gives the same float back: the published digits.
    return SummaryAnomaly(
        id=anomaly.id,
        entity_id=part.entity_id,
        entity_name=part.entity_name,
        previous=scores.previous if scores else _decimal(metrics.baseline_value),
        current=scores.current if scores else _decimal(metrics.current_value),
        delta=_EXACT.subtract(scores.current, scores.previous) if scores else _decimal(metrics.deviation),
        direction="up" if metrics.direction == "up" else "down",
        threshold=_decimal(metrics.threshold or 0.0),
    )


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))
