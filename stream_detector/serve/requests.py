"""Query parameters and bodies, checked against the types that the OpenAPI document is written from."""

import re
from datetime import UTC, datetime, timedelta
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events.fields import Instant
from stream_detector.events.refused import Reason
from stream_detector.events.variant import MAX_KEY
from stream_detector.serve.bodies import read_bytes
from stream_detector.serve.problems import ProblemError

Q = TypeVar("Q", bound=Struct)
BODY_BYTES = 64 * 1024
_YEARS = range(1970, 2100)

Limit = Annotated[int, Meta(ge=1, le=500, description="Maximum number of items per page.")]
CursorText = Annotated[str, Meta(max_length=2000, description="`next` of the previous page.")]
Entity = Annotated[
    str, Meta(min_length=1, max_length=MAX_KEY, description="An id, or a state key such as `workflow:<id>`.")
]
Substring = Annotated[
    str, Meta(min_length=1, max_length=256, description="Part of the entity's name or id, case-insensitive.")
]
StateKeyText = Annotated[
    str, Meta(min_length=7, max_length=MAX_KEY, description="A state key such as `workflow:<id>` or `score:<id>`.")
]
Remark = Annotated[str, Meta(max_length=2000)]
ReasonName = Annotated[
    str,
    Meta(min_length=1, max_length=64, extra_json_schema={"x-extensible-enum": list(get_args(Reason))}),
]
"""Also one that a later version gives."""
SilenceDuration = Annotated[float, Meta(gt=0, le=316_000_000, description="Seconds.")]


class Paged(Struct, kw_only=True):
    """A page of a list."""

    limit: Limit = 50
    cursor: CursorText | None = None


class TimeRange(Struct, kw_only=True, rename={"from_at": "from", "to_at": "to"}):
    """A span of time: `from` and `to`, or `range`, or `hours`."""

    from_at: Annotated[Instant, Meta(description="Inclusive; RFC 3339 with a zone.")] | None = None
    to_at: Annotated[Instant, Meta(description="Exclusive; RFC 3339 with a zone.")] | None = None
    range: Annotated[Literal["24h", "7d", "30d"], Meta(description="The last day, week or 30 days.")] | None = None
    hours: Annotated[int, Meta(ge=1, le=87_600, description="The last N hours.")] | None = None


_UNESCAPED_ZONE = re.compile(r"\d{4}-\d\d-\d\d[Tt][\d:.]+ \d\d:\d\d")
"""An unescaped + in a URL is a space: 2026-11-23T12:00:00+02:00."""


def read_query(request: web.Request, type_: type[Q], *, ignore_unknown: bool = False) -> Q:
    """The query of the request. Raises 400 that names the parameter and lists what is allowed.

    Args:
        ignore_unknown: a parameter that is none of the type's is left out instead.
    """
    known = {each.encode_name: each for each in msgspec.structs.fields(type_)}
    given: dict[str, Any] = {}
    for name in request.query:
        if name not in known and ignore_unknown:
            continue
        if name not in known:
            raise ProblemError(400, f"{name[:100]}: unknown parameter", parameter=name[:100], allowed=sorted(known))
        if name in given:
            continue
        field, texts = known[name], request.query.getall(name)
        if any("\x00" in text for text in texts):
            raise ProblemError(400, f"{name}: must not contain U+0000", parameter=name)
        is_list = get_origin(field.type) is list
        if not is_list and len(texts) > 1:
            raise ProblemError(400, f"{name}: must not be repeated", parameter=name)
        value: Any = [word for text in texts for word in text.split(",")] if is_list else texts[0]
        given[name] = _convert(name, value, field.type)
    for field in known.values():
        if field.required and field.encode_name not in given:
            raise ProblemError(400, f"{field.encode_name}: is missing", parameter=field.encode_name)
    return msgspec.convert(given, type_)


def _convert(name: str, value: Any, type_: Any) -> Any:
    allowed = words_of(type_)
    if isinstance(value, str) and _UNESCAPED_ZONE.fullmatch(value):
        value = f"{value[:-6]}+{value[-5:]}"
    try:
        given = _without_none(type_)
        # Not strict, since an int comes as text; but then a number would pass as an instant, in seconds of 1970.
        is_instant = given is datetime or datetime in get_args(given)
        converted = msgspec.convert(value, given, strict=is_instant)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        if allowed:
            raise ProblemError(
                400, f"{name}: must be one of {', '.join(allowed)}", parameter=name, allowed=allowed
            ) from None
        raise ProblemError(400, f"{name}: {error}", parameter=name) from None
    if isinstance(converted, datetime):
        if converted.year not in _YEARS:
            raise ProblemError(400, f"{name}: must be in the years 1970 to 2099", parameter=name)
        converted = converted.astimezone(UTC)
    return converted


def _without_none(type_: Any) -> Any:
    """The type of a parameter that is there: `null` is a word like any other then, not its absence.

    >>> _without_none(int | None), _without_none(list[int])
    (<class 'int'>, list[int])
    """
    others = [part for part in get_args(type_) if part is not NoneType]
    return others[0] if get_origin(type_) in (Union, UnionType) and len(others) == 1 else type_


def words_of(type_: Any) -> list[str]:
    """The words that a type allows, [] where it is not a choice of words.

    >>> words_of(list[Literal["day", "week"]])
    ['day', 'week']
    """
    if get_origin(type_) is Literal:
        return [str(word) for word in get_args(type_)]
    return [word for part in get_args(type_) if not isinstance(part, Meta) for word in words_of(part)]


async def read_body(request: web.Request, type_: type[Q]) -> Q:
    """The JSON body of the request. Raises 400, 408, 413 or 415; never reads more than `BODY_BYTES`."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ProblemError(415, "Send the body without Content-Encoding.")
    if request.content_type != "application/json":
        raise ProblemError(415, "Send the body as application/json.")
    body = await read_bytes(request, BODY_BYTES)
    try:
        decoded = msgspec.json.decode(body, type=type_)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ProblemError(400, f"Invalid body: {detail}") from None
    if _holds_nul(msgspec.structs.astuple(decoded)):
        raise ProblemError(400, "The body must not contain U+0000.")
    return decoded


def _holds_nul(value: Any) -> bool:
    """Whether a text in it has U+0000, which PostgreSQL cannot store."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(map(_holds_nul, (*value, *value.values())))
    return isinstance(value, list | tuple) and any(map(_holds_nul, value))


_RANGES = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}


def time_range(query: TimeRange, now: datetime) -> tuple[datetime | None, datetime | None]:
    """(from, to) as instants. Raises 400 where two ways are mixed or the span is reversed."""
    ways = [query.range is not None, query.hours is not None, query.from_at is not None or query.to_at is not None]
    if sum(ways) > 1:
        raise ProblemError(
            400, "range, hours, and from with to exclude each other", allowed=["range", "hours", "from, to"]
        )
    if query.range is not None:
        return now - _RANGES[query.range], None
    if query.hours is not None:
        return now - timedelta(hours=query.hours), None
    if query.from_at is not None and query.to_at is not None and query.from_at >= query.to_at:
        raise ProblemError(400, "from: must be before to", parameter="from")
    return query.from_at, query.to_at


def id_in_path(request: web.Request) -> str:
    text: str = request.match_info["id"]
    if len(text) > 256 or "\x00" in text:
        raise ProblemError(404, "Not found.")
    return text


def parse_uuid(text: str) -> UUID | None:
    """The UUID that a text is in its usual form; None where it is none."""
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
