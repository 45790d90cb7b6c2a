"""In-app messages."""

from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct, field

from stream_detector.events import Notification
from stream_detector.events.anomaly import SeverityName
from stream_detector.events.fields import Instant
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.authentication import IDENTITY
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import Paged, id_in_path, read_body, read_query
from stream_detector.serve.responses import json_response, page_response
from stream_detector.store import notifications


class InboxQuery(Paged, kw_only=True):
    """A page of in-app messages."""

    unread: Annotated[bool, Meta(description="Only unread messages, or only read ones.")] | None = None
    severity: list[SeverityName] = field(default_factory=list)


class MarkAllReadRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Time up to which messages are marked as read; default: now."""

    until: Instant | None = None


class InboxMessage(Notification, frozen=True, kw_only=True):
    """One in-app message."""

    read: bool


class InboxPage(Struct, kw_only=True):
    """Newest first. `unread` is the number of unread messages, up to 1,000."""

    items: list[InboxMessage]
    next: str | None
    unread: int


class Marked(Struct):
    """Number of messages newly marked as read."""

    marked: int


async def inbox(request: web.Request) -> web.Response:
    """In-app messages, newest first."""
    query = read_query(request, InboxQuery)
    database = request.app[DATABASE]
    reader = request[IDENTITY].name
    page = await database.query(
        notifications.inbox,
        reader=reader,
        limit=query.limit,
        cursor=query.cursor,
        is_unread=query.unread,
        severities=query.severity,
    )
    return page_response(page, unread=await database.query(notifications.unread_count, reader=reader))


async def mark_all_read(request: web.Request) -> web.Response:
    """Mark all messages up to a time as read."""
    body = await read_body(request, MarkAllReadRequest)
    until, reader = body.until or datetime.now(UTC), request[IDENTITY].name
    return json_response(
        {"marked": await request.app[DATABASE].query(notifications.mark_all_read, until, reader=reader)}
    )


async def mark_read(request: web.Request) -> web.Response:
    """Mark the message as read."""
    if not await request.app[DATABASE].query(
        notifications.mark_read, id_in_path(request), reader=request[IDENTITY].name
    ):
        raise ProblemError(404, "There is no message with this id.")
    return web.Response(status=204)
