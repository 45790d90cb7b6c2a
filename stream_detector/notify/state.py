"""The policy's memory: every key and value that it keeps, versioned and bounded.

| key | value | kept |
|---|---|---|
| `seen:<anomaly or message id>` | what was decided for it, so that a repeat gives the same answer | 31 days |
| `incident:<incident_id>` | worst severity, channels told, acknowledged or not | 31 days after its last record |
| `part:<part>:<run_id>` | one part of a run's summary | until the run's message is settled, at most 31 days |
| `due:<message id>:<channel>` | a delivery, its tries and when it is due | until it is settled |
| `sent:<channel>` | times of the messages within the rate limit's window | 31 days after its last message |
| `silences` | every silence in force | each until it ends |

31 days is a day more than `alerts` and `run-summaries` are kept, so reading these topics again from their start gives
no second message.
"""

from collections.abc import MutableMapping
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from stream_detector.events import Anomaly, Outcome, Severity

KEEP_S = 31 * 86_400.0
SEEN, INCIDENT, PART, DUE, SENT, SILENCES = "seen:", "incident:", "part:", "due:", "sent:", "silences"

State = MutableMapping[str, bytes]


class Seen(Struct, frozen=True, kw_only=True):
    """What was decided about one item, a line a channel: channel, outcome, reason."""

    version: Literal[1] = 1
    at_s: float
    severity: Severity
    said: list[tuple[str, Outcome, str]]


class Incident(Struct, frozen=True, kw_only=True):
    """What people know of one incident. `told` names the channels that got a message about it."""

    version: Literal[1] = 1
    at_s: float
    entity: str
    severity: Severity
    told: list[str] = []
    acknowledged_by: str = ""


class Part(Struct, frozen=True, kw_only=True):
    """One part of a run's summary, compressed: 5,000 anomalies take 1 MB as JSON, and a broker takes no more."""

    version: Literal[1] = 1
    at_s: float
    packed: bytes


class Due(Struct, frozen=True, kw_only=True):
    """One delivery to make. It holds the anomaly, or names the run whose parts are kept beside it."""

    version: Literal[1] = 1
    message_id: str
    channel: str
    severity: Severity
    first_at_s: float
    next_at_s: float
    reason: str
    tries: int = 0
    anomaly: Anomaly | None = None
    run_id: str = ""
    parts: int = 0


class Sent(Struct, frozen=True, kw_only=True):
    """When one channel's messages were let through, oldest first, as Unix seconds."""

    version: Literal[1] = 1
    times: list[float] = []


class Silence(Struct, frozen=True, kw_only=True):
    """Nothing is sent about what matches all of it, until `until_s`."""

    entity: str = ""
    incident_id: str = ""
    matchers: dict[str, str] = {}
    until_s: float
    by: str


class Silences(Struct, frozen=True, kw_only=True):
    """Every silence, in one value: each alert is held against all of them."""

    version: Literal[1] = 1
    silences: list[Silence] = []


T = TypeVar("T", bound=Struct)
_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (Seen, Incident, Part, Due, Sent, Silences)
}


def read(state: State, key: str, kind: type[T]) -> T | None:
    """The value under `key`, or None. Raises `msgspec.ValidationError` where a newer release has written it."""
    raw = state.get(key)
    return None if raw is None else _decoders[kind].decode(raw)


def write(state: State, key: str, value: Struct) -> None:
    """Put the value under `key`."""
    state[key] = _encoder.encode(value)


def keys(state: State, prefix: str) -> list[str]:
    """Every key that begins so; a list, so that the state may be changed while going through it."""
    return [key for key in state if key.startswith(prefix)]
