"""Source census v1: of each source the scheduled workflows and how many of their runs are missed, of one partition."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from stream_detector.events.fields import SourceName

KEY_PREFIX = b"sources/"
"""How the keys of these records begin on the topic `clock`; the number of the partition follows."""
PLAIN_SOURCE = "kafka"
"""The source of an event that names none: it was published to the topic as it is."""

_Count = Annotated[int, Meta(ge=0)]
_Millis = Annotated[int, Meta(ge=0, description="Milliseconds since 1970; 0: none.")]


class SourceCount(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What one partition knows of a source: of every source of which it has had an event.

    Attributes:
        scheduled: workflows of the source whose next run is expected at a known time.
        missed: how many of them have missed their last expected run; none that counts as retired.
        first_due_ms: when the first of those was due.
        newest_ms: when the source's newest event arrived: the time of its record.
    """

    scheduled: _Count
    missed: _Count
    first_due_ms: _Millis = 0
    newest_ms: _Millis = 0


class SourceCensus(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One record of the topic `clock` with the key `sources/<partition>`; the newest of a partition counts.

    Attributes:
        partition: of `workflow-completions`, whose workflows these are.
        sources: by the name of the source.
    """

    schema_version: Literal[1]
    partition: _Count
    sources: dict[SourceName, SourceCount] = {}


def census_key(partition: int) -> bytes:
    """The key of a partition's records.

    >>> census_key(3)
    b'sources/3'
    """
    return KEY_PREFIX + str(partition).encode()
