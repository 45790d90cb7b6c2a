"""X20: every source in the same matrix, and each value of each payload replaced by an odd one."""

import json
import random
from pathlib import Path

import pytest

from stream_detector.events import Completion, RefusedError
from stream_detector.events.decode import DECODERS
from stream_detector.events.encode import encode
from stream_detector.events.inputs import kind_of_event
from stream_detector.events.sources import SOURCES, find_source
from stream_detector.events.sources.source import Source
from tests.unit.events.source_matrix import COLUMNS, ODD, OF_JSON, PAYLOADS, changed, example, places, read, row_of

by_source = pytest.mark.parametrize("source", OF_JSON, ids=lambda source: source.name)
FILES = [(source, path) for source in SOURCES.values() for path in sorted(PAYLOADS.glob(f"{source.name}_*.json"))]
by_file = pytest.mark.parametrize(("source", "path"), FILES, ids=lambda value: getattr(value, "stem", ""))


@by_source
def test_x20_a_source_is_right_in_every_column_of_the_matrix(source: Source) -> None:
    assert tuple(row_of(source)) == COLUMNS


@by_source
def test_x20_what_is_needed_is_there_and_without_it_the_payload_is_not_read(source: Source) -> None:
    document = example(source)
    there = set(places(document))
    assert set(source.needed) <= there
    for place in ("id", "workflow", "status", "finished"):
        assert getattr(source.places, place) in there
    assert not isinstance(read(source, changed(document, source.places.id)), Completion)
    assert not isinstance(read(source, changed(document, source.places.status)), Completion)


@by_file
def test_x20_any_two_odd_values_are_read_or_refused_and_nothing_else(source: Source, path: Path) -> None:
    document = json.loads(path.read_text("utf-8"))
    chosen = random.Random(path.stem)
    every = list(places(document))
    for _ in range(150):
        first, second = chosen.choice(every), chosen.choice(every)
        value = changed(document, first, chosen.choice(ODD))
        if second.startswith(first) or first.startswith(second):
            second = ""
        value = changed(json.loads(value), second, chosen.choice(ODD)) if second else value
        try:
            reading = source.read(value)
        except RefusedError as error:
            assert error.message and "\n" not in error.message
            continue
        assert reading.events or reading.ignored or reading.refused
        for event in reading.events:
            assert DECODERS[kind_of_event(event)](encode(event), (), -1) == event


@by_file
def test_x20_a_payload_is_recognised_as_its_source_alone(source: Source, path: Path) -> None:
    assert find_source(json.dumps(json.loads(path.read_text("utf-8"))).encode()) is source


@by_file
def test_x20_half_a_payload_is_refused(source: Source, path: Path) -> None:
    whole = path.read_bytes().strip()
    for end in range(0, len(whole), 31):
        with pytest.raises(RefusedError):
            source.read(whole[:end])


@by_source
@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"null", b"\xff", b"[" * 100_000, b'{"a":' * 10_000, b'{"a":"\xff"}', b" " * 10_000_000, b"{}"],
    ids=lambda value: repr(value[:10]),
)
def test_x20_what_is_no_payload_is_refused(source: Source, value: bytes) -> None:
    with pytest.raises(RefusedError):
        source.read(value)


@by_source
@pytest.mark.parametrize("at", ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", 0])
def test_x20_no_time_that_a_clock_cannot_show_is_believed(source: Source, at: object) -> None:
    event = read(source, changed(example(source), source.places.finished, at))
    assert not isinstance(event, Completion) or 2000 <= event.finished_at.year < 2100
