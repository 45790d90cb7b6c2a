"""The policy's memory: every key that it keeps, bounded; the values are in `kept`, versioned.

| key | value | kept |
|---|---|---|
| `seen:<number>` | what was decided, as hashes (`seen`): a repeat changes nothing | 31 days, the newest 100,000 |
| `incident:<incident_id>` | worst severity, who was told, who took it | until its end; 31 days, 7 if it has none |
| `flap:<hash>` | when an incident of this key, detector and subject ended last, and an end not yet told | a day |
| `part:<part>:<run_id>` | one part of a run's summary | until the run's message is settled, at most 31 days |
| `due:<message id>:<channel>` | a delivery, its tries and when it is due | until it is settled |
| `sent:<bucket>` | times of the messages within the rate limit's window, and how many are held back | 31 days |
| `held:<bucket>:<number>` | a line about a message that was held back | until a digest tells it |
| `line:<message id>:<channel>:<number>` | a line of a message about several things | until that is settled |
| `pool:<bucket>` , `pooled:<bucket>:<number>` | anomalies that wait for others to be told with | until they are told |
| `group:<bucket>:<id>` | what was told together: when, how often, how many go on | until all of it has ended |
| `facet:<bucket>:<hash>` | the group that what has this facet joins | as long as its group |
| `ref:<channel>:<thread>` | the provider's name for a message that can be changed | until the end is told |
| `timer:<unix seconds>:<kind>:<what>` | an end or a reminder that is due then | until then |
| `again:<channel>:<incident_id>` | what an incident's next reminder tells | until the incident has ended |
| `health:<channel>` | answers in a row that were no delivery | until it delivers |
| `quiet:<topic>` | the end of an input topic, and when it last moved | for good: one a topic |
| `silences` | every silence in force | each until it ends |

A bucket is a channel, or a channel and a route as `channel/route`. 31 days is a day more than `alerts` and
`run-summaries` are kept, so reading these topics again from their start gives no second message.
"""

from collections.abc import MutableMapping
from functools import cache
from typing import TypeVar

import msgspec
from msgspec import Struct

from stream_detector.notify.memory import Memory

KEEP_S = 31 * 86_400.0
SEEN, INCIDENT, PART, DUE, SENT, SILENCES = "seen:", "incident:", "part:", "due:", "sent:", "silences"
HELD, LINE, POOL, POOLED = "held:", "line:", "pool:", "pooled:"
GROUP, FACET, AGAIN = "group:", "facet:", "again:"
FLAP, TIMER, REFERENCE, HEALTH, QUIET = "flap:", "timer:", "ref:", "health:", "quiet:"

State = MutableMapping[str, bytes]
T = TypeVar("T", bound=Struct)
_encoder = msgspec.msgpack.Encoder()
_decoder = cache(msgspec.msgpack.Decoder)


def read(state: State, key: str, kind: type[T]) -> T | None:
    """The value under `key`, or None. Raises `msgspec.ValidationError` where a newer release has written it."""
    raw = state.get(key)
    return None if raw is None else _decoder(kind).decode(raw)


def write(state: State, key: str, value: Struct) -> None:
    """Put the value under `key`."""
    state[key] = _encoder.encode(value)


def keys(state: State, prefix: str) -> list[str]:
    """Every key that begins so; a list, so that the state may be changed while going through it."""
    if isinstance(state, Memory):
        return state.beginning(prefix)
    return [key for key in state if key.startswith(prefix)]


def turn(state: State, prefix: str, count: int) -> list[str]:
    """The next keys of a kind, at most `count`; asked again and again, each has its turn."""
    return state.turn(prefix, count) if isinstance(state, Memory) else keys(state, prefix)


def bucket_of(channel: str, route: str) -> str:
    """What limits and groups are counted by."""
    return f"{channel}/{route}" if route else channel


def channel_of_bucket(bucket: str) -> str:
    """The channel of a bucket."""
    return bucket.partition("/")[0]
