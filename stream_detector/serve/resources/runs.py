"""Scoring runs, each with its anomalies."""

from datetime import datetime
from typing import Literal

from aiohttp import web
from msgspec import Struct

from stream_detector.events import Movement
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import Paged, id_in_path, read_query
from stream_detector.serve.responses import json_response, page_response
from stream_detector.store import runs as store


class ScoreChange(Struct, kw_only=True):
    """One anomaly of a score run."""

    id: str
    entity_id: str
    entity_name: str
    previous: float
    current: float
    delta: float
    direction: Literal["up", "down"]
    threshold: float | None


class StoredRun(Struct, kw_only=True):
    """One score run, from its first score or event on; the numbers are null until its summary arrives."""

    run_id: str
    status: Literal["started", "completed", "failed", "timed_out"]
    started_at: datetime | None
    ended_at: datetime | None
    duration_s: float | None
    expected: int | None
    scored: int | None
    failures: int | None
    anomaly_count: int | None
    error: str | None
    revision: int | None
    """Of its summary: 1, or more where scores came after the run's end."""
    not_waited_for: list[str]
    """What was published before its end and not processed when it was closed; empty: nothing."""
    movement: Movement | None
    """Of the entities with a previous score, how many fell or rose by half of their threshold or more, or changed by
    less; null until its summary arrives, or where none had one."""
    anomalies: list[ScoreChange]


class RunPage(Struct, kw_only=True):
    """Newest first."""

    items: list[StoredRun]
    next: str | None


async def runs(request: web.Request) -> web.Response:
    """Score runs, newest first, each with its anomalies."""
    query = read_query(request, Paged)
    return page_response(await request.app[DATABASE].query(store.runs, limit=query.limit, cursor=query.cursor))


async def one_run(request: web.Request) -> web.Response:
    """One score run with its anomalies."""
    found = await request.app[DATABASE].query(store.run, id_in_path(request))
    if found is None:
        raise ProblemError(404, "No score run with this id is stored.")
    return json_response(found)
