"""What the policy keeps, as values; where each lies and for how long is in `keys`.

Encoded names are those of earlier versions, so a name that has changed here is given by `rename`. Severities are any
text, since a later version may know more of them.
"""

from typing import Literal

from msgspec import Struct

from stream_detector.events import Anomaly
from stream_detector.events.decisions import Decided
from stream_detector.events.label_counts import LabelCounts


class Incident(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"notified": "told", "opened_at_s": "opened_s", "non_resolving": "endless"},
):
    """What people know of one incident. `notified` names the channels that got a message about it."""

    version: Literal[1] = 1
    at_s: float
    entity: str
    severity: str
    notified: list[str] = []
    acknowledged_by: str = ""
    opened_at_s: float = 0.0
    groups: dict[str, str] = {}
    """Bucket -> the group that it was sent with."""
    routes: dict[str, str] = {}
    """Channel -> the route by which it was sent; its end goes the same way."""
    non_resolving: bool = False
    """Detection will not say that it is over."""
    detected_at_s: float = 0.0
    """When it opened, by the time of its event; 0: an earlier version did not note it."""


class RunPart(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of a run's summary, compressed: 5,000 anomalies take 1 MB as JSON, and a broker takes no more."""

    version: Literal[1] = 1
    at_s: float
    packed: bytes


class Bond(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What made anomalies one message; of what they share, by facet."""

    joins: list[tuple[str, str]] = []
    """By which others join them."""
    causes: list[tuple[str, str]] = []
    """What may be why they are odd."""
    steps: list[str] = []
    """What to look at for these."""


class Due(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"combined": "several"}):
    """One delivery to make. It holds the anomaly, or names the run or the lines that are kept beside it."""

    version: Literal[1] = 1
    message_id: str
    channel: str
    severity: str
    first_at_s: float
    next_at_s: float
    reason: str
    tries: int = 0
    anomaly: Anomaly | None = None
    run_id: str = ""
    """By which the parts of a run are kept (`run_parts.run_key`)."""
    parts: int = 0
    combined: "Combined | None" = None
    notice: "Notice | None" = None
    note: str = ""
    """What is new about an anomaly that had a message before."""
    thread: str = ""
    """What the message is about, if more may follow: an incident or a group."""


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True, array_like=True):
    """One thing within a combined message. Packed without names: a storm keeps two for each anomaly."""

    version: Literal[1] = 1
    at_s: float
    message_id: str
    severity: str
    state: str
    title: str
    link: str
    anomaly_id: str | None = None
    incident_id: str | None = None
    run_id: str | None = None
    entity: str = ""
    """The incident's state key."""
    facts: tuple[str, ...] = ()
    """Current, baseline, deviation and z-score, as they are shown."""
    happened_s: float = 0.0
    """The event's own time; 0: not known, of a line that an earlier version kept."""
    anomaly_type: str = ""
    reading: str = ""
    """The same for anomalies of two types that are about the same reading of one execution."""
    step: str = ""
    """What to look at first."""


class Combined(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"members": "in_all", "active": "going_on", "all_resolved": "over"},
):
    """What a combined message leads with; `count` lines lie beside it."""

    kind: Literal["digest", "group", "reminder"]
    count: int
    counts: dict[str, int]
    """How many lines are of each severity, or `resolved`."""
    shared: list[tuple[str, str]] = []
    """What all of a group share; empty where the message is about one incident's ups and downs."""
    bond: Bond = Bond()
    """What of it made them one message; with all steps of the message."""
    since_s: float = 0.0
    members: int = 0
    active: int = 0
    all_resolved: bool = False
    """Whether all of the group has ended."""
    limit: int = 0
    window_s: float = 0.0
    """The rate limit that held them back."""


class Notice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something about ourselves that people must know."""

    title: str
    text: str
    resolved: bool = False
    link: str = ""
    """Where the page shows what it is about, if that is not the list of all."""


class PendingBucket(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"group_wait_ends_s": "wave_at_s"}):
    """What of one bucket is pending: the next number, and when the first of it is ready to be sent."""

    version: Literal[1] = 1
    next_number: int = 0
    ready_at_s: float = 0.0
    group_wait_ends_s: float = 0.0
    """When those that belong to no group yet are sent."""


class Pending(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"is_new": "joins"}):
    """An anomaly that waits for others, or for the interval of its group."""

    version: Literal[1] = 1
    at_s: float
    ready_at_s: float
    reason: str
    anomaly: Anomaly
    counts: LabelCounts | None = None
    """How common its labels are among all executions."""
    group: str = ""
    is_new: bool = False
    """Whether its incident is new to the group."""


class Group(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={
        "messages": "number",
        "members": "in_all",
        "active": "going_on",
        "unacknowledged": "untaken",
        "non_resolving": "endless",
    },
):
    """What was sent together, and how many of it are active; an incident that was sent alone is a group of one."""

    version: Literal[1] = 1
    at_s: float
    since_s: float
    messages: int = 0
    """How many messages it had."""
    shared: list[tuple[str, str]] = []
    """Facets that all of its members have."""
    members: int = 0
    active: int = 0
    """Members that were sent and have not ended."""
    unacknowledged: int = 0
    """Those of them that nobody has acknowledged."""
    non_resolving: int = 0
    """Members of which no end will come."""
    worst: str = "info"
    remind_at_s: float = 0.0
    next_at_s: float = 0.0
    """No message of it sooner."""
    joins_until_s: float = 0.0
    """What opens later is not part of it."""
    kept_until_s: float = 0.0
    """Once all of it has ended it may be forgotten then."""
    bond: Bond = Bond()
    """Why it is one."""


class Flap(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"ended_at_s": "ended_s", "opened_at_s": "opened_s", "notified": "told", "reopened": "times"},
):
    """The last end of one key, detector and subject. `ending` waits until it has been quiet."""

    version: Literal[1] = 1
    ended_at_s: float
    opened_at_s: float
    notified: list[str]
    routes: dict[str, str] = {}
    groups: dict[str, str] = {}
    reopened: int = 0
    """How often it opened again within the window."""
    severity: str = "warning"
    window_s: float = 0.0
    ending: Anomaly | None = None


class Reference(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the provider calls a message that can be changed, and the anomaly it shows."""

    version: Literal[1] = 1
    at_s: float
    name: str
    anomaly: Anomaly | None = None


class ChannelHealth(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"reported": "told"}):
    """How one channel fails, and whether people were notified of it."""

    version: Literal[1] = 1
    failures: int
    since_s: float
    reported: bool = False
    asked_s: float = 0.0
    """The sum of the pauses that it asked for since then."""


