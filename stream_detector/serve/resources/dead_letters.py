"""Dead letters, for operators alone: payloads may hold secrets. Shown as text, never logged."""

import re
from datetime import datetime
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.serve.app_keys import BROKER, DATABASE
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import Paged, ReasonName, read_query
from stream_detector.serve.responses import json_response, page_response
from stream_detector.store import dead_letters as store


class DeadLettersQuery(Paged, kw_only=True):
    """Which dead letters."""

    reason: ReasonName | None = None
    topic: Annotated[str, Meta(min_length=1, max_length=249)] | None = None


class DeadLetterNote(Struct, kw_only=True):
    """Position, origin and reason of a dead letter."""

    partition: int
    offset: int
    topic: str
    original_partition: int
    original_offset: int
    original_at: datetime | None
    stage: str
    reason: ReasonName
    message: str
    value_bytes: int | None
    record_at: datetime


class DeadLetterPage(Struct, kw_only=True):
    """Newest first."""

    items: list[DeadLetterNote]
    next: str | None


class WholeDeadLetter(Struct, kw_only=True):
    """A dead letter with its payload as text: non-text bytes are escaped, long values truncated."""

    partition: int
    offset: int
    topic: str
    original_partition: int
    original_offset: int
    original_at: datetime | None
    stage: str
    reason: ReasonName
    message: str
    value_bytes: int | None
    key: str | None
    value: str | None
    headers: dict[str, str | None]


class Place(Struct, kw_only=True):
    """The new position of a record."""

    topic: str
    partition: int
    offset: int


_PLACE = re.compile(r"(\d{1,6})-(\d{1,18})", re.ASCII)


async def list_dead_letters(request: web.Request) -> web.Response:
    """Position and reason of each dead letter, newest first."""
    query = read_query(request, DeadLettersQuery)
    page = await request.app[DATABASE].query(
        store.find, reason=query.reason, topic=query.topic, limit=query.limit, cursor=query.cursor
    )
    return page_response(page)


async def one_dead_letter(request: web.Request) -> web.Response:
    """One dead letter with key, value and headers as text; non-text bytes are escaped."""
    return json_response(await request.app[BROKER].show_dead_letter(*_place(request)))


async def retry_dead_letter(request: web.Request) -> web.Response:
    """Publish it again unchanged to its topic. If it is rejected again, it becomes a new dead letter."""
    return json_response(await request.app[BROKER].retry_dead_letter(*_place(request)))


def _place(request: web.Request) -> tuple[int, int]:
    found = _PLACE.fullmatch(request.match_info["id"])
    if not found:
        raise ProblemError(404, "A dead letter is identified by <partition>-<offset>.")
    return int(found[1]), int(found[2])
