"""What can happen, one type each: it owns its log line and, where there is one, its metric.

A log event is told by `emit()`; nothing else in the package logs. Text from events appears only where named and is
cut and escaped, so that a log line stays one line.
"""

import logging
import re
from dataclasses import asdict, dataclass
from typing import ClassVar

from stream_detector.telemetry import metrics

_log = logging.getLogger("stream_detector")


@dataclass(frozen=True)
class LogEvent:
    """One thing that happened. Subclasses give `line`, a format over their own fields, and may count."""

    level: ClassVar[int] = logging.INFO
    line: ClassVar[str] = ""

    def emit(self) -> None:
        """Count it and log it."""
        self.count()
        if _log.isEnabledFor(self.level):
            fields = {name: _plain(value) for name, value in asdict(self).items()}
            extra = {"happening": type(self).__name__, "fields": fields}
            _log.log(self.level, "%s", self.line.format(**fields), extra=extra)

    def count(self) -> None:
        """Move the metric that belongs to it; most have none."""


_TEXT_LIMIT = 500
_PASSWORD = re.compile(r"(?<=://)\S*@")  # up to the last @: a password may hold @ and /


def _plain(value: object) -> object:
    """Text on one line, cut, and without the user and password of an address."""
    if not isinstance(value, str):
        return value
    shown = _PASSWORD.sub("(hidden)@", value)
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown[:_TEXT_LIMIT])


@dataclass(frozen=True)
class RoleStarting(LogEvent):
    line = "{role} {version} starts, broker {broker}"
    role: str
    version: str
    broker: str


@dataclass(frozen=True)
class RoleReady(LogEvent):
    line = "{role} is ready: partitions {partitions}, {keys} keys recovered in {seconds:.1f} s"
    role: str
    partitions: str
    keys: int
    seconds: float


@dataclass(frozen=True)
class RoleStopped(LogEvent):
    line = "{role} has stopped"
    role: str


@dataclass(frozen=True)
class RoleFailed(LogEvent):
    """The process ends: going on would break the promise of delivery. The supervisor restarts it."""

    level = logging.ERROR
    line = "{role} stops itself: {why}. Nothing is lost: it goes on from its last checkpoint when started again"
    role: str
    why: str


@dataclass(frozen=True)
class EventRefused(LogEvent):
    level = logging.WARNING
    line = "refused {topic}-{partition}@{offset}: {reason}: {message} (kept on dead-letters)"
    topic: str
    partition: int
    offset: int
    reason: str
    message: str

    def count(self) -> None:
        metrics.DEAD_LETTERS.labels(self.reason).inc()


@dataclass(frozen=True)
class ServiceAway(LogEvent):
    """A broker, database or provider does not answer; it is tried again."""

    level = logging.WARNING
    line = (
        "{service} at {address} does not answer ({error}); next try in {retry_in_s:.1f} s. "
        "`stream-detector doctor` says what to do"
    )
    service: str
    address: str
    error: str
    retry_in_s: float


@dataclass(frozen=True)
class ServiceBack(LogEvent):
    line = "{service} at {address} answers again after {away_s:.1f} s"
    service: str
    address: str
    away_s: float


@dataclass(frozen=True)
class CheckpointRefused(LogEvent):
    """The partitions are no longer ours: nothing was written or committed."""

    level = logging.WARNING
    line = "checkpoint not written: {why}"
    why: str


@dataclass(frozen=True)
class GroupTroubled(LogEvent):
    """Something unexpected between this worker and its group's coordinator."""

    level = logging.WARNING
    line = "group {group}: {why}; joining again"
    group: str
    why: str


@dataclass(frozen=True)
class ForeignWrite(LogEvent):
    level = logging.WARNING
    line = "another worker wrote {topic}-{partition} at {offset}, expected {expected}: what it wrote is written again"
    topic: str
    partition: int
    offset: int
    expected: int


@dataclass(frozen=True)
class ChunkRewound(LogEvent):
    level = logging.DEBUG
    line = "{topic}-{partition}: fetched {got}, expected {expected}: fetched again"
    topic: str
    partition: int
    got: int
    expected: int


@dataclass(frozen=True)
class MessageDone(LogEvent):
    """The outcome of one message on one channel."""

    line = "message {message_id} on {channel}: {outcome} ({reason})"
    message_id: str
    channel: str
    outcome: str
    reason: str

    def count(self) -> None:
        metrics.NOTIFICATIONS.labels(self.channel, self.outcome).inc()


@dataclass(frozen=True)
class RoutesRead(LogEvent):
    line = "{file}: {routes} routes are in force"
    file: str
    routes: int


@dataclass(frozen=True)
class RoutesRefused(LogEvent):
    """The routes file was changed and cannot be used: those before stay in force."""

    level = logging.ERROR
    line = "the routes stay as they were: {why}. `stream-detector notify validate` checks the file"
    why: str


@dataclass(frozen=True)
class StepFailed(LogEvent):
    """A defect of ours: the event is kept on dead letters, the stream goes on."""

    level = logging.ERROR
    line = "step failed on {topic}-{partition}@{offset}: {error}"
    topic: str
    partition: int
    offset: int
    error: str


@dataclass(frozen=True)
class AnswerNotTaken(LogEvent):
    """A defect of ours: a provider's answer could not be settled. The message stays due and may come twice."""

    level = logging.ERROR
    line = "the answer for message {message_id} on {channel} could not be settled: {error}"
    message_id: str
    channel: str
    error: str


@dataclass(frozen=True)
class RequestFailed(LogEvent):
    """A defect of ours, or of what we ask: the caller got 500 without the reason."""

    level = logging.ERROR
    line = "{method} {path} failed: {error}"
    method: str
    path: str
    error: str


@dataclass(frozen=True)
class ApiListening(LogEvent):
    line = "the API and the dashboard answer at {address}"
    address: str
