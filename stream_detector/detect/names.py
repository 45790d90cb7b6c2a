"""The hashes that steps, resources and labels are remembered by. They recur in every event."""

from functools import lru_cache
from zlib import crc32


@lru_cache(maxsize=20_000)
def hash_of(name: str) -> int:
    """CRC-32 of a name.

    >>> hash_of("memory") == crc32(b"memory")
    True
    """
    return crc32(name.encode())


@lru_cache(maxsize=20_000)
def hash_of_label(name: str, value: str) -> int:
    """CRC-32 of a label.

    >>> hash_of_label("branch", "main") == crc32(b"branch\\x1fmain")
    True
    """
    return crc32(f"{name}\x1f{value}".encode())
