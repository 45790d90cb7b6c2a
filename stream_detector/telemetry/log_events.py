"""Log events, one type each: it owns its log line and, if there is one, its metric.

A log event is written by `emit()`; nothing else in the package logs. Text from events appears only where named and is
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
    """One log event. Subclasses define `line`, a format over their own fields, and may count."""

    level: ClassVar[int] = logging.INFO
    line: ClassVar[str] = ""
    former_name: ClassVar[str] = ""
    """What a release called it that wrote the key `happening`; that key keeps it for one release more."""

    def emit(self) -> None:
        """Count it and log it."""
        self.count()
        if _log.isEnabledFor(self.level):
            fields = {name: _plain(value) for name, value in asdict(self).items()}
            extra = {"event": type(self).__name__, "former_name": self.former_name, "fields": fields}
            _log.log(self.level, "%s", self.line.format(**fields), extra=extra)

    def count(self) -> None:
        """Increment the metric of the event; most have none."""


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
    line = "{role} {version} starting, broker {broker}"
    role: str
    version: str
    broker: str


@dataclass(frozen=True)
class RoleReady(LogEvent):
    line = "{role} is ready: partitions {partitions}, {keys} keys restored in {seconds:.1f} s"
    role: str
    partitions: str
    keys: int
    seconds: float


@dataclass(frozen=True)
class StateNotStored(LogEvent):
    level = logging.WARNING
    line = (
        "the recorder may not read {topics}: a new broker can be restored with the baselines alone. "
        "`stream-detector acls --role recorder` prints what to grant"
    )
    topics: str


@dataclass(frozen=True)
class RoleStopped(LogEvent):
    line = "{role} stopped"
    role: str


@dataclass(frozen=True)
class RoleFailed(LogEvent):
    """The process exits, because continuing would break the delivery guarantee. The supervisor restarts it."""

    level = logging.ERROR
    line = "{role} exits: {why}"
    role: str
    why: str


@dataclass(frozen=True)
class EventRefused(LogEvent):
    level = logging.WARNING
    line = "rejected {topic}-{partition}@{offset}: {reason}: {message} (stored on dead-letters)"
    topic: str
    partition: int
    offset: int
    reason: str
    message: str

    def count(self) -> None:
        metrics.DEAD_LETTERS.labels(self.reason).inc()


@dataclass(frozen=True)
class PayloadIgnored(LogEvent):
    line = "{topic}-{partition}@{offset} holds no event: {why}. More of these are counted, not logged"
    topic: str
    partition: int
    offset: int
    why: str


@dataclass(frozen=True)
class DeadLetterLost(LogEvent):
    """A rejected record could not be stored on dead-letters either; the stream continues."""

    level = logging.ERROR
    line = (
        "{topic}-{partition}@{offset} could not be stored on dead-letters: {error}; it stays on its topic until "
        "retention deletes it"
    )
    topic: str
    partition: int
    offset: int
    error: str


@dataclass(frozen=True)
class RecordSetAside(LogEvent):
    """A record has killed the process each time that it was processed alone; the stream continues behind it."""

    level = logging.ERROR
    line = (
        "{topic}-{partition}@{offset}: the {role} ended {ends} times in a row while it was processing this record "
        "alone; the record is stored on dead-letters, and the {role} continues"
    )
    role: str
    topic: str
    partition: int
    offset: int
    ends: int

    def count(self) -> None:
        metrics.SET_ASIDE.labels(self.topic).inc()


@dataclass(frozen=True)
class StateLeftOut(LogEvent):
    """A record of a state topic cannot be read: the last readable value of its key is used."""

    level = logging.ERROR
    line = (
        "{table}: the record with key {key} at offset {offset} cannot be read ({why}); "
        "using the previous value of this key"
    )
    table: str
    key: str
    offset: int
    why: str

    def count(self) -> None:
        metrics.STATE_LEFT_OUT.labels(self.table).inc()


@dataclass(frozen=True)
class RecordsLost(LogEvent):
    """Kafka deleted records by retention, or somebody did, before this role had read them."""

    level = logging.ERROR
    line = (
        "{topic}-{partition}: {records} records (offsets {first} to {last}) were deleted from Kafka before they were "
        "read. Publish them again if their source still has them, and set retention.ms of the topic above the longest "
        "outage"
    )
    topic: str
    partition: int
    records: int
    first: int
    last: int

    def count(self) -> None:
        metrics.RECORDS_LOST.labels(self.topic, str(self.partition)).inc(self.records)


@dataclass(frozen=True)
class ClockRefused(LogEvent):
    level = logging.WARNING
    line = "{topic}: {why}. A missing run is reported with the next run of its workflow, not before"
    topic: str
    why: str


@dataclass(frozen=True)
class WasAway(LogEvent):
    """Nobody took events in for a while: what was due meanwhile is not reported as missing."""

    level = logging.WARNING
    line = (
        "no events were taken in from {since} to {until}: {expected_runs} expected runs of that time are not reported "
        "as missing"
    )
    since: str
    until: str
    expected_runs: int


@dataclass(frozen=True)
class SourcesNotWatched(LogEvent):
    level = logging.WARNING
    line = (
        "the notifier may not read {topic}: missed runs are joined, and no source counts as silent. "
        "`stream-detector acls --role notifier` prints what to grant"
    )
    topic: str


@dataclass(frozen=True)
class LossesNotWatched(LogEvent):
    level = logging.WARNING
    line = (
        "the notifier may not describe the group or the topics of the {role}: no message is sent about records that "
        "Kafka deletes before the {role} has read them. `stream-detector acls --role notifier` prints what to grant"
    )
    role: str


@dataclass(frozen=True)
class OutcomesNotRead(LogEvent):
    level = logging.WARNING
    line = (
        "what is on notifications could not be read: {why}. What a notifier decided that died before its checkpoint is "
        "written there again, under the same id"
    )
    why: str


@dataclass(frozen=True)
class StoreBehind(LogEvent):
    """PostgreSQL lacks records that the recorder had stored: it was restored from an older dump."""

    level = logging.ERROR
    line = (
        "PostgreSQL lacks what was stored of {topic}-{partition} (offsets {first} to {last}): it was restored from an "
        "older dump. `stream-detector doctor` prints the command that stores it again"
    )
    topic: str
    partition: int
    first: int
    last: int

    def count(self) -> None:
        metrics.RECORDS_MISSING.labels(self.topic).inc(self.last + 1 - self.first)


@dataclass(frozen=True)
class RecordIgnored(LogEvent):
    level = logging.WARNING
    line = "ignored {topic}-{partition}@{offset}: {why}; it stays on the topic until retention deletes it"
    topic: str
    partition: int
    offset: int
    why: str


@dataclass(frozen=True)
class ServiceUnavailable(LogEvent):
    """A broker, database or provider does not answer; it is retried."""

    former_name = "ServiceAway"
    level = logging.WARNING
    line = (
        "{service} at {address} does not answer ({error}); retrying in {retry_in_s:.1f} s. "
        "Run `stream-detector doctor` for a diagnosis"
    )
    service: str
    address: str
    error: str
    retry_in_s: float


@dataclass(frozen=True)
class ServiceRecovered(LogEvent):
    former_name = "ServiceBack"
    line = "{service} at {address} answers again after {away_s:.1f} s"
    service: str
    address: str
    away_s: float


@dataclass(frozen=True)
class CheckpointRefused(LogEvent):
    """The partitions were reassigned: nothing was written or committed."""

    level = logging.WARNING
    line = "checkpoint skipped: {why}"
    why: str


@dataclass(frozen=True)
class UntestedLibrary(LogEvent):
    """A library whose internals this program uses is not the version that it was tested with."""

    level = logging.WARNING
    line = "{library} {version} is installed; stream_detector was tested with {tested}"
    library: str
    version: str
    tested: str


@dataclass(frozen=True)
class GroupCoordinatorError(LogEvent):
    """An unexpected response of the group coordinator."""

    former_name = "GroupTroubled"
    level = logging.WARNING
    line = "consumer group {group}: {why}; rejoining"
    group: str
    why: str


@dataclass(frozen=True)
class ForeignWrite(LogEvent):
    level = logging.WARNING
    line = (
        "another worker wrote to {topic}-{partition} at offset {offset}, expected {expected}; writing our state again"
    )
    topic: str
    partition: int
    offset: int
    expected: int


@dataclass(frozen=True)
class SingleRunsDropped(LogEvent):
    """Workflows with a single execution, long ago: their baselines are dropped, their executions stay stored."""

    line = (
        "dropped the baselines of {dropped} workflows that ran once, long ago; {left} that ran once are left "
        "(SINGLE_RUN_KEYS={most})"
    )
    dropped: int
    left: int
    most: int


@dataclass(frozen=True)
class WorkflowIdsLookUnique(LogEvent):
    """A producer makes a new workflow id for each run; logged once a day for each pattern."""

    level = logging.WARNING
    line = "{text}"
    pattern: str
    count_today: int
    text: str


@dataclass(frozen=True)
class VariantsLookUnique(LogEvent):
    """Executions of a workflow have a new variant each; logged once a day for each workflow."""

    level = logging.WARNING
    line = (
        "variants of the workflow {workflow} look unique per run ({count_today} today), so nothing can be compared: "
        "name labels with few values in VARIANT_BY, or send the field variant with few values"
    )
    workflow: str
    count_today: int


@dataclass(frozen=True)
class WorkflowRenamed(LogEvent):
    line = "{old_id} continues as {new_id}, renamed by {by}"
    old_id: str
    new_id: str
    by: str


@dataclass(frozen=True)
class ChunkRewound(LogEvent):
    level = logging.DEBUG
    line = "{topic}-{partition}: fetched offset {got}, expected {expected}; fetching again"
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
class ChannelPaused(LogEvent):
    """A channel failed again and again, or asked for it; logged once until it answers."""

    level = logging.WARNING
    line = "nothing is sent to {channel} for {pause_s:.0f} s: {why}. Then one message tries it again"
    channel: str
    pause_s: float
    why: str


@dataclass(frozen=True)
class ChannelResumed(LogEvent):
    line = "{channel} answers again"
    channel: str


@dataclass(frozen=True)
class RoutesRead(LogEvent):
    line = "{file}: loaded {routes} routes"
    file: str
    routes: int


@dataclass(frozen=True)
class RoutesRefused(LogEvent):
    """The changed routes file is invalid: the previous routes remain in use."""

    level = logging.ERROR
    line = "keeping the previous routes: {why}. Check the file with `stream-detector notify validate`"
    why: str


@dataclass(frozen=True)
class StepFailed(LogEvent):
    """A bug in this program: the event is stored on dead-letters, the stream continues."""

    level = logging.ERROR
    line = "processing failed for {topic}-{partition}@{offset}: {error}"
    topic: str
    partition: int
    offset: int
    error: str


@dataclass(frozen=True)
class DecisionFailed(LogEvent):
    """A bug in this program, or state of a later version: what the notifier keeps under `key` is set aside."""

    level = logging.ERROR
    line = "processing failed for {key} in the state of the notifier: {error}; everything else continues"
    key: str
    error: str


@dataclass(frozen=True)
class DeliveryResultNotRecorded(LogEvent):
    """A bug in this program: a provider's response could not be recorded. The message may be sent twice."""

    former_name = "AnswerNotTaken"
    level = logging.ERROR
    line = "the response for message {message_id} on {channel} could not be recorded: {error}"
    message_id: str
    channel: str
    error: str


@dataclass(frozen=True)
class RequestFailed(LogEvent):
    """A bug in this program or a failing dependency: the client got 500 without the reason."""

    level = logging.ERROR
    line = "{method} {path} failed: {error}"
    method: str
    path: str
    error: str


@dataclass(frozen=True)
class ApiListening(LogEvent):
    line = "API and dashboard listening at {address}"
    address: str


@dataclass(frozen=True)
class HostsAccepted(LogEvent):
    """Requests with another Host get 403."""

    line = "API accepts the Hosts {names}; for others set STREAM_DETECTOR_BASE_URL or STREAM_DETECTOR_API_ALLOWED_HOSTS"
    names: str
