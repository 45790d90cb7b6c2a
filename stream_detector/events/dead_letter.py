"""The headers of a dead letter: where the record came from and why it was refused, in Kafka Connect's names.

Key, value and headers of the record itself stay untouched; ours are appended. A record that was retried and refused
again carries two sets: the last one counts.
"""

from typing import cast

from msgspec import Struct

from stream_detector.events.headers import Headers
from stream_detector.events.refused import Reason, RefusedError, Stage

PREFIX = "__connect.errors."
MESSAGE_CHARACTERS = 1000
_ERROR_CLASS = "stream_detector.events.refused.RefusedError"


class DeadLetter(Struct, frozen=True, gc=False, kw_only=True):
    """Why a record is on `dead-letters`, and where it came from."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    stage: Stage
    reason: Reason
    message: str
    headers: list[tuple[str, bytes | None]]
    """Those of the record itself."""


def dead_letter_headers(
    original_headers: Headers, *, topic: str, partition: int, offset: int, timestamp_ms: int, error: RefusedError
) -> list[tuple[str, bytes | None]]:
    """The record's own headers and, after them, what `read_dead_letter` reads."""
    ours = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "timestamp": str(timestamp_ms),
        "stage": error.stage,
        "reason": error.reason,
        "exception.class.name": _ERROR_CLASS,
        "exception.message": error.message[:MESSAGE_CHARACTERS],
    }
    appended = [(PREFIX + name, text.encode("utf-8", "replace")) for name, text in ours.items()]
    return [*original_headers, *appended]


def read_dead_letter(headers: Headers) -> DeadLetter:
    """What the headers say. Raises `RefusedError` where another program wrote the record without them."""
    found = {name.removeprefix(PREFIX): value or b"" for name, value in headers if name.startswith(PREFIX)}
    try:
        return DeadLetter(
            topic=found["topic"].decode(),
            partition=int(found["partition"]),
            offset=int(found["offset"]),
            timestamp_ms=int(found.get("timestamp", b"-1")),
            stage=cast(Stage, found["stage"].decode()),
            reason=cast(Reason, found.get("reason", b"unsupported_format").decode()),
            message=found.get("exception.message", b"").decode("utf-8", "replace"),
            headers=[(name, value) for name, value in headers if not name.startswith(PREFIX)],
        )
    except KeyError as error:
        raise RefusedError(
            "decode", "missing_field", f"the dead letter lacks the header {PREFIX}{error.args[0]}"
        ) from None
    except ValueError:
        raise RefusedError("decode", "wrong_type", f"a header {PREFIX}* of the dead letter is invalid") from None
