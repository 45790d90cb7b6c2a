"""Deterministic ids: the same event gives the same id however often and wherever it is processed."""

from uuid import UUID, uuid5

NAMESPACE = UUID("6f1f7d3e-52c2-5f0a-9a41-3f3f7f0a9d11")
"""Chosen once; changing it would make every stored anomaly a new one."""

SEPARATOR = "\x1f"
"""Unit separator, so that ("a", "b:c") and ("a:b", "c") differ; ids may hold any printable character."""


def derived_id(*parts: str) -> str:
    """UUIDv5 of the parts.

    >>> derived_id("spike_in_failures", "workflow:nightly", "42", "")
    '1065829a-cfbd-5714-97f3-df5ca44f533e'
    """
    return str(uuid5(NAMESPACE, SEPARATOR.join(parts)))


def workflow_key(workflow_id: str) -> str:
    """State key of a workflow."""
    return f"workflow:{workflow_id}"


def score_key(entity_id: str) -> str:
    """State key of a scored entity."""
    return f"score:{entity_id}"
