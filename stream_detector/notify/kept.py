"""What the policy keeps, as values; where each lies and for how long is in `state`."""

from typing import Literal

from msgspec import Struct

from stream_detector.events import Anomaly, SeverityName


class Incident(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What people know of one incident. `told` names the channels that got a message about it."""

    version: Literal[1] = 1
    at_s: float
    entity: str
    severity: SeverityName
    told: list[str] = []
    acknowledged_by: str = ""
    opened_s: float = 0.0
    groups: dict[str, str] = {}
    """Bucket -> the group that it was told with."""
    routes: dict[str, str] = {}
    """Channel -> the route by which it was told; its end goes the same way."""
    endless: bool = False
    """Nothing will say that it is over."""


class RunPart(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of a run's summary, compressed: 5,000 anomalies take 1 MB as JSON, and a broker takes no more."""

    version: Literal[1] = 1
    at_s: float
    packed: bytes


class Due(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One delivery to make. It holds the anomaly, or names the run or the lines that are kept beside it."""

    version: Literal[1] = 1
    message_id: str
    channel: str
    severity: SeverityName
    first_at_s: float
    next_at_s: float
    reason: str
    tries: int = 0
    anomaly: Anomaly | None = None
    run_id: str = ""
    parts: int = 0
    several: "Several | None" = None
    notice: "Notice | None" = None
    note: str = ""
    """What is new about an anomaly that was told before."""
    thread: str = ""
    """What the message is about, if it may be told again: an incident or a group."""


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True, array_like=True):
    """One thing within a message about several. Packed without names: a storm keeps two for each anomaly."""

    version: Literal[1] = 1
    at_s: float
    message_id: str
    severity: SeverityName
    state: str
    title: str
    link: str
    anomaly_id: str | None = None
    incident_id: str | None = None
    run_id: str | None = None
    entity: str = ""
    """The incident's state key."""


class Several(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a message about several things leads with; `count` lines lie beside it."""

    kind: Literal["digest", "group", "reminder"]
    count: int
    counts: dict[str, int]
    """How many are critical, warning, info, resolved."""
    shared: list[tuple[str, str]] = []
    """What all of a group share; empty where the message is about one incident's ups and downs."""
    since_s: float = 0.0
    in_all: int = 0
    going_on: int = 0
    over: bool = False
    """Whether all of the group has ended."""
    limit: int = 0
    window_s: float = 0.0
    """The rate limit that held them back."""


class Notice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something about ourselves that people must know."""

    title: str
    text: str
    resolved: bool = False


class Pool(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One bucket's waiting anomalies: the next number, and when the first of them is to be told."""

    version: Literal[1] = 1
    next_number: int = 0
    ready_at_s: float = 0.0
    wave_at_s: float = 0.0
    """When those that belong to no group yet are told."""


class Pooled(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An anomaly that waits, or the group whose interval it waits for."""

    version: Literal[1] = 1
    at_s: float
    ready_at_s: float
    reason: str
    anomaly: Anomaly
    group: str = ""
    joins: bool = False
    """Whether its incident is new to the group."""


class Group(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was told together, and how many of it go on; an incident that was told alone is a group of one."""

    version: Literal[1] = 1
    at_s: float
    since_s: float
    number: int = 0
    """How many messages it had."""
    shared: list[tuple[str, str]] = []
    """Facets that all of its members have."""
    in_all: int = 0
    going_on: int = 0
    """Members that were told and have not ended."""
    untaken: int = 0
    """Those of them that nobody has acknowledged."""
    endless: int = 0
    """Members of which no end will come."""
    worst: SeverityName = "info"
    remind_at_s: float = 0.0
    next_at_s: float = 0.0
    """No message of it sooner."""
    joins_until_s: float = 0.0
    """What opens later is not part of it."""
    kept_until_s: float = 0.0
    """Once all of it has ended it may be forgotten then."""


class Flap(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last end of one key, detector and subject. `ending` waits to be told until it has been quiet."""

    version: Literal[1] = 1
    ended_s: float
    opened_s: float
    told: list[str]
    routes: dict[str, str] = {}
    groups: dict[str, str] = {}
    times: int = 0
    """How often it opened again within the window."""
    severity: SeverityName = "warning"
    window_s: float = 0.0
    ending: Anomaly | None = None


class Reference(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the provider calls a message that can be changed, and the anomaly it shows."""

    version: Literal[1] = 1
    at_s: float
    name: str
    anomaly: Anomaly | None = None


class Health(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one channel fails."""

    version: Literal[1] = 1
    failures: int
    since_s: float
    told: bool = False


class Quiet(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One input topic: the sum of its ends, when it last moved, and whether people know that it stopped."""

    version: Literal[1] = 1
    end: int
    at_s: float
    told: bool = False


class Sent(Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    """Every silence, in one value: each alert is held against all of them."""

    version: Literal[1] = 1
    silences: list[Silence] = []
