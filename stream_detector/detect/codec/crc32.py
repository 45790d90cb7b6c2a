"""The hash that a step, a resource or a label is remembered by. They recur in every event."""

from functools import lru_cache
from zlib import crc32


@lru_cache(maxsize=20_000)
def crc32_of(text: str) -> int:
    """CRC-32 of a text.

    >>> crc32_of("memory") == crc32(b"memory")
    True
    """
    return crc32(text.encode())
