"""How the rows of one list get into the database: columns, one statement, and which of two equal rows wins.

A statement takes arrays and reads them with `unnest`: one round trip and one plan whatever the batch's size. What there
is most of, executions, is copied into a table of the session first. A column says its name, its type and its value
once; lists of names and of parameters are made from that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import msgspec

from stream_detector.store.rows import Row

_LAST = datetime(9999, 12, 31, tzinfo=UTC)
_EPOCH, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
JSON = msgspec.json.Encoder()


class Column(NamedTuple):
    """One column: its name, its type in PostgreSQL, and its value of a row."""

    name: str
    type: str
    value: Callable[[Row[Any]], Any]


def column(name: str, type_: str = "text", value: Callable[[Row[Any]], Any] | None = None) -> Column:
    """A column; without `value` it holds the event's attribute of its name."""
    return Column(name, type_, value or attrgetter(f"event.{name}"))


def names(columns: Sequence[Column]) -> str:
    """The names, for a statement.

    >>> names([column("id", "uuid"), column("state")])
    'id, state'
    """
    return ", ".join(each.name for each in columns)


def parameters(columns: Sequence[Column], *, first: int = 1) -> str:
    """One parameter a column, each with its type.

    >>> parameters([column("id", "uuid"), column("state")])
    '$1::uuid, $2::text'
    """
    return ", ".join(f"${number}::{each.type}" for number, each in enumerate(columns, first))


def unnested(columns: Sequence[Column]) -> str:
    """Rows from one array a column.

    >>> unnested([column("id", "uuid"), column("state")])
    'unnest($1::uuid[], $2::text[])'
    """
    return f"unnest({', '.join(f'${number}::{each.type}[]' for number, each in enumerate(columns, 1))})"


@dataclass(frozen=True)
class Staging:
    """A table of the session into which the columns are copied, for the statement to read: large batches are quicker.

    Arrays cost the client twice the time of COPY, and the server `unnest`; together a third of a batch.
    """

    table: str
    columns: str
    """A SELECT that has the columns."""

    @property
    def for_session(self) -> str:
        """Makes it, once a session; it is empty after every transaction."""
        return f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.table} ON COMMIT DELETE ROWS AS {self.columns} WITH NO DATA"

    @property
    def for_transaction(self) -> str:
        """Makes it for the transaction alone: behind a pooler, another version's could still be there."""
        return f"CREATE TEMPORARY TABLE {self.table} ON COMMIT DROP AS {self.columns} WITH NO DATA"


@dataclass(frozen=True)
class Table:
    """How the rows of one list get into the database.

    `keep` says which row of one batch wins when two have the same `key`; the statement says the same for rows that
    are stored already.
    """

    columns: tuple[Column, ...]
    key: Callable[[Row[Any]], Any]
    keep: Literal["first", "last", "earliest"]
    statement: str
    """Takes the columns as arrays, or reads them from `staging`."""
    staging: Staging | None = None
    moment: Callable[[Row[Any]], Any] = attrgetter("event.at")
    """Which of two rows is the earlier."""

    def distinct(self, rows: Sequence[Row[Any]]) -> list[Row[Any]]:
        """The rows without those whose key came twice; order as given."""
        if self.keep == "last":
            newest = {self.key(row): row for row in rows}
            return list(newest.values())
        first: dict[Any, Row[Any]] = {}
        for row in rows:
            known = first.setdefault(self.key(row), row)
            if self.keep == "earliest" and self.moment(row) < self.moment(known):
                first[self.key(row)] = row
        return list(first.values())

    def values(self, rows: Sequence[Row[Any]]) -> list[list[Any]]:
        """One list a column."""
        return [list(map(each.value, rows)) for each in self.columns]


def instant(epoch_ms: int) -> datetime:
    """The UTC instant of a record's time; of one that no calendar has, the nearest.

    >>> instant(1_500).isoformat(), instant(2**62).year
    ('1970-01-01T00:00:01.500000+00:00', 9999)
    """
    try:
        return _EPOCH + timedelta(milliseconds=epoch_ms)
    except OverflowError:
        return _EPOCH if epoch_ms < 0 else _LAST


def event_json(row: Row[Any]) -> bytes:
    """The event as JSON: the record's own bytes where the row has them, so that fields of a later version stay."""
    return JSON.encode(row.event) if row.value is None else row.value


POSITION = (
    column("stream_epoch", "integer", attrgetter("epoch")),
    column("source_partition", "integer", attrgetter("partition")),
    column("source_offset", "bigint", attrgetter("offset")),
)
EVENT_POSITION = (*POSITION, column("source_index", "integer", attrgetter("index")))
"""Of an event, of which a record may have several."""
RECORD_AT = column("record_at", "timestamptz", lambda row: instant(row.record_ms))
EVENT = column("event", "bytea", event_json)
