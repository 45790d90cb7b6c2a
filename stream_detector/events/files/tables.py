"""Tables (CSV with a header, Parquet) in our own columns, and which layout a header means.

Each layout is a generator: rows with their line numbers in, records with JSON of our contracts out. Nothing is
validated here but what JSON cannot carry on: `history` has the decoder check every value, so a table is held to exactly
what a record on Kafka is held to.
"""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from stream_detector.events.completion import Completion
from stream_detector.events.files.cells import Layout, Row, Rows, check_row, number, record
from stream_detector.events.files.columns import (
    CsvTable,
    Header,
    Table,
    check_names,
    check_text,
    folded,
    rows_of,
)
from stream_detector.events.files.opened import PARQUET, HistoryError
from stream_detector.events.files.parquet import ParquetTable
from stream_detector.events.files.public_data import ci_builds, ci_tests, poll_runs, series
from stream_detector.events.inputs import Kind
from stream_detector.events.lines import Record
from stream_detector.events.mapping.mapping import NO_EVENT, NUMBERS, Mapping, all_paths
from stream_detector.events.refused import RefusedError
from stream_detector.events.score import Score
from stream_detector.events.start import Start

_COMPLETION = {"execution_id", "workflow_id", "status", "started_at", "finished_at"}
_START = {"execution_id", "workflow_id", "state", "started_at"}
_SCORE = {"entity_id", "entity_name", "score", "scored_at"}
_CI = {"environment", "build_id", "test_id", "ran_at", "duration_s", "failed"}
_POLLS = {"run_id", "date", "entity_name", "score"}
_SERIES = {"timestamp", "value"}
_NUMBERS = {"duration_s", "attempt", "limit_s", "score", "previous_score"}
_NULLABLE = {"duration_s"}
"""An empty cell of these is null: not known. Absent would say something else (X4)."""
_LABEL = "label."
_OBJECTS: dict[str, type[dict[str, Any]] | type[list[Any]]] = {"labels": dict, "resources": dict, "steps": list}
"""A cell of these is JSON, as databases write a nested column."""
_FEWEST_COLUMNS = 3
_OWN_FIELDS = {*Completion.__struct_fields__, *Start.__struct_fields__, *Score.__struct_fields__}
_NAMES = {folded(name): name for name in sorted(_OWN_FIELDS | _CI | _POLLS | _SERIES)}


def read_table(stream: io.BufferedReader, path_name: str, *, builds: bool) -> Iterator[Record]:
    """The events of a table. Raises `HistoryError` where its columns are not known."""
    table = _opened(stream, path_name)
    header = table.header(lambda names: layout_of(known_names(names), builds=builds) is not None)
    if header is None:
        raise HistoryError(f"{path_name} is empty")
    names = known_names(header.names)
    layout = layout_of(names, builds=builds)
    if layout is None:
        raise HistoryError(f"{path_name}: {_unknown(header)}")
    try:
        check_text("".join(names))
        check_names(names)
    except RefusedError as error:
        yield Record(header.line, None, b"", error)
        return
    name = path_name.rpartition("/")[2].removesuffix(".gz").removesuffix(".zst")
    name = name.removesuffix(".csv").removesuffix(".parquet")
    unknown = tuple(each for each in names if each and each not in _OWN_FIELDS and not each.startswith(_LABEL))
    for each in layout(rows_of(table, header, names, _NUMBERS | {"value"}), name):
        yield each._replace(unknown=unknown) if unknown and layout not in _PUBLIC else each


def read_mapped_table(
    stream: io.BufferedReader, path_name: str, mapping: Mapping, ignored: Counter[str]
) -> Iterator[Record]:
    """The events of a table whose columns a mapping names. Raises `HistoryError` where it has not those columns.

    Args:
        ignored: counts the rows that are no event by the mapping.
    """
    table = _opened(stream, path_name)
    needed = [place for place in mapping.places.values() if place.alternatives]

    def missing(names: Sequence[str]) -> list[str]:
        there = set(_mapped_names(names, mapping))
        return [place.title for place in needed if not any(_has_all(parts, there) for parts in place.alternatives)]

    header = table.header(lambda names: not missing(names))
    if header is None:
        raise HistoryError(f"{path_name} is empty")
    if absent := missing(header.names):
        shown = ", ".join(name for name in header.names if name)
        raise HistoryError(
            f"{path_name} has no column {', '.join(absent)}, which the mapping names; it has {shown[:1000]}"
        )
    names = _mapped_names(header.names, mapping)
    try:
        check_text("".join(names))
        check_names(names)
    except RefusedError as error:
        yield Record(header.line, None, b"", error)
        return
    numbers = {path.column for name in NUMBERS & mapping.places.keys() for path in mapping.places[name].paths}
    for line, row in rows_of(table, header, names, numbers | (NUMBERS if mapping.keeps_own else set())):
        try:
            check_row(row)
            fields = mapping.fields(row, row)
            if fields is not None and mapping.keeps_own:
                fields = _with_own(fields, row)
        except RefusedError as error:
            yield Record(line, mapping.kind, b"", error)
            continue
        if fields is None:
            ignored[NO_EVENT] += 1
        else:
            yield record(line, mapping.kind, **fields)


