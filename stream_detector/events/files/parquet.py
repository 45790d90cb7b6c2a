"""Tables in Parquet, by pyarrow (the extra `parquet`): their rows with the cells that a CSV file would have.

A cell is the text of its value, so that a table means the same in both formats and is held to the same checks: a number
as it is stored, a time with its zone and none where the column has none, nothing for null. Read in batches; what is in
memory at once is a group of rows, as the file was written.
"""

import importlib
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import IO, Any, cast

import msgspec

from stream_detector.events.files.columns import Header
from stream_detector.events.files.opened import HistoryError

_ROWS_AT_ONCE = 4096
_PIECE = 1024 * 1024
_ONE_CELL = ("resources", "steps")
"""Columns of ours whose cells are objects: as JSON in one cell. Of any other object, each field is a column."""
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_json = msgspec.json.Encoder(decimal_format="number").encode


class ParquetTable:
    """The table in the stream. Raises `HistoryError` where pyarrow is missing or cannot read it."""

    def __init__(self, stream: io.BufferedReader, name: str) -> None:
        self._name = name
        try:
            self._arrow: Any = importlib.import_module("pyarrow")
            self._compute: Any = importlib.import_module("pyarrow.compute")
            parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise HistoryError(
                f"{name} is Parquet, which pyarrow reads: pip install 'stream-detector[parquet]', or write it as CSV "
                "or JSON Lines, for example with DuckDB"
            ) from None
        self._source = _seekable(stream)
        try:
            self._file = parquet.ParquetFile(self._source, buffer_size=_PIECE)
        except (self._arrow.ArrowException, OSError) as error:
            raise self._unreadable(error) from None

    def header(self, is_known: Callable[[Sequence[str]], bool]) -> Header | None:
        """The columns; that of a nested field is its path with dots. Line 0, since the first row is number 1."""
        names = [name.strip() for field in self._file.schema_arrow for name in self._names(field.name, field.type)]
        return Header(0, ",", names, False)

    def cells(self, header: Header) -> Iterator[tuple[int, list[str]]]:
        """Each row's number, from 1, and its cells in the order of the header."""
        number = 0
        try:
            for batch in self._file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False):
                named = zip(batch.schema.names, batch.columns, strict=True)
                columns = [cells for name, column in named for cells in self._texts(name, column)]
                for row in zip(*columns, strict=True):
                    number += 1
                    if any(row):
                        yield number, list(row)
        except (self._arrow.ArrowException, OSError, KeyError) as error:
            raise self._unreadable(error) from None

    def _names(self, name: str, kind: Any) -> Iterator[str]:
        if not self._has_columns(name, kind):
            yield name
            return
        for field in kind:
            yield from self._names(f"{name}.{field.name}", field.type)

    def _has_columns(self, name: str, kind: Any) -> bool:
        return name not in _ONE_CELL and bool(self._arrow.types.is_struct(kind))

    def _texts(self, name: str, column: Any) -> Iterator[list[str]]:
        """The cells of each column that `_names` has for this one."""
        types, kind = self._arrow.types, column.type
        if self._has_columns(name, kind):
            for field, part in zip(kind, column.flatten(), strict=True):
                yield from self._texts(f"{name}.{field.name}", part)
        elif types.is_nested(kind):
            values = column.to_pylist(maps_as_pydicts="strict")
            yield ["" if value is None else _json(_without_null(value)).decode() for value in values]
        elif types.is_duration(kind):
            per_second = _UNITS[kind.unit]
            values = column.cast(self._arrow.int64()).to_pylist()
            yield ["" if value is None else f"{Decimal(value) / per_second:f}" for value in values]
        else:
            yield ["" if text is None else text for text in self._plain(column)]

    def _plain(self, column: Any) -> list[str | None]:
        kind, text = column.type, self._arrow.string()
        if self._arrow.types.is_timestamp(kind) and kind.tz:
            column = column.cast(self._arrow.timestamp(kind.unit, "UTC"))  # written with a Z
        try:
            return cast(list[str | None], self._compute.cast(column, text).to_pylist())
        except (self._arrow.ArrowNotImplementedError, self._arrow.ArrowInvalid, UnicodeDecodeError):
            return [None if value is None else _text(value) for value in _undecoded(column, self._arrow).to_pylist()]

    def _unreadable(self, error: Exception) -> HistoryError:
        return HistoryError(f"{self._name} cannot be read as Parquet: {str(error)[:500]}")


def _undecoded(column: Any, arrow: Any) -> Any:
    """Text as bytes: a file may hold text that is no UTF-8."""
    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(arrow.binary()) if arrow.types.is_string(column.type) else column


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _without_null(value: Any) -> Any:
    """A field that is null in one row and not in another is absent there."""
    if isinstance(value, dict):
        return {name: _without_null(each) for name, each in value.items() if each is not None}
    return [_without_null(each) for each in value] if isinstance(value, list) else value


def _seekable(stream: io.BufferedReader) -> IO[bytes]:
    """The stream, or a copy: the columns' places are at the end of a file."""
    if isinstance(stream.raw, io.FileIO) and stream.seekable():
        return stream
    copy = tempfile.TemporaryFile()  # noqa: SIM115
    shutil.copyfileobj(stream, copy, _PIECE)
    copy.seek(0)
    return cast(IO[bytes], copy)
