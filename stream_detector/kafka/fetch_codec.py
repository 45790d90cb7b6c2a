"""Fetch requests and responses of version 11 (Kafka 2.3 and newer), read and written by whole structures.

aiokafka reads and writes them field by field. The detector reads 24 partitions, which all are named in every request
and response: 80 us to write and 110 to read, 17 and 44 so (CPython 3.11). At low rates nearly every event is a fetch.
Other versions are left to aiokafka. Layout: https://kafka.apache.org/protocol#The_Messages_Fetch.
"""

import struct
from io import BytesIO
from typing import Any

from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11

_COUNT, _LENGTH = struct.Struct(">i"), struct.Struct(">h")
_REQUEST = struct.Struct(">iiiibiii")
"""Replica, longest wait, least and most bytes, isolation, session and its epoch, number of topics."""
_ASKED = struct.Struct(">iiqqi")
"""Partition, leader epoch, offset, log start, most bytes."""
_RESPONSE = struct.Struct(">ihii")
"""Throttling, error, session, number of topics."""
_ANSWERED = struct.Struct(">ihqqqi")
"""Partition, error, high watermark, last stable offset, log start, number of aborted transactions."""
_ABORTED = struct.Struct(">qq")
_RECORDS = struct.Struct(">ii")
"""Preferred replica, bytes of records (-1: none)."""

_Answer = tuple[Any, ...]
"""One partition's, in the order of aiokafka's schema."""


def encode(request: FetchRequest_v11) -> bytes:
    """The request's bytes, the same that aiokafka writes."""
    its: dict[str, Any] = request.__dict__
    topics = its["topics"]
    head = (its[name] for name in FetchRequest_v11.SCHEMA.names[:7])
    parts = [_REQUEST.pack(*head, len(topics))]
    for topic, partitions in topics:
        name = topic.encode()
        parts += (_LENGTH.pack(len(name)), name, _COUNT.pack(len(partitions)))
        parts += [_ASKED.pack(*partition) for partition in partitions]
    parts.append(_COUNT.pack(len(its["forgotten_topics_data"])))
    for topic, numbers in its["forgotten_topics_data"]:
        name = topic.encode()
        parts += (_LENGTH.pack(len(name)), name, _COUNT.pack(len(numbers)), *map(_COUNT.pack, numbers))
    rack = its["rack_id"].encode()
    return b"".join((*parts, _LENGTH.pack(len(rack)), rack))


def decode(data: BytesIO | bytes) -> FetchResponse_v11:
    """The response that aiokafka would read. Raises `ValueError` where bytes are missing."""
    at = 0 if isinstance(data, bytes) else data.tell()
    read = data if isinstance(data, bytes) else data.getvalue()  # shares the bytes, does not copy
    try:
        throttled, error, session, count = _RESPONSE.unpack_from(read, at)
        at += _RESPONSE.size
        topics = []
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(read, at)
            at += 2 + length
            topic = read[at - length : at].decode()
            (partitions,) = _COUNT.unpack_from(read, at)
            at += 4
            answered: list[_Answer] = []
            for _ in range(partitions):
                at = _partition(read, at, answered)
            topics.append((topic, answered))
    except struct.error as cut_off:
        raise ValueError(f"a fetch response is truncated: {cut_off}") from None
    return FetchResponse_v11(throttled, error, session, topics)


def _partition(read: bytes, at: int, answered: list[_Answer]) -> int:
    number, error, highwater, stable, start, aborted = _ANSWERED.unpack_from(read, at)
    at += _ANSWERED.size
    transactions = None if aborted < 0 else [_ABORTED.unpack_from(read, at + 16 * n) for n in range(aborted)]
    at += 16 * max(0, aborted)
    replica, length = _RECORDS.unpack_from(read, at)
    at += _RECORDS.size
    end: int = at + max(0, length)
    if end > len(read):
        raise ValueError("a fetch response ends within its records")
    records = None if length < 0 else read[at:end]
    answered.append((number, error, highwater, stable, start, transactions, replica, records))
    return end
