"""The hash that a step, a resource or a label is remembered by."""

from typing import Final
from zlib import crc32

from mypy_extensions import i64

MOST: Final = 20_000
"""So many names are kept with their hash: they recur in every event. About 4 MB."""
MOST_LABELS: Final = 20
MOST_VALUES: Final = 2_000
"""So many values of so many labels: about 8 MB."""
_HASHES: Final[dict[str, int]] = {}
_VALUES: Final[dict[str, dict[str, int]]] = {}
_crc32: Final = crc32


def hash_of(name: str) -> i64:
    """CRC-32 of a name.

    >>> hash_of("memory") == crc32(b"memory")
    True
    """
    known = _HASHES.get(name)
    if known is None:
        if len(_HASHES) >= MOST:
            _HASHES.clear()
        known = _HASHES[name] = _crc32(name.encode())
    return known


def hash_of_label(name: str, value: str) -> i64:
    """CRC-32 of a label.

    >>> hash_of_label("branch", "main") == crc32(b"branch\x1fmain")
    True
    """
    values = _VALUES.get(name)
    if values is None:
        if len(_VALUES) >= MOST_LABELS:
            _VALUES.clear()
        values = _VALUES[name] = {}
    known = values.get(value)
    if known is None:
        if len(values) >= MOST_VALUES:
            values.clear()
        known = values[value] = _crc32(f"{name}\x1f{value}".encode())
    return known
