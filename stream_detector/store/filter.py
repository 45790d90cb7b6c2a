"""Which anomalies, or which incidents, a list or a count is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What is empty or None does not restrict; what is given must hold together."""

    from_at: datetime | None = None
    """Inclusive; of an anomaly its time, of an incident its opening."""
    to_at: datetime | None = None
    """Exclusive, so that ranges side by side share nothing."""
    types: Sequence[str] = ()
    severities: Sequence[str] = ()
    states: Sequence[str] = ()
    entity: str | None = None
    """An entity's id, or a state key; `workflow:<id>` means all variants of the workflow."""
    variant: str | None = None
    """Of a workflow."""
    run_id: str | None = None
    text: str | None = None
    """Part of the entity's name or id, case-insensitive."""
    is_open: bool | None = None
    """Whether the incident goes on."""
    is_acknowledged: bool | None = None
    """Whether somebody has acknowledged the incident."""
