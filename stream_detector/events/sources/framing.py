"""Confluent's wire format: a zero byte and a 4-byte schema id stand before the JSON.

Source: Confluent's documentation of its serialisers ("wire format"). JSON text never begins with a zero byte.
"""

_PREFIX_BYTES = 5


def unframed(value: bytes) -> bytes:
    """The value without the frame, or as it is where there is none.

    >>> unframed(b"\\x00\\x00\\x00\\x00\\x07{}")
    b'{}'
    >>> unframed(b"{}")
    b'{}'
    """
    return value[_PREFIX_BYTES:] if value[:1] == b"\x00" else value
