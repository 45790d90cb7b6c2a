"""Cells of a table as JSON values, and the record that a row becomes. A `RefusedError` names the column."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw

from stream_detector.events.inputs import Kind
from stream_detector.events.lines import Record
from stream_detector.events.refused import RefusedError

Row = dict[str, str]
Rows = Iterable[tuple[int, Row]]
Layout = Callable[[Rows, str], Iterator[Record]]

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_json = msgspec.json.Encoder().encode


def check_width(row: Mapping[Any, object]) -> None:
    """Accept a row with as many cells as the header has."""
    if None in row or None in row.values():
        raise RefusedError("decode", "missing_field", "the row has more or fewer cells than the header; quote commas")


def number(column: str, text: str) -> Raw:
    """The digits as they stand, so that decimals stay exact."""
    if not _JSON_NUMBER.fullmatch(text):
        raise RefusedError("validate", "bad_number", f"{column} is not a number; write it as, for example, 12.5")
    return Raw(text)


def instant(column: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise RefusedError("validate", "bad_time", f"{column} is not a time; write 2026-01-22 00:05:00") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def record(line: int, kind: Kind, **fields: object) -> Record:
    """The record of an event with these fields."""
    return Record(line, kind, _json(fields))
