"""Workflow start v1: one execution of a workflow has begun. It travels on the topic of the ends, in their order."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from stream_detector.events.fields import Id, Instant, Labels, Name, SourceName, Url
from stream_detector.events.variant import Variant

"""A start whose end has not come for longer is that of a run that died, or whose end was lost."""


class Start(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One execution that has begun. Its state key is that of its completion, and so is its event id.

    An event with a `status` is an end, whatever its `state` is.
    """

    state: Literal["started"]
    execution_id: Id
    workflow_id: Id
    started_at: Instant
    workflow_name: Name | None = None
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    queued_at: Instant | None = None
    """Since when it waited to be started."""
    limit_s: (
        Annotated[float, Meta(gt=0, le=1e12, description="The run should not take longer than this, in seconds.")]
        | None
    ) = None
    labels: Labels = {}
    url: Url | None = None
    variant: Variant | None = None
    source: SourceName | None = None


class _State(Struct):
    state: Any = None
    status: Any = None


_state = msgspec.json.Decoder(_State).decode
decode_start = msgspec.json.Decoder(Start).decode

ENDS_AGAIN = "(?:airflow|argo|azure|bitbucket|buildkite|gitlab):"
"""Begins the ids of runs that can end again under one number. A pattern for Python and PostgreSQL."""
_ENDS_AGAIN = f"{ENDS_AGAIN}.+"
_RUN_OF_END = re.compile(rf"(?P<run>{_ENDS_AGAIN})\.\d{{9,10}}(?![\s\S])", re.DOTALL)
_RUN_THAT_ENDS_AGAIN = re.compile(_ENDS_AGAIN, re.DOTALL)
MOST_RUN = 256 - len(".1769040300")
"""A longer id of such a run is cut in its end's, so the end does not name the start any more."""


def is_start(value: bytes) -> bool:
    """Whether the JSON is a start: its state is `started`, and it has no status."""
    if b'"started"' not in value:
        return False
    try:
        found = _state(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return found.state == "started" and found.status is None


def started_as(execution_id: str) -> str:
    """The `execution_id` that the start of an ended execution has.

    It is the same, but for the sources whose runs can end again under one number: there the second of the end
    distinguishes the executions, which no start knows.

    >>> started_as("nightly-4711"), started_as("gitlab:31.1769040300")
    ('nightly-4711', 'gitlab:31')
    """
    found = _RUN_OF_END.match(execution_id)
    return found["run"] if found else execution_id


def ends_again(execution_id: str) -> bool:
    """Whether the start is of a run that may end several times, each time as another execution.

    >>> ends_again("gitlab:31"), ends_again("github:31")
    (True, False)
    """
    return _RUN_THAT_ENDS_AGAIN.match(execution_id) is not None
