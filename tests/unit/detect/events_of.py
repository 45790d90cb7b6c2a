"""Short ways to write the events of one workflow and one entity."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from librt.strings import BytesWriter
from msgspec import UNSET

from stream_detector.detect import Baseline, Config, Outcome, ScoreBaseline, WorkflowBaseline, step
from stream_detector.events import Anomaly, Completion, Score

START = datetime(2026, 1, 1, tzinfo=UTC)
CLASSIC = Config(profile="classic")
HUNDRED_TEN = [90.0] * 5 + [110.0] * 5 + [100.0]
"""Mean 100 s and sample deviation 10 s, both exactly."""


def run(number: int, duration_s: float | None = 100.0, status: str = "success", **more: Any) -> Completion:
    """The execution `number`, ten minutes after the one before unless `at` says otherwise."""
    at = more.pop("at", START + timedelta(minutes=10 * number))
    fields = {"execution_id": f"x{number}", "workflow_id": "nightly", "started_at": at} | more
    return Completion(status=status, finished_at=at, duration_s=duration_s, **fields)  # type: ignore[arg-type]


def runs(durations: Iterable[float | None], first: int = 0) -> list[Completion]:
    """Successful executions with these durations."""
    return [run(number, duration) for number, duration in enumerate(durations, first)]


def outcomes(letters: str, first: int = 0) -> list[Completion]:
    """S is a success, F a failure; no duration was recorded."""
    return [run(n, None, {"S": "success", "F": "failure"}[letter]) for n, letter in enumerate(letters, first)]


def score(value: str, day: float = 0, **more: Any) -> Score:
    """A score of Lido; `previous` is its `previous_score`."""
    previous = more.pop("previous", UNSET)
    at = START + timedelta(days=day)
    fields = {"entity_id": "lido", "entity_name": "Lido", "scored_at": at} | more
    return Score(score=Decimal(value), previous_score=previous, **fields)


def workflow() -> WorkflowBaseline:
    """An empty baseline."""
    baseline = Baseline.new("workflow:nightly")
    assert isinstance(baseline, WorkflowBaseline)
    return baseline


def entity() -> ScoreBaseline:
    """An empty baseline."""
    baseline = Baseline.new("score:lido")
    assert isinstance(baseline, ScoreBaseline)
    return baseline


def feed(baseline: Any, events: Iterable[Any], config: Config = CLASSIC, **how: Any) -> list[Outcome]:
    """Each event's outcome."""
    return [step(baseline, event, config, **how) for event in events]


def found(results: Iterable[Outcome]) -> list[Anomaly]:
    """All anomalies, in order."""
    return [anomaly for outcome in results for anomaly in outcome.anomalies]


def kinds(anomalies: Iterable[Anomaly]) -> list[tuple[str, str, str]]:
    """Type, severity and state of each."""
    return [(one.anomaly_type, one.severity, one.state) for one in anomalies]


def bytes_of(part: Any) -> bytes:
    """What a part of a baseline packs."""
    w = BytesWriter()
    part.pack(w)
    return w.getvalue()
