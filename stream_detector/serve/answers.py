"""What the API answers with, as types: the OpenAPI document is written from these."""

from datetime import date, datetime
from typing import Literal

from msgspec import Struct

from stream_detector.events import Anomaly, Completion, Notification
from stream_detector.events.anomaly import AnomalyType, Severity
from stream_detector.events.fields import Instant


class StoredAnomaly(Anomaly, frozen=True, kw_only=True):
    """Anomaly v1 and when it was stored."""

    recorded_at: Instant


class AnomalyPage(Struct, kw_only=True):
    """Newest first. `next` is the cursor of the next page."""

    items: list[StoredAnomaly]
    next: str | None


class Day(Struct):
    """How many opened on one UTC date."""

    date: date
    count: int


class TrendsAnswer(Struct, kw_only=True):
    """Openings counted: an incident that goes on for days counts once."""

    days: list[Day]
    by_severity: dict[Severity, int]
    by_type: dict[AnomalyType, int]


class InboxMessage(Notification, frozen=True, kw_only=True):
    """One in-app message."""

    read: bool


class InboxPage(Struct, kw_only=True):
    """Newest first. `unread` counts all that are not read, up to 1,000."""

    items: list[InboxMessage]
    next: str | None
    unread: int


class ScoreChange(Struct, kw_only=True):
    """One anomaly of a scoring run."""

    id: str
    entity_id: str
    entity_name: str
    previous: float
    current: float
    delta: float
    direction: Literal["up", "down"]
    threshold: float | None


class StoredRun(Struct, kw_only=True):
    """One scoring run; the numbers are null until its summary is there."""

    run_id: str
    status: Literal["started", "completed", "failed", "timed_out"]
    started_at: datetime | None
    ended_at: datetime | None
    duration_s: float | None
    expected: int | None
    scored: int | None
    failures: int | None
    anomaly_count: int | None
    error: str | None
    anomalies: list[ScoreChange]


class RunPage(Struct, kw_only=True):
    """Newest first."""

    items: list[StoredRun]
    next: str | None


class NamedValue(Struct, kw_only=True):
    """One named baseline."""

    value: float | None
    std_dev: float | None
    window_size: int


class StoredBaseline(Struct, kw_only=True):
    """One workflow or scored entity: its state, and the baselines that it is judged by."""

    key: str
    entity_id: str
    state: Literal["learning", "normal", "anomalous"]
    baselines: dict[str, NamedValue]
    recorded_at: datetime


class BaselinePage(Struct, kw_only=True):
    """By id."""

    items: list[StoredBaseline]
    next: str | None


class ExecutionList(Struct, kw_only=True):
    """Newest first."""

    items: list[Completion]
    next: None = None


class Health(Struct, kw_only=True):
    """Each part of the pipeline as the API sees it."""

    status: Literal["ok", "degraded"]
    version: str
    database: Literal["ok", "away"]
    database_reason: str | None
    recorded_at: datetime | None
    """When the recorder last stored something."""
    newest_event_at: datetime | None
    """The newest time of an execution or score that is stored."""
