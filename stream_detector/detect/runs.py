"""Score runs: parts in, one summary out, whatever is replayed.

A run ends by its `completed` or `failed` event and the expected count of entities, or 15 minutes after its last part.
Scores without a run_id are gathered by entity type in windows of 60 s; such a window ends 60 s after its last part.
"Last" goes by record time, so that the answer does not depend on when it is asked.
"""

from decimal import Decimal

import msgspec
from msgspec import Struct

from stream_detector.detect.outcome import Outcome
from stream_detector.events import RunPart, RunSummary, Score, SummaryAnomaly
from stream_detector.events.anomaly_types import TYPES
from stream_detector.events.ids import derived_id
from stream_detector.events.times import epoch_ms, from_epoch_ms

SILENCE_MS = 15 * 60_000
WINDOW_MS = 60_000
REMEMBERED_MS = 24 * 3_600_000
"""A run that has ended is kept so long after its last part, so that a replayed part cannot begin it again."""
PART_ANOMALIES = 5_000
MOST_MEMBERS = 5_000
"""A run with more entities passes no membership on, and no more names are kept than these."""
_WINDOW = "window~"


class Entity(Struct, gc=False, array_like=True, omit_defaults=True):
    """The outcome of one entity within the run: its newest part counts.

    `entity_type` is empty where the score has none, and None where it was not kept.
    """

    scored: bool
    anomaly: SummaryAnomaly | None = None
    name: str = ""
    entity_type: str | None = None


class Run(Struct, gc=False, array_like=True):
    """What is known of one run. Times are epoch ms, `last_ms` by record time, the others by event time; 0: unknown."""

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

    @classmethod
    def new(cls, run_id: str) -> "Run":
        """A run that nothing is known of yet."""
        return cls(run_id)

    @classmethod
    def unpack(cls, packed: bytes) -> "Run":
        """The run that `pack` gave. Raises `msgspec.DecodeError`."""
        return _DECODER.decode(packed)

    def pack(self) -> bytes:
        """MessagePack, about 30 bytes an entity with its name and type beside, and 120 more for one with an anomaly."""
        return msgspec.msgpack.encode(self)

    @property
    def window(self) -> bool:
        """Whether it gathers scores that named no run."""
        return self.run_id.startswith(_WINDOW)

    def has_ended(self, now_ms: int) -> bool:
        """Whether nothing more is waited for at `now_ms`."""
        if self.closed:
            return True
        if self.status and (self.expected is None or len(self.entities) >= self.expected):
            return True
        return bool(self.last_ms) and now_ms - self.last_ms >= (WINDOW_MS if self.window else SILENCE_MS)

    def close(self) -> None:
        """From now on later parts change nothing. Call it once the summaries are acknowledged, and keep the run."""
        self.closed = True

    @property
    def forget_at_ms(self) -> int:
        """From then on the run may be dropped, if it has ended."""
        return self.last_ms + REMEMBERED_MS


_DECODER = msgspec.msgpack.Decoder(Run)


def apply_part(run: Run, part: RunPart, record_ms: int) -> None:
    """Put one part into its run; the same part again changes nothing, one that comes after the end neither.

    Args:
        record_ms: the record's timestamp, in epoch ms.
    """
    if run.has_ended(record_ms):
        return
    run.last_ms = max(run.last_ms, record_ms)
    at_ms = epoch_ms(part.at)
    if part.kind in ("scored", "failed"):
        entity = Entity(part.kind == "scored", _summed_up(part))
        if not run.window and (len(run.entities) < MOST_MEMBERS or part.entity_id in run.entities):
            entity.name, entity.entity_type = part.entity_name, part.entity_type or ""
        run.entities[part.entity_id] = entity
        run.newest_scored_ms = max(run.newest_scored_ms, at_ms)
        return
    if part.expected is not None:
        run.expected = part.expected
    if part.kind == "run_started":
        run.started_ms = at_ms
        return
    run.status = "completed" if part.kind == "run_completed" else "failed"
    run.ended_ms, run.error = at_ms, part.error
    if part.kind == "run_failed" and part.expected is None:
        # What a run was to score when it started will not come any more.
        run.expected = None


def summaries(run: Run, now_ms: int) -> list[RunSummary]:
    """The summary of a run that has ended, in parts of 5,000 anomalies; nothing before. The same whenever asked."""
    if not run.has_ended(now_ms):
        return []
    status = run.status or ("completed" if run.window else "timed_out")
    ended_ms = run.ended_ms or run.newest_scored_ms or run.last_ms
    found = [entity.anomaly for entity in run.entities.values() if entity.anomaly is not None]
    found.sort(key=lambda one: (-abs(one.delta), one.entity_id))
    pages = [found[at : at + PART_ANOMALIES] for at in range(0, len(found), PART_ANOMALIES)] or [[]]
    scored = sum(entity.scored for entity in run.entities.values())
    return [
        RunSummary(
            schema_version=1,
            id=derived_id("run_summary", run.run_id, str(number)),
            run_id=run.run_id,
            status=status,  # type: ignore[arg-type]
            started_at=from_epoch_ms(run.started_ms) if run.started_ms else None,
            ended_at=from_epoch_ms(ended_ms),
            duration_s=max(0, ended_ms - run.started_ms) / 1000 if run.started_ms else None,
            scored=scored,
            failures=len(run.entities) - scored,
            expected=run.expected,
            anomaly_count=len(found),
            anomalies=page,
            part=number,
            parts=len(pages),
            error=run.error,
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
    metrics = anomaly.metrics
    # repr of a float is the shortest text that gives the same float back: the published digits.
    return SummaryAnomaly(
        id=anomaly.id,
        entity_id=part.entity_id,
        entity_name=part.entity_name,
        previous=_decimal(metrics.baseline_value),
        current=_decimal(metrics.current_value),
        delta=_decimal(metrics.deviation),
        direction="up" if metrics.direction == "up" else "down",
        threshold=_decimal(metrics.threshold or 0.0),
    )


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))
