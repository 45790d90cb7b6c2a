"""When runs are expected: the learned or given times of each workflow, its next run, and what is missed now."""

from datetime import datetime
from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events.fields import Id, SourceName
from stream_detector.events.source_census import PLAIN_SOURCE
from stream_detector.events.times import from_epoch_ms
from stream_detector.events.variant import Variant
from stream_detector.serve.app_keys import DATABASE, SETTINGS
from stream_detector.serve.detection_settings import detection_settings
from stream_detector.serve.expected_runs import ExpectedRun, expected_run
from stream_detector.serve.requests import Paged, Substring, read_query
from stream_detector.serve.responses import json_response
from stream_detector.store import schedule as store
from stream_detector.store.schedule import Scheduled


class ScheduleQuery(Paged, kw_only=True):
    """A page of workflows whose runs are expected at times."""

    workflow: Annotated[Id, Meta(description="One workflow, with each of its variants.")] | None = None
    variant: Variant | None = None
    q: Substring | None = None
    source: Annotated[SourceName, Meta(description="Where their newest runs came from.")] | None = None
    missed: Annotated[bool, Meta(description="Whether a run of it is missed now.")] | None = None


class ExpectedRuns(Struct, kw_only=True):
    """The times of one workflow, or of one variant of it."""

    key: str
    workflow_id: str
    workflow_name: str
    variant: str | None
    source: str
    """Where its newest run came from; `kafka`: it was published to the topic as it is."""
    rule: Literal["learned", "expected"]
    """Whether the times were learned, or are those of EXPECT_RULES."""
    text: str
    """When its runs start, for example `weekdays 02:00 to 02:04 UTC`."""
    came: int
    """Of the runs that were expected lately, without those that are missed now: how many came."""
    expected: int
    next_at: datetime | None
    """When the next run usually starts; null where none is due."""
    due_at: datetime | None
    """When the next run is missed if it has not come."""
    usual_duration_s: float | None
    ends_by: str | None
    """By when a run has usually ended, for example `02:40 UTC`; null where runs come several times a day."""
    missed_since: datetime | None
    """When the first of the runs was due that are missed now; null where none is."""
    missed: int
    """How many runs in a row are missed now."""
    retired: bool
    """After three missed runs in a row it is taken for retired: nothing more is missed until a run comes."""


class SchedulePage(Struct, kw_only=True):
    """Those whose next run is due first; at the end those of which none is due."""

    items: list[ExpectedRuns]
    next: str | None
    missed: int
    """How many workflows and variants, of all, have a run that is missed now."""
    clock: bool
    """Whether missed runs are detected, by the settings CLOCK and PROFILE; rules may differ for single workflows."""


async def schedule(request: web.Request) -> web.Response:
    """Workflows whose runs are expected at times, learned after ten runs or by EXPECT_RULES, the next due first."""
    query, database = read_query(request, ScheduleQuery), request.app[DATABASE]
    found, following = await database.query(
        store.scheduled,
        limit=query.limit,
        cursor=query.cursor,
        workflow_id=query.workflow,
        variant=query.variant,
        q=query.q,
        source=query.source,
        missed=query.missed,
    )
    config = (await database.query(detection_settings, request.app[SETTINGS])).newest_config
    shown = (_shown(each, expected_run(each.key, each.packed, config)) for each in found)
    missed = await database.query(store.count_missed)
    page = SchedulePage(
        items=[each for each in shown if each is not None], next=following, missed=missed, clock=config.has_clock
    )
    return json_response(page)


def _shown(each: Scheduled, run: ExpectedRun | None) -> ExpectedRuns | None:
    if run is None:
        return None
    view = run.view
    return ExpectedRuns(
        key=each.key,
        workflow_id=each.workflow_id,
        workflow_name=each.workflow_name,
        variant=each.variant,
        source=each.source or PLAIN_SOURCE,
        rule="learned" if run.is_learned else "expected",
        text=view.text,
        came=view.came,
        expected=view.expected,
        next_at=_at(view.usual_s),
        due_at=_at(view.due_s),
        usual_duration_s=each.usual_duration_s,
        ends_by=view.ends_by or None,
        missed_since=_at(run.missed_since_s),
        missed=run.missed,
        retired=run.is_retired,
    )


def _at(seconds: int) -> datetime | None:
    return from_epoch_ms(1000 * seconds) if seconds else None
