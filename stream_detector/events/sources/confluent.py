"""Confluent's wire format: a zero byte and a 4-byte schema id stand before the JSON; in Apicurio's an id of 8 bytes.

Sources: Confluent's documentation of its serialisers ("wire format"), Apicurio Registry's of its serdes. JSON text
never begins with a zero byte. Avro and Protobuf in such a frame need the registry's schema, so they are refused by
their name.
"""

from stream_detector.events.headers import Headers
from stream_detector.events.refused import RefusedError
from stream_detector.events.sources.source import Envelope

_PREFIX_BYTES, _LONG_PREFIX_BYTES = 5, 9
_LAST_WIRE_TYPE = 5


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
    if not has_frame(value):
        return value
    inner = value[_PREFIX_BYTES:]
    if inner.lstrip()[:1] not in (b"{", b"[", b'"') and value[_LONG_PREFIX_BYTES:].startswith((b"{", b'"{')):
        return value[_LONG_PREFIX_BYTES:]
    return inner


def _open(value: bytes, headers: Headers, own_type: str) -> bytes:
    inner = strip_frame(value)
    if inner and inner.lstrip()[:1] not in (b"{", b"[", b'"'):
        name = "Protobuf" if is_protobuf(inner) else "Avro"
        schema_id = int.from_bytes(value[1:_PREFIX_BYTES], "big")
        raise RefusedError(
            "decode",
            "not_json",
            f"{name} in Confluent's frame (schema id {schema_id}), which needs the registry's schema; set the "
            "producer's value serializer to JSON or JSON Schema, or the connector's value.converter to "
            "org.apache.kafka.connect.json.JsonConverter",
        )
    return inner


def is_protobuf(inner: bytes) -> bool:
    """Whether the bytes are message indexes and fields of Protobuf up to their very end; Avro's hardly ever are.

    >>> is_protobuf(b"\\x00\\x0a\\x03abc\\x10\\x07"), is_protobuf(b"\\x06abc\\x0e")
    (True, False)
    """
    count, at = _varint(inner, 0)
    for _ in range(count >> 1 if count >= 0 else 0):  # zigzag; a single 0 stands for the first message
        if at < 0:
            return False
        _, at = _varint(inner, at)
    fields = 0
    while 0 <= at < len(inner):
        key, at = _varint(inner, at)
        if at < 0 or key >> 3 == 0:
            return False
        at = _after_field(inner, at, key & 7)
        fields += 1
    return at == len(inner) and fields > 0


def _after_field(inner: bytes, at: int, wire_type: int) -> int:
    if wire_type == 0:
        return _varint(inner, at)[1]
    if wire_type == 2:
        size, at = _varint(inner, at)
        return at + size if at >= 0 and at + size <= len(inner) else -1
    width = {1: 8, _LAST_WIRE_TYPE: 4}.get(wire_type, 0)
    return at + width if width and at + width <= len(inner) else -1


def _varint(inner: bytes, at: int) -> tuple[int, int]:
    """(value, where the next one begins), or (-1, -1) where there is none."""
    value = 0
    for shift in range(0, 63, 7):
        if at >= len(inner):
            break
        byte = inner[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    return -1, -1


ENVELOPE = Envelope(title="Confluent", recognises=has_frame, open=_open)
