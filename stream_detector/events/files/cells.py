"""Cells of a table as JSON values, and the record that a row becomes. A `RefusedError` names the column."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

import msgspec
from msgspec import Raw

from stream_detector.events.inputs import Kind
from stream_detector.events.lines import Record
from stream_detector.events.refused import RefusedError
from stream_detector.events.written import JSON_NUMBER, rfc3339


class Row(dict[str, str]):
    """Column -> cell."""

    problem: RefusedError | None = None
    """Why the row cannot be used as a whole."""


Rows = Iterable[tuple[int, Row]]
Layout = Callable[[Rows, str], Iterator[Record]]

_json = msgspec.json.Encoder().encode


def check_row(row: Row) -> None:
    """Accept a row that has all its cells, in text."""
    if row.problem is not None:
        raise row.problem


def number(column: str, text: str) -> Raw:
    """The digits as they stand, so that decimals stay exact."""
    text = text.strip()
    if not JSON_NUMBER.fullmatch(text):
        raise RefusedError("validate", "bad_number", f"{column} is not a number; write it as, for example, 12.5")
    return Raw(text)


def instant(column: str, text: str) -> datetime:
    """The time; in UTC where the text has no zone, as in public data sets."""
    try:
        at = datetime.fromisoformat(rfc3339(text) or text.strip())
    except ValueError:
        raise RefusedError("validate", "bad_time", f"{column} is not a time; write 2026-01-22 00:05:00") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def record(line: int, kind: Kind, **fields: object) -> Record:
    """The record of an event with these fields."""
    return Record(line, kind, _json(fields))
