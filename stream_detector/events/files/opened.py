"""From a file, standard input or a body to plain UTF-8: unpacked, without a byte order mark, in the encoding it has."""

import codecs
import gzip
import io
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import IO, cast

import cramjam

from stream_detector.events.refused import RefusedError

MAX_BYTES_OF_ONE = 256 * 1024 * 1024
"""Of one JSON document that is not written line by line, which is held in memory."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
PARQUET = b"PAR1"
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip file or a spreadsheet (.xlsx); save the table as CSV (UTF-8), or unpack the file"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet (.xls); save the table as CSV (UTF-8)"),
    (b"PARE", "Parquet with an encrypted footer; write it without, or as CSV or JSON Lines"),
    (b"Obj\x01", "Avro, which is not read; write it as JSON Lines"),
    (b"ORC", "ORC, which is not read; write it as CSV or JSON Lines"),
    (b"SQLite format 3\x00", "an SQLite database; export the table as CSV"),
    (b"BZh", "compressed with bzip2; unpack it, or compress it with gzip or zstd"),
    (b"\xfd7zXZ\x00", "compressed with xz; unpack it, or compress it with gzip or zstd"),
    (b"\x04\x22\x4d\x18", "compressed with lz4; unpack it, or compress it with gzip or zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
)
_MARKS: tuple[tuple[bytes, str], ...] = (  # the longer ones first: UTF-16's begins UTF-32's
    (codecs.BOM_UTF8, ""),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PIECE = 64 * 1024


class HistoryError(Exception):
    """The file as a whole cannot be read. The command line prints it and exits with 2."""


def not_utf8_file() -> RefusedError:
    """Of bytes in a file that are no UTF-8, with how to read the file."""
    what = "not UTF-8 text; CP1252? Save the file as UTF-8, or read it with --encoding cp1252"
    return RefusedError("decode", "not_utf8", what)


def open_plain(
    stream: IO[bytes], name: str, encoding: str | None, note: Callable[[str], None], *, unpacks: bool = True
) -> io.BufferedReader:
    """The stream's content as UTF-8, or Parquet as it is. What it was, if neither, is noted.

    Args:
        stream: at its beginning.
        encoding: what the text is encoded in; None: UTF-8, or what a byte order mark or its zero bytes show.
        unpacks: whether compressed content and Parquet are accepted, of any size; otherwise they are refused.

    Raises `HistoryError` for a format that is not read, and while reading for what is not in the encoding.
    """
    reader = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, stream))
    if not unpacks and (reader.peek(2)[:2] == _GZIP or reader.peek(4)[:4] == _ZSTD):
        raise HistoryError(f"{name} is compressed; send it unpacked")
    if reader.peek(2)[:2] == _GZIP:
        reader = io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=reader)))
    elif reader.peek(4)[:4] == _ZSTD:
        reader = _unpacked_zstd(reader, name)
    head = reader.peek(4096)[:4096]
    for magic, what in _OTHERS:
        if head.startswith(magic):
            raise HistoryError(f"{name} is {what}")
    if head.startswith(PARQUET):
        if not unpacks:
            raise HistoryError(f"{name} is Parquet; send CSV or JSON, or publish the file with stream-detector publish")
        return reader
    if encoding is not None:
        return io.BufferedReader(_Recoded(reader, _known(encoding), name))
    for mark, codec in _MARKS:
        if head.startswith(mark):
            if codec:
                break
            reader.read(len(mark))
            return reader
    else:
        codec = _without_mark(head)
    if not codec:
        return reader
    note(f"{name} is read as {codec.upper()}")
    return io.BufferedReader(_Recoded(reader, codec, name))


def in_utf8(body: bytes) -> bytes:
    """A body that is text in UTF-16, by its mark or its zero bytes, in UTF-8 without a mark; any other as it is.

    >>> in_utf8("<a/>".encode("utf-16-be")), in_utf8(b"\\xef\\xbb\\xbf{}"), in_utf8(b"\\0\\0\\0\\x01")
    (b'<a/>', b'{}', b'\\x00\\x00\\x00\\x01')
    """
    marked = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not body.startswith(codecs.BOM_UTF32_LE)
    if codec := "utf-16" if marked else _without_mark(body[:4]):
        with suppress(UnicodeDecodeError):
            return body.decode(codec).encode("utf-8", "surrogatepass")
    return body.removeprefix(codecs.BOM_UTF8)


def _without_mark(head: bytes) -> str:
    """UTF-16 shows by the zero byte of each ASCII character; Confluent's frame begins with two zero bytes or more."""
    if len(head) < 4 or b"\x00" not in head[:4]:
        return ""
    if head[1] == head[3] == 0 and head[0] and head[2]:
        return "utf-16-le"
    return "utf-16-be" if head[0] == head[2] == 0 and head[1] and head[3] else ""


def _known(encoding: str) -> str:
    try:
        codecs.lookup(encoding)
        "".encode(encoding)
    except LookupError:
        raise HistoryError(f"--encoding {encoding}: unknown; for example cp1252, latin-1 or utf-16") from None
    return encoding


def _unpacked_zstd(reader: IO[bytes], name: str) -> io.BufferedReader:
    """By way of a temporary file, so that memory stays bounded: the library has no reader of pieces."""
    with tempfile.NamedTemporaryFile() as packed, tempfile.NamedTemporaryFile() as plain:
        while piece := reader.read(_PIECE):
            packed.write(piece)
        packed.flush()
        try:
            cramjam.zstd.decompress_into(
                cramjam.File(packed.name, read=True, write=True, truncate=False),
                cramjam.File(plain.name, read=True, write=True, truncate=True),
            )
        except (cramjam.DecompressionError, OSError) as error:
            raise HistoryError(f"{name} cannot be unpacked by zstd: {error}") from None
        return open(plain.name, "rb")


class _Recoded(io.RawIOBase):
    """The same text in UTF-8, piece by piece."""

    def __init__(self, source: IO[bytes], encoding: str, name: str) -> None:
        self._source, self._name, self._encoding = source, name, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._left = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        while not self._left and not self._ended:
            piece = self._source.read(_PIECE)
            self._ended = not piece
            try:
                self._left = self._decoder.decode(piece, final=self._ended).encode()
            except UnicodeError as error:
                raise HistoryError(f"{self._name} is not in {self._encoding}: {error}") from None
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)
