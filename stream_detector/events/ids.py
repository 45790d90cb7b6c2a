"""Deterministic ids: the same event gives the same id however often and wherever it is processed."""

from hashlib import sha1
from uuid import UUID

NAMESPACE = UUID("6f1f7d3e-52c2-5f0a-9a41-3f3f7f0a9d11")
"""Chosen once; changing it would make every stored anomaly a new one."""

SEPARATOR = "\x1f"
"""Unit separator, so that ("a", "b:c") and ("a:b", "c") differ; ids may hold any printable character."""


_NAMED = sha1(NAMESPACE.bytes, usedforsecurity=False)


def derived_id(*parts: str) -> str:
    """UUIDv5 of the parts (RFC 9562, 5.5), without the UUID objects on the way: 0.8 us instead of 2.7.

    >>> derived_id("spike_in_failures", "workflow:nightly", "42", "")
    '1065829a-cfbd-5714-97f3-df5ca44f533e'
    """
    name = _NAMED.copy()
    name.update(SEPARATOR.join(parts).encode())
    h = name.hexdigest()
    variant = "89ab"[int(h[16], 16) & 3]
    return f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{variant}{h[17:20]}-{h[20:32]}"


def score_key(entity_id: str) -> str:
    """State key of a scored entity; a workflow's is in `variant.py`."""
    return f"score:{entity_id}"
