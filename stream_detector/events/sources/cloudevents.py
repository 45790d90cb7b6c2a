"""CloudEvents 1.0 in both modes of its Kafka binding: `ce_*` headers (binary) and one JSON envelope (structured).

Sources: CloudEvents specification 1.0.2 and its "Kafka Protocol Binding" and "JSON Event Format".
"""

from base64 import b64decode

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from stream_detector.events.headers import Headers, header_text, shown
from stream_detector.events.inputs import INPUTS
from stream_detector.events.reasons import refusal_for
from stream_detector.events.refused import RefusedError
from stream_detector.events.sources.confluent import strip_frame
from stream_detector.events.sources.details import attempt
from stream_detector.events.sources.source import Envelope

OWN_TYPES = "stream_detector."
_ON_COMPLETIONS = INPUTS["completion"].cloudevents_type, INPUTS["start"].cloudevents_type
TYPES_BESIDE = {_ON_COMPLETIONS[0]: _ON_COMPLETIONS}
"""A topic's type -> all types that lie on it."""
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


def is_announced(headers: Headers) -> bool:
    """Whether the headers mark a CloudEvent: content type (structured) or `ce_` attributes (binary)."""
    return _is_structured(headers) or _is_binary(headers)


def open_envelope(value: bytes, headers: Headers, own_type: str) -> bytes:
    """The event within; of a binary one, which is the value itself, the attributes are checked. A batch stays an array.

    Raises `RefusedError` where it is no CloudEvent 1.0, or one of ours that belongs on another topic.
    """
    if not _is_binary(headers) or _is_structured(headers):
        inner = strip_frame(value)
        if inner.lstrip()[:1] == b"[":  # a batch: each of its elements is an envelope
            if not inner.strip()[1:-1].strip():
                raise _unsupported("an empty batch of CloudEvents; send it with at least one, or not at all")
            return inner
        return _structured_data(inner, headers, own_type)
    _check_binary(headers, own_type)
    return value


def _is_structured(headers: Headers) -> bool:
    return _content_type(headers).startswith("application/cloudevents")


def _is_binary(headers: Headers) -> bool:
    return any(name.lower() == "ce_specversion" for name, _ in headers)


def _check_binary(headers: Headers, own_type: str) -> None:
    named = {name.lower(): shown(value) for name, value in headers}
    attributes = {name: named.get("ce_" + name) for name in ("specversion", *_REQUIRED)}
    _check(attributes, named.get("content-type"), own_type)


def _structured_data(value: bytes, headers: Headers, own_type: str) -> bytes:
    if "-batch" in _content_type(headers):
        raise _unsupported("no batch of CloudEvents, although the content type is that of one; send a JSON array")
    try:
        envelope = _envelope.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal_for(error, value) from None
    attributes = {name: getattr(envelope, name) for name in ("specversion", *_REQUIRED)}
    _check(attributes, envelope.datacontenttype, own_type)
    if envelope.data is not UNSET:
        return bytes(envelope.data)
    if envelope.data_base64 is None:
        raise RefusedError("decode", "missing_field", "the CloudEvent has no data; send the event as its data")
    try:
        return b64decode(envelope.data_base64, validate=True)
    except ValueError:
        raise RefusedError("decode", "not_json", "data_base64 is not base64; send the event as data") from None


def looks_structured(value: bytes) -> bool:
    """An envelope whose producer set no content type."""
    return b'"specversion"' in value and attempt(_envelope.decode, value) is not None


def _check(attributes: dict[str, str | None], content_type: str | None, own_type: str) -> None:
    if attributes["specversion"] != "1.0":
        raise _unsupported("unsupported CloudEvents version; send specversion 1.0")
    for name in _REQUIRED:
        if not attributes[name]:
            raise RefusedError("decode", "missing_field", f"the CloudEvent has no {name}; send it")
    kind = attributes["type"] or ""
    if own_type and kind.startswith(OWN_TYPES) and kind not in TYPES_BESIDE.get(own_type, (own_type,)):
        raise _unsupported(f"a CloudEvent of a different type; this topic is for {own_type}")
    media = (content_type or "application/json").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise _unsupported("CloudEvent data that is not JSON; send datacontenttype application/json")


def _content_type(headers: Headers) -> str:
    return header_text(headers, "content-type").lower()


def _unsupported(message: str) -> RefusedError:
    return RefusedError("decode", "unsupported_format", message)


ENVELOPE = Envelope(title="CloudEvents 1.0", is_announced=is_announced, recognises=looks_structured, open=open_envelope)
