"""Histories in files: JSON lines of our contracts or of a source, and the tables of `tables.py`, each also gzipped.

`read_history` is what `validate`, `publish` and `replay` share: the same lines, the same checks, the same answer.
It is the one place of this package that opens a file.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from stream_detector.events.decode import decode_received
from stream_detector.events.documents import MAX_BYTES
from stream_detector.events.encode import encode
from stream_detector.events.files.tables import layout_of
from stream_detector.events.inputs import Kind, kind_of_event
from stream_detector.events.lines import Line, Record
from stream_detector.events.reasons import refusal_for
from stream_detector.events.refused import RefusedError
from stream_detector.events.sources import find_source, read_payload

_NOT_OURS = (
    "neither a completion (execution_id, workflow_id), nor a score (entity_id, score), nor a score run (run_id, "
    "status); see the contracts"
)


class HistoryError(Exception):
    """The file as a whole cannot be read. The command line prints it and exits with 2."""


class _Peek(Struct):
    """Just enough of an event, or of the CloudEvent around it, to tell which one it is."""

    execution_id: Raw | UnsetType = UNSET
    workflow_id: Raw | UnsetType = UNSET
    entity_id: Raw | UnsetType = UNSET
    score: Raw | UnsetType = UNSET
    run_id: Raw | UnsetType = UNSET
    specversion: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET


_peek = msgspec.json.Decoder(_Peek).decode


def read_history(path: Path, *, record_ms: int, builds: bool = False) -> Iterator[Line]:
    """Each event of the file in its order, or the refusal of the line it should have been on.

    Args:
        path: the file, plain or gzipped.
        record_ms: what counts as now; an event 10 minutes later is of the future. Below 0 nothing is.
        builds: of a CI table, a build is one execution with its tests as steps, not each test one of its own.

    Raises `HistoryError` where the file cannot be opened or its format is not known.
    """
    try:
        with _opened(path) as stream:
            for record in _records(stream, path, builds):
                yield _checked(record, record_ms)
    except (OSError, EOFError, zlib.error) as error:
        raise HistoryError(f"{path} cannot be read: {error}") from None


def kind_of(value: bytes) -> Kind:
    """Which event of ours a JSON value is. Raises `RefusedError` where it is none."""
    try:
        seen = _peek(value)
        if seen.specversion is not UNSET and seen.data is not UNSET:
            seen = _peek(bytes(seen.data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal_for(error, value) from None
    if seen.execution_id is not UNSET or seen.workflow_id is not UNSET:
        return "completion"
    if seen.entity_id is not UNSET or seen.score is not UNSET:
        return "score"
    if seen.run_id is not UNSET:
        return "score_run"
    raise RefusedError("decode", "unsupported_format", _NOT_OURS)


def _opened(path: Path) -> io.BufferedReader:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return io.BufferedReader(cast(io.RawIOBase, gzip.open(path))) if zipped else path.open("rb")


def _records(stream: io.BufferedReader, path: Path, builds: bool) -> Iterator[Record]:
    start = stream.peek(4096)[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise HistoryError(f"{path} is empty")
    if start[:1] in b"{[\x00":
        yield from _json_lines(stream)
        return
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="", errors="replace")
    rows = csv.DictReader(text)
    layout = layout_of(rows.fieldnames or (), builds=builds)
    if layout is None:
        raise HistoryError(
            f"{path}: neither JSON Lines nor a known CSV format; the header of a CSV file is, for example, "
            "execution_id,workflow_id,status,started_at,finished_at or entity_id,entity_name,score,scored_at"
        )
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    try:
        yield from layout(((rows.line_num, row) for row in rows), name)
    except csv.Error as error:
        raise HistoryError(f"{path}: invalid CSV after line {rows.line_num}: {error}") from None


def _json_lines(stream: IO[bytes]) -> Iterator[Record]:
    number = 0
    while line := stream.readline(MAX_BYTES + 2):
        number += 1
        whole = line
        while whole and not whole.endswith(b"\n"):  # too long: the rest of it belongs to the same line
            whole = stream.readline(MAX_BYTES)
        value = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if not value:
            continue
        try:
            yield from _events_in(number, value)
        except RefusedError as error:
            yield Record(number, None, value, error)


def _events_in(number: int, value: bytes) -> Iterator[Record]:
    """The event, or those of a source's payload: there may be none in it. Raises `RefusedError`."""
    if len(value) > MAX_BYTES:
        yield Record(number, "completion", value)  # the decoder refuses it by its size
        return
    try:
        kind = kind_of(value)
    except RefusedError:
        source = find_source(value)
        if source is None:
            raise
        reading = read_payload(source, value)
        for event in reading.events:
            yield Record(number, kind_of_event(event), encode(event))
        for error in reading.refused:
            yield Record(number, "completion", value, error)
        return
    yield Record(number, kind, value)


def _checked(record: Record, record_ms: int) -> Line:
    if record.error is not None or record.kind is None:
        return Line(record.number, record.kind, record.value, None, record.error)
    try:
        event = decode_received(record.kind, record.value, (), record_ms)
        return Line(record.number, record.kind, record.value, event, None)
    except RefusedError as error:
        return Line(record.number, record.kind, record.value, None, error)
