"""What the API answers with, as types: the OpenAPI document is written from these."""

from datetime import date, datetime
from typing import Literal

from msgspec import Struct

from stream_detector.events import Action, Anomaly, Completion, Notification
from stream_detector.events.anomaly import AnomalyTypeName, EntityKindName, SeverityName, StateName
from stream_detector.events.fields import Instant
from stream_detector.serve.ask import ReasonWord


class StoredAnomaly(Anomaly, frozen=True, kw_only=True):
    """Anomaly v1 and when it was stored."""

    recorded_at: Instant


class IncidentBrief(Struct, kw_only=True):
    """The status of an incident."""

    state: StateName
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    verdict: Literal["expected", "not_an_anomaly"] | None


class ListedAnomaly(StoredAnomaly, frozen=True, kw_only=True):
    """A stored anomaly and the status of its incident."""

    incident: IncidentBrief | None


class AnomalyPage(Struct, kw_only=True):
    """Newest first. `next` is the cursor of the next page."""

    items: list[ListedAnomaly]
    next: str | None


class StreamEvent(Struct, kw_only=True):
    """One server-sent event of the live stream."""

    id: str
    """Of the place after it; sent back as `Last-Event-ID` the stream goes on from there."""
    event: Literal["ready", "reset", "anomaly"]
    """ready: what follows is new; reset: the id sent was of another stream; anomaly: one was found."""
    data: str
    """JSON: an anomaly v1, or of ready how many listen."""


class AnomalyFacets(Struct, kw_only=True):
    """For each filter, the number of anomalies per value that match all other filters; empty values are omitted."""

    severity: dict[SeverityName, int]
    type: dict[AnomalyTypeName, int]
    state: dict[StateName, int]
    incident: dict[Literal["unacknowledged", "acknowledged", "resolved"], int]
    """unacknowledged: open=true&acknowledged=false; acknowledged: open=true&acknowledged=true; resolved: open=false."""
    total: int
    """How many match every filter."""
    whole: bool
    """False where over 10,000 match: `incident`, and all where it is filtered by, then counts the newest 10,000."""


class Day(Struct):
    """Anomalies opened on one UTC date."""

    date: date
    count: int


class TrendsAnswer(Struct, kw_only=True):
    """Counts of opened anomalies: an incident that lasts for days counts once."""

    days: list[Day]
    by_severity: dict[SeverityName, int]
    by_type: dict[AnomalyTypeName, int]


class InboxMessage(Notification, frozen=True, kw_only=True):
    """One in-app message."""

    read: bool


class InboxPage(Struct, kw_only=True):
    """Newest first. `unread` is the number of unread messages, up to 1,000."""

    items: list[InboxMessage]
    next: str | None
    unread: int


class Marked(Struct):
    """Number of messages newly marked as read."""

    marked: int


class ScoreChange(Struct, kw_only=True):
    """One anomaly of a score run."""

    id: str
    entity_id: str
    entity_name: str
    previous: float
    current: float
    delta: float
    direction: Literal["up", "down"]
    threshold: float | None


class StoredRun(Struct, kw_only=True):
    """One score run; the numbers are null until its summary arrives."""

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
    """One workflow or scored entity: its state and baselines."""

    key: str
    entity_id: str
    entity_name: str
    """As its newest event says; the id where it says none."""
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
    database_reason: str | None = None
    broker: Literal["ok", "away", "unset"]
    detector: Literal["ok", "behind", "unknown"]
    """behind: events arrive and the detector says nothing, so what is shown is stale; unknown: nothing tells."""
    recorded_at: datetime | None = None
    """When the recorder last stored something."""
    newest_event_at: datetime | None = None
    """The newest time of an execution or score that is stored."""
    detected_at: datetime | None = None
    """When the detector last changed a baseline."""
    behind: dict[Literal["detector", "recorder", "notifier"], int] | None = None
    """Records on Kafka that each role has not worked off, some seconds ago; null while that is not known."""
    reasons: list[str] = []
    """What is not well, in plain words."""


class Incident(Struct, kw_only=True):
    """One incident with its status and operator actions. `severity` is the highest of its records."""

    id: str
    state: StateName
    severity: SeverityName
    anomaly_type: AnomalyTypeName
    detector: str
    profile: str
    entity_kind: EntityKindName
    entity_id: str
    entity_name: str
    run_id: str | None
    description: str
    records: int
    opened_at: datetime
    newest_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    duration_s: float | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    verdict: Literal["expected", "not_an_anomaly"] | None
    verdict_at: datetime | None
    verdict_by: str | None


class IncidentPage(Struct, kw_only=True):
    """Most recently opened first."""

    items: list[Incident]
    next: str | None


class WholeIncident(Incident, kw_only=True):
    """One incident with its records (newest first, at most 200), actions and notifications (oldest first)."""

    anomalies: list[StoredAnomaly]
    actions: list[Action]
    notifications: list[Notification]


