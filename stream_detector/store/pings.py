"""The newest run of each ping key: which start an end belongs to, and which ping is a repetition.

A ping carries no id, so this is decided here, in one statement a ping, by the clock of the database alone. What would
go wrong otherwise, and what holds:

1. A start is lost, or there was never one: the end after it belongs to no start, so its duration is not known. It must
   not take the start of an earlier run, so a start is used up by its end.
2. Two starts without an end between: the earlier run died. The newest start counts.
3. A client repeats a start whose answer it did not get: within `REPEATED_WITHIN` of a start it is the same one, so the
   time that the first try took is part of the run.
4. A client repeats an end: it is the same run again, under the same id, until the pings pause for `REPEATED_WITHIN` or
   a start comes. Of two ends of one start that differ (`job && curl KEY || curl KEY/fail`) the first counts.
5. The API restarts between start and end, two APIs take one each, or both take the same one at once: the row is locked
   by the statement, and nothing is kept in memory. Neither the client's clock nor an API's is used.

A client that gives the id of the run is not guessed about: start and end with the same id belong together.
"""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import asyncpg

from stream_detector.events.completion import Status

REPEATED_WITHIN = timedelta(seconds=30)
"""More than the longest pause of `curl --max-time 10 --retry 5` (10 s and 16 s), less than the minute of a cron job."""
_LONGEST_RUN = timedelta(days=30)
"""A start without an end for longer is that of a run that died."""

_START = """
    INSERT INTO ping_starts AS known (token_id, execution_id, started_at) VALUES ($1, $2, now())
    ON CONFLICT (token_id) DO UPDATE SET execution_id = excluded.execution_id, started_at = now(), ended_at = NULL,
        last_end_at = NULL, status = NULL
    WHERE known.execution_id <> excluded.execution_id
        AND ($3 OR known.ended_at IS NOT NULL OR known.started_at <= now() - $4::interval)
"""
_RUNNING = """
    SELECT execution_id, greatest(0, extract(epoch FROM now() - started_at)::float8) AS started_ago_s FROM ping_starts
    WHERE token_id = $1 AND ended_at IS NULL AND started_at IS NOT NULL
"""
_BELONGS = """
    CASE WHEN $4 THEN known.execution_id = excluded.execution_id
    WHEN known.ended_at IS NULL THEN known.started_at > now() - $6::interval
    ELSE known.last_end_at > now() - $5::interval
        AND (known.status = excluded.status OR known.started_at IS NOT NULL) END
"""
_END = f"""
    INSERT INTO ping_starts AS known (token_id, execution_id, status, ended_at, last_end_at)
    VALUES ($1, $2, $3, now(), now())
    ON CONFLICT (token_id) DO UPDATE SET
        execution_id = CASE WHEN {_BELONGS} THEN known.execution_id ELSE excluded.execution_id END,
        started_at = CASE WHEN {_BELONGS} THEN known.started_at END,
        status = CASE WHEN {_BELONGS} THEN coalesce(known.status, excluded.status) ELSE excluded.status END,
        ended_at = CASE WHEN {_BELONGS} THEN coalesce(known.ended_at, now()) ELSE now() END,
        last_end_at = now()
    WHERE NOT $4 OR known.execution_id = excluded.execution_id OR known.ended_at IS NOT NULL
    RETURNING execution_id, status, CASE WHEN started_at IS NOT NULL
        THEN greatest(0, extract(epoch FROM ended_at - started_at)::float8) END AS lasted_s,
        greatest(0, extract(epoch FROM now() - ended_at)::float8) AS ended_ago_s
"""  # noqa: S608 - constants of this module


class PingedRun(NamedTuple):
    """A run that has ended."""

    execution_id: str
    status: Status
    """That of its first end."""
    lasted_s: float | None = None
    """From its start to its first end; None where no start is known."""
    ended_ago_s: float = 0.0
    """Since its first end: more than 0 where this one repeats it."""


class PingedStart(NamedTuple):
    """A run that has started and not ended."""

    execution_id: str
    started_ago_s: float
    """More than 0 where this start repeats it."""


async def record_start(pool: asyncpg.Pool, token_id: UUID, execution_id: str | None) -> PingedStart | None:
    """Keep the start of a run, in the place of the one before; the run that it is of. May be repeated.

    Args:
        execution_id: as the client identifies the run; None: it does not.

    Returns:
        None where the run has ended, or another one started at the same moment.
    """
    await pool.execute(_START, token_id, execution_id or str(uuid4()), execution_id is not None, REPEATED_WITHIN)
    found = await pool.fetchrow(_RUNNING, token_id)
    if found is None or execution_id not in (None, found["execution_id"]):
        return None
    return PingedStart(*found)


async def record_end(pool: asyncpg.Pool, token_id: UUID, execution_id: str | None, status: Status) -> PingedRun:
    """The run that an end belongs to. May be repeated."""
    own_id = execution_id or str(uuid4())
    known = execution_id is not None
    found = await pool.fetchrow(_END, token_id, own_id, status, known, REPEATED_WITHIN, _LONGEST_RUN)
    if found is None:  # another run of this key is going on, whose start must stay
        return PingedRun(own_id, status)
    return PingedRun(found["execution_id"], found["status"], found["lasted_s"], found["ended_ago_s"])
