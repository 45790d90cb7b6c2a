"""The headers of a dead letter: where the record came from and why it was refused, in Kafka Connect's names.

Key, value and headers of the record itself stay untouched; ours are appended. Of a record with several events each that
is refused is a dead letter of its own: its value is that event alone, and a header has its index. A record that was
retried and refused again carries two sets: the last one counts. A record that is too large for the topic is kept cut,
with the length and the SHA-256 of the whole.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple, cast

from msgspec import Struct

from stream_detector.events.headers import Headers
from stream_detector.events.refused import Reason, RefusedError, Stage
from stream_detector.events.times import LATEST_MS

PREFIX = "__connect.errors."
MESSAGE_CHARACTERS = 1000
CUT = PREFIX + "cut."
CUT_BYTES = 1_000_000
"""What is kept of a record that is too large, with its headers: any broker by its defaults takes it."""
MOST_HEADERS = 1000
"""Of a record that is kept cut."""
HEADER_BYTES = 12
"""What a header takes beside its name and its value."""
_MESSAGE = PREFIX + "exception.message"
_ERROR_CLASS = "stream_detector.events.refused.RefusedError"


class DeadLetter(Struct, frozen=True, gc=False, kw_only=True):
    """Why a record is on `dead-letters`, and where it came from."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    index: int | None = None
    """Of a record with several events: which of them it is, counted from 0. None: the whole record."""
    stage: Stage
    reason: Reason
    message: str
    headers: list[tuple[str, bytes | None]]
    """Those of the record itself."""
    whole_value_bytes: int | None = None
    """Of a record that is kept cut: how long its value was."""
    is_cut: bool = False

    def value_bytes(self, kept: bytes | None) -> int | None:
        """How long the record's value is, of which this is kept; None where it has none."""
        if kept is None or self.whole_value_bytes is not None:
            return self.whole_value_bytes
        return len(kept)


def dead_letter_headers(
    original_headers: Headers,
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    error: RefusedError,
    index: int | None = None,
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
    if index is not None:
        ours["index"] = str(index)
    appended = [(PREFIX + name, text.encode("utf-8", "replace")) for name, text in ours.items()]
    return [*original_headers, *appended]


def record_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """How much a record takes on the broker, without compression."""
    own = len(key or b"") + len(value or b"")
    return own + sum(HEADER_BYTES + len(name.encode()) + len(text or b"") for name, text in headers)


def cut_dead_letter(
    key: bytes | None, value: bytes | None, headers: Headers, limit: int = CUT_BYTES
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
    """A dead letter of at most about `limit` bytes: key, value and headers, the longest parts cut to the same length.

    Headers of ours stay as they are; `cut.bytes`, `cut.sha256` and `cut.value.bytes` are of the whole record. The hash
    is of key, value, and each header's name and value, one after the other.
    """
    at = len(headers)
    while at and headers[at - 1][0].startswith(PREFIX):
        at -= 1
    theirs, ours = headers[:at], list(headers[at:])
    if not any(name.startswith(CUT) for name, _ in ours):
        ours = _with_whole(ours, key, value, theirs)
    kept = theirs[:MOST_HEADERS]
    parts = [key or b"", value or b"", *(part for name, text in kept for part in (name.encode(), text or b""))]
    most = _longest_part(map(len, parts), limit - record_bytes(None, None, ours) - HEADER_BYTES * len(kept))
    shortened = [
        (name.encode()[:most].decode("utf-8", "ignore"), None if text is None else text[:most]) for name, text in kept
    ]
    return _cut(key, most), _cut(value, most), [*shortened, *ours]


def _cut(part: bytes | None, most: int) -> bytes | None:
    return None if part is None else part[:most]


class Whole(NamedTuple):
    """What there was of a record that is kept cut."""

    n_bytes: int
    sha256: str
    value_bytes: int | None

    @property
    def note(self) -> str:
        """For whoever reads why it was refused."""
        return f" (kept cut; the whole record has {self.n_bytes} bytes and the SHA-256 {self.sha256})"

    def headers(self) -> list[tuple[str, bytes | None]]:
        """The headers that name it."""
        found = {"bytes": str(self.n_bytes), "sha256": self.sha256}
        if self.value_bytes is not None:
            found["value.bytes"] = str(self.value_bytes)
        return [(CUT + name, text.encode()) for name, text in found.items()]


def _with_whole(
    ours: Headers, key: bytes | None, value: bytes | None, headers: Headers
) -> list[tuple[str, bytes | None]]:
    """Our headers with the length and the hash of what is cut; its message names them, too, for whoever reads that."""
    digest = sha256(key or b"")
    digest.update(value or b"")
    for name, text in headers:
        digest.update(name.encode())
        digest.update(text or b"")
    size = record_bytes(key, value, headers)
    whole = Whole(size, digest.hexdigest(), None if value is None else len(value))
    note = whole.note.encode()
    noted = [
        (name, (text or b"")[: MESSAGE_CHARACTERS - len(note)] + note if name == _MESSAGE else text)
        for name, text in ours
    ]
    return noted + whole.headers()


def _longest_part(lengths: Iterable[int], room: int) -> int:
    """How long each part may be so that all fit.

    >>> _longest_part([10, 500, 700], 610)
    300
    """
    ordered = sorted(lengths)
    for position, length in enumerate(ordered):
        share = max(0, room) // (len(ordered) - position)
        if length > share:
            return share
        room -= length
    return ordered[-1] if ordered else 0


def read_dead_letter(headers: Headers) -> DeadLetter:
    """What the headers say. Raises `RefusedError` where another program wrote the record without them."""
    found = {name.removeprefix(PREFIX): value or b"" for name, value in headers if name.startswith(PREFIX)}
    try:
        return DeadLetter(
            topic=found["topic"].decode(),
            partition=int(found["partition"]),
            offset=int(found["offset"]),
            timestamp_ms=_believed(int(found.get("timestamp", b"-1"))),
            index=int(found["index"]) if "index" in found else None,
            stage=cast(Stage, found["stage"].decode()),
            reason=cast(Reason, found.get("reason", b"unsupported_format").decode()),
            message=found.get("exception.message", b"").decode("utf-8", "replace"),
            headers=[(name, value) for name, value in headers if not name.startswith(PREFIX)],
            whole_value_bytes=int(found["cut.value.bytes"]) if "cut.value.bytes" in found else None,
            is_cut="cut.bytes" in found,
        )
    except KeyError as error:
        raise RefusedError(
            "decode", "missing_field", f"the dead letter lacks the header {PREFIX}{error.args[0]}"
        ) from None
    except ValueError:
        raise RefusedError("decode", "wrong_type", f"a header {PREFIX}* of the dead letter is invalid") from None


def _believed(timestamp_ms: int) -> int:
    return timestamp_ms if 0 <= timestamp_ms < LATEST_MS else -1