class ActionsDone(Struct, kw_only=True):
    """The accepted actions. `stored` false: Kafka has them; the database stores them once it is available again."""

    actions: list[Action]
    stored: bool
    unknown: list[str]
    """Incidents that are not stored."""


class ActionPage(Struct, kw_only=True):
    """Newest first."""

    items: list[Action]
    next: str | None


class Silence(Struct, kw_only=True):
    """A silence. An empty `entity` matches any."""

    id: str
    entity: str
    incident_id: str | None
    matchers: dict[str, str]
    until: datetime
    by: str
    at: datetime
    comment: str | None
    active: bool


class SilencePage(Struct, kw_only=True):
    """Newest first."""

    items: list[Silence]
    next: str | None


class Cell(Struct, kw_only=True):
    """One time bucket of a lane with opened anomalies; `bucket` counts from 0 at `from`."""

    bucket: int
    severity: SeverityName
    count: int


class Lane(Struct, kw_only=True):
    """One lane of the swimlane."""

    entity: str
    entity_id: str
    entity_kind: EntityKindName
    entity_name: str
    worst: SeverityName
    count: int
    cells: list[Cell]


class Facets(Struct, kw_only=True):
    """Opened anomalies of the range by severity and type, and the current status of their incidents."""

    severity: dict[SeverityName, int]
    type: dict[AnomalyTypeName, int]
    state: dict[StateName, int]


class Overview(Struct, kw_only=True, rename={"from_at": "from", "to_at": "to"}):
    """The overview page."""

    from_at: datetime
    to_at: datetime
    bucket_s: int
    counts: dict[Literal["24h", "7d", "30d"], dict[SeverityName, int]]
    facets: Facets
    swimlane: list[Lane]
    """The worst first, then by count."""
    everything: list[Cell]
    """All entities as one lane, also those beyond `rows`."""
    entities: int
    """How many entities have a lane, also beyond `rows`."""
    unacknowledged: int
    """Open incidents that nobody has acknowledged, counted up to 10,000."""
    latest: list[StoredAnomaly]
    pipeline: Health


class RefusedEvent(Struct, kw_only=True):
    """One event that was not accepted. `index` counts from 0 in the order sent; with `broker_away`, send it again."""

    index: int
    reason: str
    message: str


class IntakeAnswer(Struct, kw_only=True):
    """The events that Kafka acknowledged. Status 207 if some were rejected."""

    accepted: int
    refused: list[RefusedEvent]
    topics: dict[str, int]


class Why(Struct, kw_only=True):
    """The decisions about one event. `decisions` are those of the detector, in order; `sentences` explain all of it."""

    subject: str
    outcome: Literal["applied", "duplicate", "late", "backfilled", "ignored"]
    decisions: list[str]
    anomalies: list[Anomaly]
    notifications: list[Notification]
    sentences: list[str]
    approximate: str | None


class DeadLetterNote(Struct, kw_only=True):
    """Position, origin and reason of a dead letter."""

    partition: int
    offset: int
    topic: str
    original_partition: int
    original_offset: int
    original_at: datetime | None
    stage: str
    reason: ReasonWord
    message: str
    value_bytes: int | None
    record_at: datetime


class DeadLetterPage(Struct, kw_only=True):
    """Newest first."""

    items: list[DeadLetterNote]
    next: str | None


class WholeDeadLetter(Struct, kw_only=True):
    """A dead letter with its payload as text: non-text bytes are escaped, long values truncated."""

    partition: int
    offset: int
    topic: str
    original_partition: int
    original_offset: int
    original_at: datetime | None
    stage: str
    reason: ReasonWord
    message: str
    value_bytes: int | None
    key: str | None
    value: str | None
    headers: dict[str, str | None]


class Place(Struct, kw_only=True):
    """The new position of a record."""

    topic: str
    partition: int
    offset: int


class SettingInForce(Struct, kw_only=True):
    """One setting. A secret only shows whether it is set."""

    name: str
    value: str
    default: str
    unit: str
    doc: str
    group: str
    origin: Literal["default", "file", "environment", "flag"]
    secret: bool


class SettingsInForce(Struct):
    """Every setting of the api role, in the order of the settings page."""

    items: list[SettingInForce]


class Alerts(Struct, kw_only=True):
    """Alerts that would be notified by default: opened anomalies of `warning` and above."""

    alerts: int
    by_type: dict[AnomalyTypeName, int]
    by_severity: dict[SeverityName, int]


class Preview(Struct, kw_only=True):
    """Alerts of the last days with the current and with the given settings."""

    days: int
    now: Alerts
    then: Alerts
    events: int
    """How many stored events were folded."""
    whole: bool
    """False where there was more history than is folded at once: the oldest keys by name come first."""


class SchemaList(Struct):
    """The names of the schemas."""

    items: list[str]
