"""CloudEvents 1.0 in both modes of its Kafka binding: `ce_*` headers (binary) and one JSON envelope (structured).

Sources: CloudEvents specification 1.0.2 and its "Kafka Protocol Binding" and "JSON Event Format".
"""

from base64 import b64decode
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from stream_detector.events.reasons import refused
from stream_detector.events.refused import RefusedError

Headers = Sequence[tuple[str, bytes | None]]
OWN_TYPES = "stream_detector."
_REQUIRED = ("id", "source", "type")


class _Envelope(Struct):
    specversion: str
    id: str | None = None
    source: str | None = None
    type: str | None = None
    datacontenttype: str | None = None
    data: Raw | UnsetType = UNSET
    data_base64: str | None = None


_envelope = msgspec.json.Decoder(_Envelope)


def is_structured(headers: Headers) -> bool:
    """The content type says that the value is an envelope."""
    return _content_type(headers).startswith("application/cloudevents")


def is_binary(headers: Headers) -> bool:
    """The attributes are in headers, the value is the event's data."""
    return any(name.lower() == "ce_specversion" for name, _ in headers)


def check_binary(headers: Headers, own_type: str) -> None:
    """Accept the attributes of a binary event; raise `RefusedError` otherwise."""
    named = {name.lower(): _text(value) for name, value in headers}
    attributes = {name: named.get("ce_" + name) for name in ("specversion", *_REQUIRED)}
    _check(attributes, named.get("content-type"), own_type)


def structured_data(value: bytes, headers: Headers, own_type: str) -> bytes:
    """The event's data, out of its envelope. Raises `RefusedError` where the envelope is not one."""
    if "-batch" in _content_type(headers):
        raise _unsupported("a batch of CloudEvents; send one event a record")
    try:
        envelope = _envelope.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refused(error, value) from None
    attributes = {name: getattr(envelope, name) for name in ("specversion", *_REQUIRED)}
    _check(attributes, envelope.datacontenttype, own_type)
    if envelope.data is not UNSET:
        return bytes(envelope.data)
    if envelope.data_base64 is None:
        raise RefusedError("decode", "missing_field", "the CloudEvent has no data; put the event there")
    try:
        return b64decode(envelope.data_base64, validate=True)
    except ValueError:
        raise RefusedError("decode", "not_json", "data_base64 is not base64; send the event as data") from None


def looks_structured(value: bytes) -> bool:
    """An envelope whose producer set no content type."""
    try:
        _envelope.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _check(attributes: dict[str, str | None], content_type: str | None, own_type: str) -> None:
    if attributes["specversion"] != "1.0":
        raise _unsupported("CloudEvents of another version than 1.0; send specversion 1.0")
    for name in _REQUIRED:
        if not attributes[name]:
            raise RefusedError("decode", "missing_field", f"the CloudEvent has no {name}; send it")
    kind = attributes["type"] or ""
    if kind.startswith(OWN_TYPES) and kind != own_type:
        raise _unsupported(f"a CloudEvent of another type on this topic; here belongs {own_type}")
    media = (content_type or "application/json").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise _unsupported("CloudEvent data that is not JSON; send datacontenttype application/json")


def _content_type(headers: Headers) -> str:
    return next((_text(value).lower() for name, value in headers if name.lower() == "content-type"), "")


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _unsupported(message: str) -> RefusedError:
    return RefusedError("decode", "unsupported_format", message)
