"""Past executions of one workflow."""

from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events.fields import Id
from stream_detector.events.variant import Variant
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.requests import TimeRange, read_query, time_range
from stream_detector.serve.responses import json_response
from stream_detector.store.executions import PastExecution, newest_completions


class ExecutionsQuery(TimeRange, kw_only=True):
    """Executions of one workflow, of all its variants or of one; the last 30 by default."""

    workflow: Id
    variant: Variant | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 30


class ExecutionList(Struct, kw_only=True):
    """Newest first."""

    items: list[PastExecution]
    next: None = None


async def executions(request: web.Request) -> web.Response:
    """Past executions of one workflow, newest first."""
    query = read_query(request, ExecutionsQuery)
    since, until = time_range(query, datetime.now(UTC))
    found = await request.app[DATABASE].query(
        newest_completions, query.workflow, variant=query.variant, limit=query.limit, since=since, until=until
    )
    return json_response({"items": found, "next": None})