def plain_rows(stream: io.BufferedReader, path_name: str) -> Iterator[dict[str, str]]:
    """The rows of any table under its own names. Raises `HistoryError`, `RefusedError`."""
    table = _opened(stream, path_name)
    header = table.header(lambda names: False)
    if header is None or len(header.names) < _FEWEST_COLUMNS:
        raise HistoryError(f"{path_name} is neither JSON nor a table with a header")
    check_text("".join(header.names))
    check_names(header.names)
    for _, row in rows_of(table, header, header.names, ()):
        if row.problem is None:
            yield row


def _opened(stream: io.BufferedReader, path_name: str) -> Table:
    """The table in the stream. Raises `HistoryError`."""
    if stream.peek(len(PARQUET))[: len(PARQUET)] == PARQUET:
        return ParquetTable(stream, path_name)
    return CsvTable(stream, path_name)


def _has_all(parts: Sequence[object], names: set[str]) -> bool:
    return all(isinstance(part, str) or getattr(part, "column", "") in names for part in parts)


def _mapped_names(names: Sequence[str], mapping: Mapping) -> list[str]:
    """The columns as the mapping calls them, where they differ in capitals, blanks or hyphens alone."""
    mapped = {path.column for path in all_paths(mapping)}
    called = {folded(text): text for text in mapped if text not in names}
    named = [name if name in mapped else called.get(folded(name), name) for name in names]
    return [name if name in mapped or not mapping.keeps_own else _known_name(name) for name in named]


def _with_own(fields: dict[str, Any], row: Row) -> dict[str, Any]:
    """The same with what a table of ours has besides its fields: labels, and empty cells that mean null."""
    own: dict[str, Any] = {name: None for name in _NULLABLE if row.get(name) == "" and name not in fields}
    own |= {name: _parsed(name, row[name]) for name in _OBJECTS if row.get(name) and name not in fields}
    labels = {name.removeprefix(_LABEL): text for name, text in row.items() if text and name.startswith(_LABEL)}
    return fields | own | ({"labels": (own | fields).get("labels", {}) | labels} if labels else {})


def known_names(names: Sequence[str]) -> list[str]:
    """Our own names for those that differ in capitals, blanks or hyphens alone; the others as they are."""
    return [_known_name(name) for name in names]


def _known_name(name: str) -> str:
    begin, dot, label = name.partition(".")
    if dot and folded(begin) in ("label", "labels"):
        return f"{_LABEL}{label}"
    return _NAMES.get(folded(name), name)


def _unknown(header: Header) -> str:
    """What is missing from a header, for whoever wrote it."""
    names = set(known_names(header.names))
    near = max((_COMPLETION, _SCORE), key=lambda needed: len(needed & names))
    if near & names:
        missing = ", ".join(sorted(near - names))
        return f"the table has no column {missing}; name it in the header, or map yours with --map"
    return (
        "neither JSON Lines nor a known CSV format; the header of a CSV file is, for example, "
        "execution_id,workflow_id,status,started_at,finished_at or entity_id,entity_name,score,scored_at; "
        "`stream-detector validate --suggest` proposes a mapping (--map) for others"
    )


def layout_of(columns: Sequence[str], *, builds: bool) -> Layout | None:
    """The layout that these columns mean, None where they mean none."""
    names = set(columns)
    if names >= _COMPLETION:
        return _own("completion")
    if names >= _START:
        return _own("start")
    if names >= _SCORE:
        return _own("score")
    if names >= _CI:
        return ci_builds if builds else ci_tests
    if names >= _POLLS:
        return poll_runs
    return series if names == _SERIES else None


def _own(kind: Kind) -> Layout:
    """Our own field names; `label.team` is the label `team`; an empty cell is an absent field, of a duration null."""

    def read(rows: Rows, name: str) -> Iterator[Record]:
        for line, row in rows:
            fields: dict[str, Any] = {}
            labels: dict[str, str] = {}
            try:
                check_row(row)
                for column, text in row.items():
                    if text and column.startswith(_LABEL):
                        labels[column.removeprefix(_LABEL)] = text
                    elif text and column in _OBJECTS:
                        fields[column] = _parsed(column, text)
                    elif text:
                        fields[column] = number(column, text) if column in _NUMBERS else text
                    elif column in _NULLABLE:
                        fields[column] = None
            except RefusedError as error:
                yield Record(line, kind, b"", error)
                continue
            if labels:
                fields["labels"] = fields.get("labels", {}) | labels
            yield record(line, kind, **fields)

    return read


def _parsed(column: str, text: str) -> Any:
    """The JSON in a cell. Raises `RefusedError`."""
    expected = _OBJECTS[column]
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        found = None
    if type(found) is not expected:
        shown = "a JSON object" if expected is dict else "a JSON array"
        raise RefusedError("validate", "wrong_type", f"{column} is not {shown}; write one, or leave the cell empty")
    return found


_PUBLIC = (ci_tests, ci_builds, poll_runs, series)
