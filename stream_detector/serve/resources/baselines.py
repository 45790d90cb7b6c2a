"""Workflows and scored entities: their state, and the baselines that they are judged by."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events.fields import Id
from stream_detector.events.variant import Variant
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.lookalikes import LOOKALIKES
from stream_detector.serve.requests import Paged, Substring, read_query
from stream_detector.serve.responses import page_response
from stream_detector.store import baselines
from stream_detector.store.paging import Cursor, Page


class BaselinesQuery(Paged, kw_only=True):
    """A page of workflows or scored entities."""

    q: Substring | None = None
    id: Annotated[Id, Meta(description="The id of one: a workflow with each of its variants.")] | None = None
    variant: Variant | None = None
    state: Literal["learning", "normal", "anomalous"] | None = None


class NamedValue(Struct, kw_only=True):
    """One named baseline."""

    value: float | None
    std_dev: float | None
    window_size: int


class StoredBaseline(Struct, kw_only=True):
    """One workflow, one variant of a workflow, or one scored entity: its state and baselines."""

    key: str
    entity_id: str
    variant: str | None
    """null: its executions have none, or it is a scored entity."""
    entity_name: str
    """As its newest event says; the id where it says none."""
    state: Literal["learning", "normal", "anomalous"]
    baselines: dict[str, NamedValue]
    recorded_at: datetime
    looks_like: list[str] = []
    """Other ids that differ from this one only by normalisation or by what is not seen; each has its own baseline."""


class BaselinePage(Struct, kw_only=True):
    """By id, those of a workflow by variant."""

    items: list[StoredBaseline]
    next: str | None


_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


async def workflows(request: web.Request) -> web.Response:
    """Workflows by id: state and baselines. A workflow with variants has an item for each."""
    return await _baselines(request, "workflow")


async def entities(request: web.Request) -> web.Response:
    """Scored entities by id: state."""
    return await _baselines(request, "score")


async def _baselines(request: web.Request, kind: str) -> web.Response:
    query = read_query(request, BaselinesQuery)
    after = _read_cursor(query.cursor) if query.cursor is not None else ("", "")
    found = await request.app[DATABASE].query(
        baselines.baselines,
        kind,
        limit=query.limit + 1,
        after=after,
        q=query.q,
        state=query.state,
        entity_id=query.id,
        variant=query.variant,
    )
    listed = found[: query.limit]
    others = await request.app[LOOKALIKES].of_kind(kind)
    items = [
        msgspec.json.encode({"baselines": each.pop("named"), **each, "looks_like": others.get(each["entity_id"], [])})
        for each in listed
    ]
    last = listed[-1] if len(found) > query.limit else None
    return page_response(Page(items, _cursor(last["entity_id"], last["variant"]) if last else None))


def _cursor(entity_id: str, variant: str | None) -> str:
    """The variant's length is in the place of the time: both may hold any character."""
    return Cursor(_EPOCH + len(variant or "") * _MICROSECOND, entity_id + (variant or "")).text()


def _read_cursor(text: str) -> tuple[str, str]:
    cursor = Cursor.parse(text)
    length = len(cursor.id) - (cursor.at - _EPOCH) // _MICROSECOND
    return cursor.id[:length], cursor.id[length:]
