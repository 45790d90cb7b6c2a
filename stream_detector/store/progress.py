"""How far the recorder is, for health."""

import time
from datetime import datetime
from typing import NamedTuple

import asyncpg


class Progress(NamedTuple):
    """How far the recorder is."""

    recorded_at: datetime | None
    """When it last stored something."""
    newest_event_at: datetime | None
    """The newest time of an event stored."""
    events_at: datetime | None
    """When an execution or score was stored last that was not stored before."""
    baselines_at: datetime | None
    """When the detector's changelog last brought something."""
    database_ms: float


async def progress(pool: asyncpg.Pool) -> Progress:
    """For health. Raises what asyncpg raises where the database is away."""
    started = time.perf_counter()
    found = await pool.fetchrow(
        "SELECT recorded_at, newest_event_at, events_at, baselines_at FROM recorder_progress", timeout=2
    )
    took_ms = (time.perf_counter() - started) * 1000
    if found is None:
        return Progress(None, None, None, None, took_ms)
    return Progress(found["recorded_at"], found["newest_event_at"], found["events_at"], found["baselines_at"], took_ms)
