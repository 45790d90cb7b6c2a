"""JSON inside a JSON string: what a producer makes that serialises its text once more with a JSON serialiser."""

import msgspec

from stream_detector.events.headers import Headers
from stream_detector.events.reasons import refusal_for
from stream_detector.events.sources.source import Envelope

_text = msgspec.json.Decoder(str).decode


def is_text(value: bytes) -> bool:
    """Whether the value is a JSON string that begins as an object or an array does, or as another such string."""
    return value.lstrip()[:2] in (b'"{', b'"[', b'"\\')


def _open(value: bytes, headers: Headers, own_type: str) -> bytes:
    try:
        return _text(value).encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise refusal_for(error, value) from None


ENVELOPE = Envelope(title="JSON in a JSON string", recognises=is_text, open=_open)
