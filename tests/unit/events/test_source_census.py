"""The census of sources: what the detector publishes on the topic `clock` and the notifier reads."""

import msgspec
import pytest

from stream_detector.events import RefusedError
from stream_detector.events.decode_census import decode_source_census
from stream_detector.events.encode import encode
from stream_detector.events.examples import SOURCE_CENSUS
from stream_detector.events.source_census import SourceCensus, SourceCount, census_key


def test_what_is_written_is_read_again() -> None:
    assert decode_source_census(encode(SOURCE_CENSUS)) == SOURCE_CENSUS
    assert census_key(SOURCE_CENSUS.partition) == b"sources/3"


def test_a_later_version_may_add_fields_and_zeros_are_left_out() -> None:
    small = SourceCensus(schema_version=1, partition=0, sources={"api": SourceCount(scheduled=0, missed=0)})
    written = msgspec.json.decode(encode(small))
    assert written == {"schema_version": 1, "partition": 0, "sources": {"api": {"scheduled": 0, "missed": 0}}}
    written["sources"]["api"]["irregular"] = 7
    assert decode_source_census(msgspec.json.encode(written | {"of": 8})) == small


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null_value"),
        (b"{", "not_json"),
        (b'{"schema_version":2,"partition":0}', "unknown_value"),
        (b'{"schema_version":1}', "missing_field"),
        (b'{"schema_version":1,"partition":0,"sources":{"a":{"scheduled":-1,"missed":0}}}', "out_of_range"),
        (b'{"schema_version":1,"partition":0,"sources":{"a\\u0000":{"scheduled":1,"missed":0}}}', "nul_character"),
    ],
)
def test_anything_else_is_refused_with_its_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        decode_source_census(value)
    assert refused.value.reason == reason
