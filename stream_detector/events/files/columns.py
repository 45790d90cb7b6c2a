"""How a table is written: separator, padding, names of its columns and decimal mark, found out from the file itself."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple, Protocol

from stream_detector.events.duplicates import twice
from stream_detector.events.files.cells import Row, Rows
from stream_detector.events.files.opened import HistoryError, not_utf8_file
from stream_detector.events.refused import RefusedError

SEPARATORS = ",;\t|"
_SAMPLE_ROWS = 200
_FOLDED = re.compile(r"[\s_-]+")
_COMMA = re.compile(r"[+-]?\d+,\d+")
_LIKE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")
_UNDECODED = re.compile("[\udc80-\udcff]")


class Header(NamedTuple):
    """The first row of a table."""

    line: int
    separator: str
    names: list[str]
    padded: bool
    """Blanks stand around names, so those around cells mean nothing either."""


_MOST_CELL = 1_000_000
"""Characters: an event has at most as many bytes. A header that is no table with some separator is one cell, too."""


def folded(name: str) -> str:
    """What names have in common that differ in capitals, blanks, hyphens and underscores.

    >>> folded("Entity ID"), folded("entity_id"), folded(" started-at")
    ('entityid', 'entityid', 'startedat')
    """
    return _FOLDED.sub("", name.casefold())


class Table(Protocol):
    """A table in any format. What cannot be read as a whole raises `HistoryError`."""

    def header(self, is_known: Callable[[Sequence[str]], bool]) -> Header | None:
        """Its columns, None where it is empty; with a choice, those whose names are known."""

    def cells(self, header: Header) -> Iterator[tuple[int, list[str]]]:
        """Each row that has any text, with its line."""


class CsvTable:
    """The table in a text."""

    def __init__(self, stream: io.BufferedReader, name: str) -> None:
        self._lines, self._name = TextLines(stream), name
        csv.field_size_limit(_MOST_CELL)  # of the process: 131,072 by default, and a cell may hold 1,000 steps

    def header(self, is_known: Callable[[Sequence[str]], bool]) -> Header | None:
        """The first row, by the separator with which its names are known."""
        try:
            return read_header(self._lines, is_known)
        except csv.Error as error:
            raise HistoryError(f"{self._name}: invalid CSV in the header: {error}") from None

    def cells(self, header: Header) -> Iterator[tuple[int, list[str]]]:
        """The rows after the header."""
        rows = csv.reader(self._lines, delimiter=header.separator, skipinitialspace=header.padded)
        try:
            yield from _numbered(rows, self._lines, header.padded)
        except csv.Error as error:
            raise HistoryError(f"{self._name}: invalid CSV in line {self._lines.number}: {error}") from None


class TextLines:
    """The lines of a table. Bytes that are no UTF-8 stay as surrogates, which no UTF-8 holds."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self.number += 1
        return line


def read_header(lines: TextLines, is_known: Callable[[Sequence[str]], bool]) -> Header | None:
    """The header, with the separator with which its names are known; else with the one that makes most of them.

    None where there is no line. A first line `sep=;`, as spreadsheets write it, names the separator.
    """
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        return None
    separators = SEPARATORS
    named = first.strip().strip('"')
    if named[:4].lower() == "sep=" and len(named) <= 5:
        separators = named[4:] or "\t"
        first = next(lines, "")
    made = [_header(lines, first, separator) for separator in separators]
    return next((each for each in made if is_known(each.names)), max(made, key=lambda each: len(each.names)))


def _header(lines: TextLines, line: str, separator: str) -> Header:
    cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    names = [cell.strip() for cell in cells]
    padded = any(cell != cell.strip() for cell in line.rstrip("\r\n").split(separator))
    return Header(lines.number, separator, names, padded)


def check_names(names: Sequence[str]) -> None:
    """Accept a header in which no name stands twice. A column without a name is no column."""
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            raise twice(name, "column")
        seen.add(name)


def rows_of(table: Table, header: Header, names: Sequence[str], numbers: Iterable[str]) -> Rows:
    """Each row with its line, by these names; what is wrong with one stands in it. Rows without any text are none.

    Args:
        names: for the header's columns, in their order.
        numbers: the columns that hold numbers, which get a decimal point where the file has commas.
    """
    numeric = [at for at, name in enumerate(names) if name in set(numbers)]
    read = table.cells(header)
    sample = list(islice(read, _SAMPLE_ROWS))
    mark = _DecimalMark(header.separator, [cells[at] for _, cells in sample for at in numeric if at < len(cells)])
    for line, cells in chain(sample, read):
        yield line, _row(names, cells, numeric, mark)


def _numbered(rows: Iterator[list[str]], lines: TextLines, padded: bool) -> Iterator[tuple[int, list[str]]]:
    for cells in rows:
        if any(cells):
            yield lines.number, [cell.strip() for cell in cells] if padded else cells


def _row(names: Sequence[str], cells: list[str], numeric: list[int], mark: "_DecimalMark") -> Row:
    problem = None
    if len(cells) != len(names):
        if len(cells) > len(names) and not any(cells[len(names) :]):
            cells = cells[: len(names)]  # separators at the end of each row
        else:
            problem = RefusedError(
                "decode", "missing_field", "the row has more or fewer cells than the header; quote commas, close quotes"
            )
            cells = [*cells, *[""] * (len(names) - len(cells))]
    try:
        for at in numeric:
            if "," in cells[at] or "." in cells[at]:
                cells[at] = mark.with_point(names[at], cells[at])
    except RefusedError as error:
        problem = problem or error
    if any(not cell.isascii() and _UNDECODED.search(cell) for cell in cells):
        problem = not_utf8_file()
    row = Row(zip(names, cells, strict=False))
    row.pop("", None)
    row.problem = problem
    return row


def check_text(text: str) -> None:
    """Accept text that was UTF-8."""
    if _UNDECODED.search(text):
        raise not_utf8_file()


class _DecimalMark:
    """Comma or point, one for the whole file: with both, nobody knows which separates thousands.

    A comma is taken for the mark where numbers show it (`7,5`), or where commas do not separate the columns and the
    separator is the one of spreadsheets whose decimal mark is the comma (`;`). `1,234` shows nothing.
    """

    def __init__(self, separator: str, sample: Iterable[str]) -> None:
        seen = [text.strip() for text in sample]
        commas = any(_COMMA.fullmatch(text) and not _LIKE_THOUSANDS.fullmatch(text) for text in seen)
        points = any("." in text for text in seen)
        self._mark = "," if commas else "." if points else ""
        self._comma_is_usual = separator == ";"

    def with_point(self, column: str, text: str) -> str:
        """The number with a point. Raises `RefusedError` where nobody knows which number it is."""
        text = text.strip()
        if "," in text and "." in text:
            raise _unclear(column, "both comma and point; write it without separators of thousands, as 1234.5")
        here = "," if "," in text else "."
        if not self._mark:
            if here == "," and not self._comma_is_usual and _LIKE_THOUSANDS.fullmatch(text):
                raise _unclear(column, "a comma that may separate thousands or decimals; write it as 1234 or 1.234")
            self._mark = here
        if here != self._mark:
            raise _unclear(column, f"the decimal mark {here!r}, other numbers have {self._mark!r}; use one")
        return text.replace(",", ".") if _COMMA.fullmatch(text) else text


def _unclear(column: str, what: str) -> RefusedError:
    return RefusedError("validate", "bad_number", f"{column} has {what}")
