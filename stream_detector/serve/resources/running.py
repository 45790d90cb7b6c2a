"""Executions that run now."""

from datetime import datetime
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events.fields import Id
from stream_detector.events.variant import Variant
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.requests import Paged, read_query
from stream_detector.serve.responses import json_response
from stream_detector.store import running as store


class RunningQuery(Paged, kw_only=True):
    """A page of running executions, of all workflows or of one."""

    workflow: Annotated[Id, Meta(description="Those of one workflow, with each of its variants.")] | None = None
    variant: Variant | None = None


class RunningExecution(Struct, kw_only=True):
    """One execution whose start has come and whose end has not."""

    execution_id: str
    attempt: int
    workflow_id: str
    workflow_name: str
    """As its start says; the id where it says none."""
    variant: str | None
    started_at: datetime
    queued_at: datetime | None
    """Since when it waited to be started."""
    elapsed_s: float
    """Since its start, by the clock of the database."""
    usual_s: float | None
    """What an execution of this workflow and variant usually takes; null while that is not known."""
    limit_s: float | None
    """How long it should take at most, as its start says."""
    source: str
    """Where its events come from; `kafka`: they were published to the topic as they are."""
    labels: dict[str, str]
    url: str | None


class RunningPage(Struct, kw_only=True):
    """Those that have run for longest first."""

    items: list[RunningExecution]
    next: str | None


async def running(request: web.Request) -> web.Response:
    """Executions that have started and not ended, those that have run for longest first.

    Only workflows whose starts are sent have any. One whose end does not come is listed for 30 days.
    """
    query = read_query(request, RunningQuery)
    found, following = await request.app[DATABASE].query(
        store.running, limit=query.limit, cursor=query.cursor, workflow_id=query.workflow, variant=query.variant
    )
    return json_response(RunningPage(items=[_shown(each) for each in found], next=following))


def _shown(each: store.Running) -> RunningExecution:
    event = each.event
    return RunningExecution(
        execution_id=event.execution_id,
        attempt=event.attempt,
        workflow_id=event.workflow_id,
        workflow_name=event.workflow_name or event.workflow_id,
        variant=event.variant,
        started_at=each.started_at,
        queued_at=each.queued_at,
        elapsed_s=each.elapsed_s,
        usual_s=each.usual_s,
        limit_s=event.limit_s,
        source=event.source or "kafka",
        labels=event.labels,
        url=event.url,
    )
