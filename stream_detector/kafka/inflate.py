"""The bytes of a compressed record batch: at once up to a bound, and in pieces where they are more.

aiokafka inflates a batch whole, whatever comes of it: 12 kB of zstd can be 400 MB. `at_once` takes the place of its
decoders (`aiokafka_patches`) and fails where a batch is larger than `WHOLE_BYTES`. Such a batch is read record by
record from `in_pieces`, with no more in memory than the record itself. The library of lz4 and zstd (cramjam) inflates
into a buffer or a file and nothing else: here that file is a pipe.
"""

import os
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Final

import cramjam

from stream_detector.kafka.snappy_stream import raw_pieces

WHOLE_BYTES: Final = 16 << 20
"""A batch of at most so many bytes is inflated at once. Below the 64 MiB of a worker's chunks in flight, since records
and batch are in memory together, and the notifier has 384 MiB for everything."""
MOST_BYTES: Final = 512 << 20
"""Nothing is inflated further: it would take the event loop for longer than a session."""
PIECE_BYTES: Final = 1 << 18

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
_XERIAL, _XERIAL_HEAD = b"\x82SNAPPY\0", 16
_GZIP_WINDOW = 31
_into: Final[dict[int, Callable[..., int]]] = {LZ4: cramjam.lz4.decompress_into, ZSTD: cramjam.zstd.decompress_into}


class TooLargeError(Exception):
    """A batch is larger than is inflated."""


class NoRoomError(Exception):
    """This fetch has inflated enough: the batch is to be read with the next one."""


class Room:
    """How much one fetch has inflated; the records of all its partitions are in memory together."""

    def __init__(self) -> None:
        self.used = 0
        self.can_pause = False
        """Whoever asks for records comes again for the others."""

    @property
    def is_used_up(self) -> bool:
        """True if what is there is to be used first."""
        return self.can_pause and self.used >= WHOLE_BYTES

    def reset(self) -> None:
        """A new fetch begins."""
        self.used = 0


class _Scratch(threading.local):
    """Where a thread inflates to: made once, since large blocks are cleared whenever they are made."""

    def __init__(self) -> None:
        self.buffer = bytearray(WHOLE_BYTES)


_scratch, room = _Scratch(), Room()


def at_once(codec: int, data: bytes) -> bytes:
    """The bytes of a batch.

    Raises:
        NoRoomError: enough has been inflated in this fetch; nothing was done.
        TooLargeError: they are more than `WHOLE_BYTES`.
        Exception: whatever the codec raises on bytes that it did not write, or that are more.
    """
    if room.is_used_up:
        raise NoRoomError
    if codec == GZIP:
        found = _gunzip(data)
    elif codec == SNAPPY:
        found = _unsnap(data)
    else:
        count = _into[codec](data, _scratch.buffer)
        found = bytes(memoryview(_scratch.buffer)[:count])
    room.used += len(found)
    return found


def _gunzip(data: bytes) -> bytes:
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    found = inflater.decompress(data, WHOLE_BYTES)
    if not inflater.eof or inflater.unused_data:
        raise TooLargeError  # or of several members, or cut off: the slower way shows which
    return found


def _unsnap(data: bytes) -> bytes:
    blocks = list(_snappy_blocks(data))
    if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > WHOLE_BYTES:
        raise TooLargeError
    return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)


def _snappy_blocks(data: bytes) -> Iterator[bytes]:
    """The blocks of the framing that Kafka's own client writes; without it all is one block."""
    if len(data) <= _XERIAL_HEAD or not data.startswith(_XERIAL):
        yield data
        return
    at = _XERIAL_HEAD
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big", signed=True)
        at += 4
        if length < 0 or at + length > len(data):
            raise ValueError("a block is longer than the batch")
        yield data[at : at + length]
        at += length


def in_pieces(codec: int, data: bytes) -> Iterator[bytes]:
    """The bytes of a batch in pieces of at most about `PIECE_BYTES`, `MOST_BYTES` in all.

    Raises:
        TooLargeError: there are more.
        Exception: whatever the codec raises on bytes that it did not write.
    """
    total, pieces = 0, _PIECES.get(codec)
    for piece in pieces(data) if pieces else _piped(codec, data):
        total += len(piece)
        if total > MOST_BYTES:
            raise TooLargeError(f"more than {MOST_BYTES} bytes")
        yield piece


def _plain(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), PIECE_BYTES):
        yield data[at : at + PIECE_BYTES]


def _gzip_pieces(data: bytes) -> Iterator[bytes]:
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    for given in _plain(data):  # what is left of it is copied with each piece
        while given:
            if inflater.eof:  # another member follows, or padding
                if not (given := given.lstrip(b"\0")):
                    break
                inflater = zlib.decompressobj(_GZIP_WINDOW)
            if piece := inflater.decompress(given, PIECE_BYTES):
                yield piece
            given = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    while piece := inflater.decompress(b"", PIECE_BYTES):
        yield piece
    if not inflater.eof:
        raise EOFError("it ends within a member")


def _snappy_pieces(data: bytes) -> Iterator[bytes]:
    for block in _snappy_blocks(data):
        if cramjam.snappy.decompress_raw_len(block) <= PIECE_BYTES:
            yield bytes(cramjam.snappy.decompress_raw(block))
        else:
            yield from raw_pieces(block, PIECE_BYTES)


_PIECES: Final[dict[int, Callable[[bytes], Iterator[bytes]]]] = {
    NONE: _plain,
    GZIP: _gzip_pieces,
    SNAPPY: _snappy_pieces,
}


def _piped(codec: int, data: bytes) -> Iterator[bytes]:
    """What a thread inflates into a pipe, which holds it up until it is read."""
    reads, writes = os.pipe()
    failed: list[BaseException] = []
    thread = threading.Thread(target=_inflate_into, args=(codec, data, writes, failed), daemon=True)
    try:
        thread.start()
        while piece := os.read(reads, PIECE_BYTES):
            yield piece
        thread.join()
        if failed:
            raise failed[0]
    finally:
        os.close(reads)  # whatever is left to write fails, and the thread ends
        thread.join()


def _inflate_into(codec: int, data: bytes, writes: int, failed: list[BaseException]) -> None:
    pipe = None
    try:
        try:
            pipe = cramjam.File(f"/dev/fd/{writes}", read=False, write=True, truncate=False)
        finally:
            os.close(writes)
        _into[codec](data, pipe)
    except BaseException as error:
        failed.append(error)
    finally:
        pipe = None  # its last name: it is closed here, and its reader sees the end
