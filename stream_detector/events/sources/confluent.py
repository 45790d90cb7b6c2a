"""Confluent's wire format: a zero byte and a 4-byte schema id stand before the JSON.

Source: Confluent's documentation of its serialisers ("wire format"). JSON text never begins with a zero byte.
"""

from stream_detector.events.headers import Headers
from stream_detector.events.sources.source import Envelope

_PREFIX_BYTES = 5


def has_frame(value: bytes) -> bool:
    """Whether the value begins as a frame does."""
    return value[:1] == b"\x00"


def strip_frame(value: bytes) -> bytes:
    """The value without the frame, or as it is where there is none.

    >>> strip_frame(b"\\x00\\x00\\x00\\x00\\x07{}")
    b'{}'
    >>> strip_frame(b"{}")
    b'{}'
    """
    return value[_PREFIX_BYTES:] if has_frame(value) else value


def _is_announced(headers: Headers) -> bool:
    return False


def _open(value: bytes, headers: Headers, own_type: str) -> bytes:
    return strip_frame(value)


ENVELOPE = Envelope(title="Confluent", is_announced=_is_announced, recognises=has_frame, open=_open)
