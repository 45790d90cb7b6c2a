"""Record batches written byte by byte, also such as no client would write."""

import struct
from typing import NamedTuple

from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c

CODECS = {"none": (0, bytes), "gzip": (1, gzip_encode), "snappy": (2, snappy_encode), "lz4": (3, lz4_encode)}
CODECS["zstd"] = (4, zstd_encode)


class Written(NamedTuple):
    """One record. Names of headers are bytes."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[bytes, bytes | None]]
    timestamp: int


def varint(number: int) -> bytes:
    """Zigzag, as in a record."""
    left, found = (number << 1) ^ (number >> 63), bytearray()
    left &= (1 << 64) - 1
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    found.append(left)
    return bytes(found)


def _nullable(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def record_of(record: Written, number: int, first_ms: int) -> bytes:
    """The record's bytes with their length before them."""
    delta = (record.timestamp - first_ms + 2**63) % 2**64 - 2**63
    body = b"\0" + varint(delta) + varint(number) + _nullable(record.key) + _nullable(record.value)
    body += varint(len(record.headers))
    body += b"".join(varint(len(name)) + name + _nullable(value) for name, value in record.headers)
    return varint(len(body)) + body


def batch_of(records: list[Written], offset: int = 0, codec: str = "none", body: bytes | None = None) -> bytes:
    """A batch; `body` stands for the bytes of its records."""
    first_ms = records[0].timestamp
    plain = b"".join(record_of(record, number, first_ms) for number, record in enumerate(records))
    number, compress = CODECS[codec]
    data = compress(plain) if body is None else body
    count, newest_ms = len(records), max(record.timestamp for record in records)
    rest = struct.pack(">hiqqqhii", number, count - 1, first_ms, newest_ms, -1, -1, -1, count) + bytes(data)
    head = struct.pack(">ibI", 0, 2, calc_crc32c(rest))
    return struct.pack(">qi", offset, len(head) + len(rest)) + head + rest


class RawBatch(BatchBuilder):
    """Bytes that a producer sends as they are."""

    def __init__(self, records: list[Written], codec: str = "none") -> None:
        super().__init__(1 << 20, 0)
        self._raw, self._count = batch_of(records, codec=codec), len(records)
        self.close()

    def _build(self) -> bytearray:
        return bytearray(self._raw)

    def record_count(self) -> int:
        """How many records it has."""
        return self._count

    def size(self) -> int:
        """Its bytes."""
        return len(self._raw)
