"""From the bytes of a record of the topic `clock` to a source census; apart from it, since who keeps one reads none."""

import msgspec

from stream_detector.events.documents import check_document
from stream_detector.events.reasons import refusal_for
from stream_detector.events.refused import RefusedError
from stream_detector.events.source_census import SourceCensus

_decode = msgspec.json.Decoder(SourceCensus).decode


def decode_source_census(value: bytes | None) -> SourceCensus:
    """What a record of the topic `clock` with such a key holds. Raises `RefusedError`."""
    if value is None:
        raise RefusedError("decode", "null_value", "the record has no value")
    try:
        census = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal_for(error, value) from None
    check_document(value)
    return census
