"""The JSON values of a text with their lines: one a line, several over many lines, or an array in either form."""

import io
import json
import re
from collections import deque
from collections.abc import Iterator

import msgspec
from msgspec import Raw

from stream_detector.events.files.opened import MAX_BYTES_OF_ONE, HistoryError
from stream_detector.events.reasons import not_utf8
from stream_detector.events.refused import RefusedError

Value = tuple[int, bytes, RefusedError | None]
"""The line on which it begins, counted from 1; its JSON, empty where there is an error."""

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A payload of another system may be larger than an event; what is longer is cut off and refused by its size."""

_elements = msgspec.json.Decoder(list[Raw]).decode
_any = msgspec.json.Decoder(Raw).decode
_GOES_ON = b"{[,:"
_START = re.compile(r"^[{\[]", re.MULTILINE)
_SPACE = re.compile(r"\s*")
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
"""msgspec's error about what follows a value; it has read the first byte of that."""
_DEEP = "nested too deeply; send only the fields of the contract"


def json_values(stream: io.BufferedReader, name: str, *, splits: bool = True) -> Iterator[Value]:
    """Each value; an array's elements one by one. An error stands where a value should.

    Whether values take a line each shows by the first line. Raises `HistoryError` for a document of many lines that
    does not fit in memory.

    Args:
        splits: whether a line is looked at for several values, 1 us a line; otherwise `values_of_line` does.
    """
    number, begun = 0, b""
    while not begun:
        line = stream.readline(MAX_BYTES_OF_ONE)
        if not line:
            return
        number, begun = number + 1, line.strip()
    if _goes_on(begun, stream):
        yield from _document(line + stream.read(MAX_BYTES_OF_ONE), number, name)
        return
    while line:
        if not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        value = line.strip()
        if value[:1] == b"[":
            yield from _array(value, number)
        elif splits:
            yield from values_of_line(value, number)
        elif value:
            yield number, value, None
        number, line = number + 1, stream.readline(MAX_LINE_BYTES)


def values_of_line(value: bytes, number: int) -> Iterator[Value]:
    """The values of a line that begins with none of an array, as `gh api --paginate` prints the pages of a list."""
    if b"}{" in value or b"} {" in value:
        for part in _parts(value):
            yield from _array(part, number) if part[:1] == b"[" else ((number, part, None),)
    elif value:
        yield number, value, None


def _goes_on(begun: bytes, stream: io.BufferedReader) -> bool:
    """Whether the value goes on after its first line: a cut-off line is followed by whole ones, and has another end."""
    try:
        _any(begun)
    except (msgspec.DecodeError, RecursionError) as error:
        if _TRAILING.search(str(error)):  # the last of several may be the one that goes on
            last = deque(_parts(begun), maxlen=1)[0]
            return len(last) < len(begun) and _goes_on(last, stream)
        cut = isinstance(error, msgspec.DecodeError) and "truncated" in str(error)
        return cut and (begun[-1:] in _GOES_ON or stream.peek(1)[:1] in (b" ", b"\t"))
    return False


def _array(value: bytes, number: int) -> Iterator[Value]:
    """The elements of an array on one line."""
    try:
        elements = _elements(value)
    except (msgspec.MsgspecError, RecursionError):
        parts = list(_parts(value))
        if len(parts) == 1:
            yield number, value, None  # its reader says what is wrong with it
            return
        for part in parts:
            yield from _array(part, number) if part[:1] == b"[" else ((number, part, None),)
        return
    for element in elements:
        yield number, bytes(element), None


def _parts(value: bytes) -> Iterator[bytes]:
    """The values of a line; what is broken is the last one, with all that follows it."""
    view, at = memoryview(value), 0
    while at < len(value):
        length = _first_length(view[at:])
        if part := value[at : at + length].strip():
            yield part
        at += length


def _first_length(view: memoryview) -> int:
    """The bytes of the first value, with the space behind it; all of them where it is broken or the only one."""
    try:
        _any(view)
    except msgspec.DecodeError as error:
        if found := _TRAILING.search(str(error)):
            return max(1, int(found[1]) - 1)
    except RecursionError:
        pass
    return len(view)


def _document(whole: bytes, number: int, name: str) -> Iterator[Value]:
    if len(whole) > MAX_BYTES_OF_ONE:
        raise HistoryError(
            f"{name} is one JSON document of more than {MAX_BYTES_OF_ONE:,} bytes; write one event per line, for "
            "example with `jq -c '.[]'`"
        )
    try:
        elements = _elements(whole)
    except (msgspec.MsgspecError, RecursionError):
        yield from _several(whole, number)
        return
    yield from _placed(whole, elements, number)


def _placed(whole: bytes, elements: list[Raw], number: int) -> Iterator[Value]:
    """The elements of an array, with the line that each begins on."""
    after = 0
    for element in elements:
        value = bytes(element)
        at = whole.index(value, after)
        number += whole.count(b"\n", after, at)
        yield number, value, None
        number += value.count(b"\n")
        after = at + len(value)


def _several(whole: bytes, first: int) -> Iterator[Value]:
    """Values one after the other, over any number of lines. After one that is broken, the next line that begins one."""
    try:
        text = whole.decode()
    except UnicodeDecodeError as error:
        yield first + whole.count(b"\n", 0, error.start), b"", not_utf8()
        return
    decoder = json.JSONDecoder()
    at, number, counted = 0, first, 0
    while (at := _after_space(text, at)) < len(text):
        number, counted = number + text.count("\n", counted, at), at
        try:
            _, end = decoder.raw_decode(text, at)
        except RecursionError:
            yield number, b"", RefusedError("decode", "too_deep", _DEEP)
            return
        except ValueError as error:
            yield number, b"", _broken(error, text, first)
            following = _START.search(text, at + 1)
            if text[at] == "[" or following is None:
                return
            at = following.start()
            continue
        value = text[at:end].encode()
        yield from _placed_in(value, number)
        at = end


def _placed_in(value: bytes, number: int) -> Iterator[Value]:
    """The value, or the elements of an array."""
    if value[:1] != b"[":
        yield number, value, None
        return
    try:
        elements = _elements(value)
    except (msgspec.MsgspecError, RecursionError):
        yield number, value, None  # its reader refuses what Python's parser accepts and JSON does not have
        return
    yield from _placed(value, elements, number)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _broken(error: ValueError, text: str, first: int) -> RefusedError:
    """What is wrong with JSON, and on which line."""
    if not isinstance(error, json.JSONDecodeError):
        return RefusedError("decode", "not_json", "not JSON; send one JSON object per event")
    left = text[error.pos :].strip()
    if not left or (error.msg.startswith("Unterminated") and "\n" not in left):
        return RefusedError("decode", "not_json", "not JSON: the file ends within this value; it was cut off")
    line = error.lineno + first - 1
    return RefusedError("decode", "not_json", f"not JSON: see line {line}, column {error.colno}; correct it there")
