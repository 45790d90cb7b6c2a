"""What comes in and goes out: typed, validated values.

Receives bytes from Kafka, files and HTTP; returns frozen values, or raises `RefusedError` with a bounded reason.
Never does I/O (but `files`, which reads the history it is given) and never reads a clock: "now" comes with the record.
"""

from stream_detector.events.action import Action, ActionKind
from stream_detector.events.anomaly import (
    Affected,
    Anomaly,
    AnomalyTypeName,
    EntityKind,
    EntityKindName,
    Metrics,
    ProfileName,
    SeverityName,
    State,
    StateName,
)
from stream_detector.events.anomaly_types import AnomalyType, Profile, Severity
from stream_detector.events.completion import Completion, Resource, Status, Step
from stream_detector.events.movement import Move, Movement
from stream_detector.events.notification import Notification, Outcome
from stream_detector.events.refused import RefusedError
from stream_detector.events.run_part import EntityMembership, RunPart
from stream_detector.events.run_summary import RunSummary, SummaryAnomaly
from stream_detector.events.score import Score
from stream_detector.events.score_run import RunStatus, ScoreRun
from stream_detector.events.start import Start

__all__ = [
    "Action",
    "ActionKind",
    "Affected",
    "Anomaly",
    "AnomalyType",
    "AnomalyTypeName",
    "Completion",
    "EntityKind",
    "EntityKindName",
    "EntityMembership",
    "Metrics",
    "Move",
    "Movement",
    "Notification",
    "Outcome",
    "Profile",
    "ProfileName",
    "RefusedError",
    "Resource",
    "RunPart",
    "RunStatus",
    "RunSummary",
    "Score",
    "ScoreRun",
    "Severity",
    "SeverityName",
    "Start",
    "State",
    "StateName",
    "Status",
    "Step",
    "SummaryAnomaly",
]
