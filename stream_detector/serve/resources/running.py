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
from stream_detector.serve.running_limits import LimitOrigin, count_unwatched, limit_of
from stream_detector.store import running as store


class RunningQuery(Paged, kw_only=True):
    """A page of running executions, of all workflows or of one."""

    workflow: Annotated[Id, Meta(description="Those of one workflow, with each of its variants.")] | None = None
    variant: Variant | None = None
    probably_ended: Annotated[bool, Meta(description="Instead those that have probably ended without notice.")] = False


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
    elapsed_ratio: float | None
    """`elapsed_s` by `usual_s`: 1 is as long as usual."""
    limit_s: float | None
    """How long it should take at most; null while that is not known."""
    limit_from: LimitOrigin | None
    """What gives the limit: its start, MAX_DURATION_RULES, or what was learned of its workflow's executions."""
    probably_ended: bool
    """It has run for ten times the usual, thrice its limit and 15 minutes: its process died, or its end was lost."""
    source: str
    """Where its events come from; `kafka`: they were published to the topic as they are."""
    labels: dict[str, str]
    url: str | None


class RunningPage(Struct, kw_only=True):
    """Those that have run for longest first."""

    items: list[RunningExecution]
    next: str | None
    probably_ended: int
    """How many have probably ended without notice; they are not among the items, unless asked for."""
    not_watched: int
    """How many executions of the listed workflows are not watched for running too long: of each 16 are, at once."""


async def running(request: web.Request) -> web.Response:
    """Executions that have started and not ended, those that have run for longest first.

    Only workflows whose starts are sent have any. One whose end does not come has probably ended after ten times the
    usual; it is then counted, and listed with `probably_ended` alone, for 30 days.
    """
    query, database = read_query(request, RunningQuery), request.app[DATABASE]
    about = {"workflow_id": query.workflow, "variant": query.variant}
    found, following = await database.query(
        store.running, limit=query.limit, cursor=query.cursor, probably_ended=query.probably_ended, **about
    )
    lost = await database.query(store.count_lost, **about)
    items = [_shown(each) for each in found]
    page = RunningPage(items=items, next=following, probably_ended=lost, not_watched=count_unwatched(found))
    return json_response(page)


def _shown(each: store.Running) -> RunningExecution:
    event, usual_s, limit = each.event, each.usual_s, limit_of(each)
    return RunningExecution(
        execution_id=event.execution_id,
        attempt=event.attempt,
        workflow_id=event.workflow_id,
        workflow_name=event.workflow_name or event.workflow_id,
        variant=event.variant,
        started_at=each.started_at,
        queued_at=each.queued_at,
        elapsed_s=each.elapsed_s,
        usual_s=usual_s,
        elapsed_ratio=each.elapsed_s / usual_s if usual_s else None,
        limit_s=limit.limit_s,
        limit_from=limit.origin,
        probably_ended=each.probably_ended,
        source=event.source or "kafka",
        labels=event.labels,
        url=event.url,
    )
