"""Every key that the policy keeps, bounded; the values under them are in `state_models`, versioned.

| key | value | kept |
|---|---|---|
| `seen:<number>` | what was decided, as hashes (`decided_ids`) | 31 days, the newest 100,000 |
| `incident:<incident_id>` | worst severity, who was notified, who acknowledged it | until its end; 7 or 31 days |
| `flap:<hash>` | when an incident of this key, detector and subject ended last, and an end not yet sent | a day |
| `part:<part>:<run_id>` | one part of a run's summary | until the run's message is settled, at most 31 days |
| `due:<message id>:<channel>` | a delivery, its tries and when it is due | until it is settled |
| `sent:<bucket>` | times of the messages within the rate limit's window, and how many are held back | 31 days |
| `held:<bucket>:<number>` | a line about a message that was held back | until a digest lists it |
| `line:<message id>:<channel>:<number>` | a line of a combined message | until that is settled |
| `pool:<bucket>` , `pooled:<bucket>:<number>` | anomalies in their group wait or interval | until they are sent |
| `group:<bucket>:<id>` | what was sent together: when, how often, how many are active | until all of it has ended |
| `facet:<bucket>:<hash>` | the group that what has this facet joins | as long as its group |
| `ref:<channel>:<thread>` | the provider's name for a message that can be changed | until the end is sent |
| `timer:<unix seconds>:<kind>:<what>` | an end or a reminder that is due then | until then |
| `again:<channel>:<incident_id>` | what an incident's next reminder shows | until the incident has ended |
| `old:<channel>` | how many anomalies were published long after they happened | an hour from its message |
| `health:<channel>` | answers in a row that were no delivery | until it delivers |
| `missed:<incident_id>` | a missed run that is open, or has ended as part of a joined message | 8 days |
| `joined:<bucket>:<source>` | the messages about missed runs of a source, and what joins them | 8 days |
| `silent:<source>` | since when a source is silent, and who was notified | a day from its end |
| `census:<partition>` | what the detector knows of each source's schedules | for good: one a partition |
| `clock` | up to where the topic `clock` is read | for good: one |
| `away` | a span in which nothing was taken in, until its message is sent | a minute |
| `lost:<role>` | up to where deleted records of each partition were reported | for good: one a role |
| `aside:<role>` | records that ended the role and were reported | while the role notes them: one a role |
| `written` | up to where `notifications` holds what is decided | for good: one |
| `quiet:<topic>` | the end of an input topic, and when it last moved | for good: one a topic |
| `silences` | every silence in force | each until it ends |
| `silence:<hash>` | every silence about one target, the newest 200 | 91 days from the end of the last |
| `retired:<entity>` | when the entity was retired | 91 days |
| `taken:<incident_id>` , `taken-all:<entity>` | who took an incident, or all of an entity's | 91 days |

A bucket is a channel, or a channel and a route as `channel/route`. 31 days is a day more than `alerts` and
`run-summaries` are kept, so reading these topics again from their start gives no second message; 91 days is a day more
than `operator-actions` are.
"""

from collections.abc import MutableMapping
from functools import cache
from typing import TypeVar

import msgspec
from msgspec import Struct

from stream_detector.notify.state.slotted_store import SlottedStore

KEEP_S = 31 * 86_400.0
KEEP_ACTIONS_S = 91 * 86_400.0
DECIDED, INCIDENT, FLAP, RUN_PART, SILENCES = "seen:", "incident:", "flap:", "part:", "silences"
DUE, LINE, REFERENCE, RATE, HELD = "due:", "line:", "ref:", "sent:", "held:"
PENDING_BUCKET, PENDING, GROUP, FACET = "pool:", "pooled:", "group:", "facet:"
TIMER, REMINDER, HEALTH, TOPIC, OLD = "timer:", "again:", "health:", "quiet:", "old:"
LOST, SET_ASIDE, WRITTEN = "lost:", "aside:", "written"
MISSED, JOINED, SILENT, CENSUS, CLOCK, AWAY = "missed:", "joined:", "silent:", "census:", "clock", "away"

SILENCE, RETIRED, TAKEN, TAKEN_ALL = "silence:", "retired:", "taken:", "taken-all:"

State = MutableMapping[str, bytes]
T = TypeVar("T", bound=Struct)
_encoder = msgspec.msgpack.Encoder()


@cache
def _decoder(kind: type[T]) -> "msgspec.msgpack.Decoder[T]":
    return msgspec.msgpack.Decoder(kind)


def read(state: State, key: str, kind: type[T]) -> T | None:
    """The value under `key`, or None. Raises `msgspec.ValidationError` where a later version wrote it."""
    raw = state.get(key)
    return None if raw is None else _decoder(kind).decode(raw)


def read_if_sound(state: State, key: str, kind: type[T]) -> T | None:
    """The value under `key`; None also where it cannot be read."""
    try:
        return read(state, key, kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def write(state: State, key: str, value: Struct) -> None:
    """Put the value under `key`."""
    state[key] = _encoder.encode(value)


def keys_of(state: State, prefix: str) -> list[str]:
    """Every key that begins so; a list, so that the state may be changed while going through it."""
    if isinstance(state, SlottedStore):
        return state.keys_of(prefix)
    return [key for key in state if key.startswith(prefix)]


def next_keys(state: State, prefix: str, count: int) -> list[str]:
    """The next keys of a kind, at most `count`; asked again and again, each has its turn."""
    return state.next_keys(prefix, count) if isinstance(state, SlottedStore) else keys_of(state, prefix)


def bucket_name(channel: str, route: str) -> str:
    """What limits and groups are counted by."""
    return f"{channel}/{route}" if route else channel


def channel_of_bucket(bucket: str) -> str:
    """The channel of a bucket."""
    return bucket.partition("/")[0]


def due_key(message_id: str, channel: str) -> str:
    """Where a delivery lies."""
    return f"{DUE}{message_id}:{channel}"


def timer_key(at_s: float, kind: str, what: str) -> str:
    """The key of something that is due then; keys in order of time."""
    return f"{TIMER}{at_s:016.3f}:{kind}:{what}"
