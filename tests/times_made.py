"""Baselines with learned times, made for tests by the steps of executions."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from stream_detector.detect import Baseline, Config, WorkflowBaseline, step
from stream_detector.detect.due import due
from stream_detector.events.times import epoch_ms
from stream_detector.roles.expected_runs import expected_run
from stream_detector.store.rows import BaselineState
from tests.events_made import completion


def at_two(days_ago: float, now: datetime | None = None) -> datetime:
    """02:00 UTC of the day that many days before the last 02:00 UTC; of now, three hours ago."""
    now = now or datetime.now(UTC) - timedelta(hours=3)
    last = now.replace(hour=2, minute=0, second=0, microsecond=0)
    return (last if last <= now else last - timedelta(days=1)) - timedelta(days=days_ago)


def ran(key: str, starts: Iterable[datetime], config: Config | None = None, **given: object) -> WorkflowBaseline:
    """The baseline of runs that took ten minutes, each known two seconds after its end."""
    baseline, config = Baseline.new(key), config or Config()
    assert isinstance(baseline, WorkflowBaseline)
    workflow_id = key.partition(":")[2]
    for number, began in enumerate(starts):
        ended = began + timedelta(minutes=10)
        event = completion(f"{workflow_id}-{number}", workflow_id, finished_at=ended, duration_s=600.0, **given)
        step(baseline, event, config, epoch_ms(ended) + 2000)
    return baseline


def missed_since(baseline: WorkflowBaseline, at: datetime, config: Config | None = None) -> WorkflowBaseline:
    """What was due until then is decided."""
    due(baseline, epoch_ms(at), config or Config())
    return baseline


def stored(baseline: Baseline) -> BaselineState:
    """As the recorder stores it."""
    return BaselineState(
        key=baseline.key,
        packed=baseline.pack(),
        state=baseline.status,
        named=baseline.shown_baselines(),
        expected=expected_run(baseline),
    )