class TopicActivity(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"reported": "told"}):
    """One input topic: the sum of its end offsets, when it last moved, and whether people know that it stopped."""

    version: Literal[1] = 1
    end: int
    at_s: float
    reported: bool = False
    has_cause: bool = False
    """Whether people know why: a message about a silent source had named it before."""


class MissedRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The incident of a run that did not come."""

    version: Literal[1] = 1
    at_s: float
    source: str
    due_s: float
    """When it was due, by the time of the detector's records."""
    name: str
    """Of its workflow, with the variant."""
    line: Line
    channels: list[str] = []
    """Those that are notified where its whole source is silent."""
    groups: list[str] = []
    """The joined messages that list it."""
    is_over: bool = False


class JoinedRuns(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one bucket was sent of a source's missed runs."""

    version: Literal[1] = 1
    at_s: float = 0.0
    due_s: list[float] = []
    """When the last ones that had a message of their own were due."""
    group: str = ""
    """The joined message, as a group; empty: none is open."""
    alone: int = 0
    """How many had a message of their own before it."""
    until_s: float = 0.0
    """What is due later is not part of it."""
    sent_at: int = 0
    """How many were missed when it was sent last."""


class SourceSeen(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a partition knows of a source, times as Unix seconds; 0: none."""

    scheduled: int
    missed: int
    first_due_s: float = 0.0
    newest_s: float = 0.0


class CensusSeen(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest census of a partition."""

    version: Literal[1] = 1
    at_s: float
    sources: dict[str, SourceSeen]


class SilentSource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A source of which nothing comes, though much is expected."""

    version: Literal[1] = 1
    since_s: float
    """When its newest event came; of a source without one, when the first missed run was due."""
    first_due_s: float
    missed: int
    scheduled: int
    channels: list[str] = []
    """Those that were notified."""
    over_s: float = 0.0
    """When its events came again; 0: not yet."""


class ClockRead(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Up to where the topic `clock` is read."""

    version: Literal[1] = 1
    next_offset: int


class AwaySpan(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """In which no detector took anything in, as Unix seconds; its message waits for what other detectors report."""

    version: Literal[1] = 1
    from_s: float
    until_s: float
    expected_runs: int
    ready_at_s: float


class LossesReported(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Up to where records of a role's sources that were deleted before it read them are in a message."""

    version: Literal[1] = 1
    until: dict[str, int] = {}
    """`topic/partition` -> the offset behind the last one."""


class OutcomesWritten(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Up to where each partition of `notifications` holds outcomes of decisions that are in the state."""

    version: Literal[1] = 1
    ends: dict[int, int] = {}
    """Partition -> the offset behind the last one."""


class SetAsideReported(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Records that ended a role and are in a message, as `topic-partition@offset`."""

    version: Literal[1] = 1
    records: list[str] = []


class OldEvents(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Anomalies of one channel that were published long after they happened, since the last message about such."""

    version: Literal[1] = 1
    counts: dict[str, int] = {}
    """Severity -> how many."""
    first_s: float = 0.0
    last_s: float = 0.0
    """When the first and the last of them happened."""
    published_s: float = 0.0
    """When the newest was published."""
    since_s: float = 0.0
    added_s: float = 0.0
    """When the first and the last of them came to us."""
    sent_s: float = 0.0
    number: int = 0
    """When the last message about such was sent, and how many there were."""


class RateWindow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When one bucket's messages were let through, oldest first, as Unix seconds; and what was held back since."""

    version: Literal[1] = 1
    times: list[float] = []
    held: int = 0
    next_number: int = 0
    held_from_s: float = 0.0
    held_last_s: float = 0.0
    storm_at_s: float = 0.0
    window_s: float = 0.0
    limit: int = 0


class Silence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nothing is sent about what matches all of it, until `until_s`."""

    entity: str = ""
    incident_id: str = ""
    matchers: dict[str, str] = {}
    until_s: float
    by: str


class Silences(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every silence, in one value: each alert is checked against all of them."""

    version: Literal[1] = 1
    silences: list[Silence] = []


class TargetSilences(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every silence about one target, ended and lifted ones too: one that comes late or again must not be in force."""

    version: Literal[1] = 1
    entity: str = ""
    incident_id: str = ""
    matchers: dict[str, str] = {}
    records: list[Decided] = []


class Decisions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was decided about one incident, or about one entity."""

    version: Literal[1] = 1
    records: list[Decided] = []
