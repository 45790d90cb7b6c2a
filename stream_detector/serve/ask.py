"""Questions: query parameters and bodies, checked against the types that the OpenAPI document is written from."""

import re
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events.action import ActionKind
from stream_detector.events.anomaly import AnomalyTypeName, SeverityName, StateName
from stream_detector.events.fields import Id, Instant, Labels
from stream_detector.events.refused import Reason
from stream_detector.serve.problems import ProblemError

Q = TypeVar("Q", bound=Struct)
BODY_BYTES = 64 * 1024
_YEARS = range(1970, 2100)

Limit = Annotated[int, Meta(ge=1, le=500, description="Maximum number of items per page.")]
CursorText = Annotated[str, Meta(max_length=2000, description="`next` of the previous page.")]
Entity = Annotated[str, Meta(min_length=1, max_length=300, description="An id, or `workflow:<id>` or `score:<id>`.")]

Substring = Annotated[
    str, Meta(min_length=1, max_length=256, description="Part of the entity's name or id, case-insensitive.")
]


class Paged(Struct, kw_only=True):
    """A page of a list."""

    limit: Limit = 50
    cursor: CursorText | None = None


class BaselinesQuestion(Paged, kw_only=True):
    """A page of workflows or scored entities."""

    q: Substring | None = None
    state: Literal["learning", "normal", "anomalous"] | None = None


class RangeQuestion(Struct, kw_only=True, rename={"from_at": "from", "to_at": "to"}):
    """A span of time: `from` and `to`, or `range`, or `hours`."""

    from_at: Annotated[Instant, Meta(description="Inclusive; RFC 3339 with a zone.")] | None = None
    to_at: Annotated[Instant, Meta(description="Exclusive; RFC 3339 with a zone.")] | None = None
    range: Annotated[Literal["24h", "7d", "30d"], Meta(description="The last day, week or 30 days.")] | None = None
    hours: Annotated[int, Meta(ge=1, le=87_600, description="The last N hours.")] | None = None


class FilterQuestion(RangeQuestion, kw_only=True):
    """Which anomalies. A parameter that may be repeated means any of its values."""

    type: list[AnomalyTypeName] = []
    severity: list[SeverityName] = []
    state: list[StateName] = []
    entity: Entity | None = None
    q: Substring | None = None
    run: Id | None = None
    open: Annotated[bool, Meta(description="Whether the incident is open.")] | None = None
    acknowledged: Annotated[bool, Meta(description="Whether the incident is acknowledged.")] | None = None


class AnomaliesQuestion(FilterQuestion, kw_only=True):
    """A page of anomalies."""

    limit: Limit = 50
    cursor: CursorText | None = None


class ExportQuestion(FilterQuestion, kw_only=True):
    """Export matching anomalies as a file."""

    format: Literal["csv", "json"] = "json"


class CheckQuestion(Struct, kw_only=True, forbid_unknown_fields=True):
    """The execution to check; `attempt` defaults to the last one."""

    workflow_execution_id: Id
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class SeriesQuestion(Struct, kw_only=True):
    """The values of one entity up to a time."""

    entity: Entity
    until: Annotated[Instant, Meta(description="Inclusive; default: now.")] | None = None
    limit: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="For earlier readings, repeat the request with the `t` of the first as `until`.",
        ),
    ] = 200
    of: Annotated[
        Literal["value", "failures"],
        Meta(description="`value`: durations or scores; `failures`: the failure rate of a workflow's last 10."),
    ] = "value"


class ExecutionsQuestion(RangeQuestion, kw_only=True):
    """Executions of one workflow; the last 30 where nothing else is asked."""

    workflow: Id
    limit: Annotated[int, Meta(ge=1, le=1000)] = 30


_UNESCAPED_ZONE = re.compile(r"\d{4}-\d\d-\d\d[Tt][\d:.]+ \d\d:\d\d")
"""An unescaped + in a URL is a space: 2026-11-23T12:00:00+02:00."""


class IncidentsQuestion(FilterQuestion, kw_only=True):
    """A page of incidents; the span is that of the opening."""

    limit: Limit = 50
    cursor: CursorText | None = None


class OverviewQuestion(Struct, kw_only=True):
    """Which span, and how many lanes at most."""

    range: Literal["24h", "7d", "30d"] = "24h"
    rows: Annotated[int, Meta(ge=1, le=100)] = 30


StateKeyText = Annotated[str, Meta(min_length=7, max_length=265, description="`workflow:<id>` or `score:<id>`.")]
Lasts = Annotated[float, Meta(gt=0, le=316_000_000, description="Seconds.")]
Remark = Annotated[str, Meta(max_length=2000)]


class ActionsQuestion(Struct, kw_only=True, forbid_unknown_fields=True):
    """An action on `incident_ids` or on an `entity`.

    `entity` in addition to `incident_ids` is only needed if the action must work while the database is unavailable.
    """

    kind: ActionKind
    incident_ids: Annotated[list[Id], Meta(max_length=200)] = []
    entity: StateKeyText | None = None
    comment: Remark | None = None
    until: Instant | None = None
    for_s: Lasts | None = None


class ActionsListQuestion(Paged, kw_only=True):
    """Decisions about one entity or incident, or all."""

    entity: StateKeyText | None = None
    incident: Id | None = None


class SilenceBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to silence: all given conditions must match."""

    entity: StateKeyText | None = None
    incident_id: Id | None = None
    matchers: Labels = {}
    until: Instant | None = None
    for_s: Lasts | None = None
    comment: Remark | None = None


class SilencesQuestion(Paged, kw_only=True):
    """Which silences."""

    state: Literal["active", "ended", "all"] = "active"


class WhyQuestion(Struct, kw_only=True):
    """About an anomaly, an execution (without `attempt` its last one), or the score of an entity in a run."""

    anomaly: Id | None = None
    execution: Id | None = None
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    score: Id | None = None
    run: Id | None = None


class PreviewQuestion(Struct, kw_only=True):
    """What to try out; what is left out is as it is in force."""

    profile: Literal["classic", "robust"] | None = None
    score_threshold: Annotated[float, Meta(gt=0, le=1e12)] | None = None
    days: Annotated[int, Meta(ge=1, le=90)] = 30


class InboxQuestion(Paged, kw_only=True):
    """A page of in-app messages."""

    unread: Annotated[bool, Meta(description="Only unread messages, or only read ones.")] | None = None
    severity: list[SeverityName] = []


class InboxReadBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Time up to which messages are marked as read; default: now."""

    until: Instant | None = None


ReasonWord = Annotated[
    str,
    Meta(min_length=1, max_length=64, extra_json_schema={"x-extensible-enum": list(get_args(Reason))}),
]
"""Also one that a later version gives."""


class DeadLettersQuestion(Paged, kw_only=True):
    """Which dead letters."""

    reason: ReasonWord | None = None
    topic: Annotated[str, Meta(min_length=1, max_length=249)] | None = None


class IntakeQuestion(Struct, kw_only=True):
    """How to take the events."""

    backfill: Annotated[bool, Meta(description="Backfill: update baselines, never report anomalies.")] = False


def read_query(request: web.Request, question: type[Q]) -> Q:
    """The query of the request. Raises 400 that names the parameter and lists what is allowed."""
    known = {each.encode_name: each for each in msgspec.structs.fields(question)}
    given: dict[str, Any] = {}
    for name in request.query:
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
    return msgspec.convert(given, question)


def _convert(name: str, value: Any, type_: Any) -> Any:
    allowed = words_of(type_)
    if isinstance(value, str) and _UNESCAPED_ZONE.fullmatch(value):
        value = f"{value[:-6]}+{value[-5:]}"
    try:
        given = _given(type_)
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


def _given(type_: Any) -> Any:
    """The type of a parameter that is there: `null` is a word like any other then, not its absence.

    >>> _given(int | None), _given(list[int])
    (<class 'int'>, list[int])
    """
    kept = [part for part in get_args(type_) if part is not NoneType]
    return kept[0] if get_origin(type_) in (Union, UnionType) and len(kept) == 1 else type_


def words_of(type_: Any) -> list[str]:
    """The words that a type allows, [] where it is not a choice of words.

    >>> words_of(list[Literal["day", "week"]])
    ['day', 'week']
    """
    if get_origin(type_) is Literal:
        return [str(word) for word in get_args(type_)]
    return [word for part in get_args(type_) if not isinstance(part, Meta) for word in words_of(part)]


async def read_body(request: web.Request, question: type[Q]) -> Q:
    """The JSON body of the request. Raises 400, 413 or 415; never reads more than `BODY_BYTES`."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ProblemError(415, "Send the body without Content-Encoding.")
    if request.content_type != "application/json":
        raise ProblemError(415, "Send the body as application/json.")
    body = await request.read()  # the application's client_max_size ends it with 413
    try:
        asked = msgspec.json.decode(body, type=question)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ProblemError(400, f"Invalid body: {detail}") from None
    if _holds_nul(msgspec.structs.astuple(asked)):
        raise ProblemError(400, "The body must not contain U+0000.")
    return asked


def _holds_nul(value: Any) -> bool:
    """Whether a text in it has U+0000, which PostgreSQL cannot store."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(map(_holds_nul, (*value, *value.values())))
    return isinstance(value, list | tuple) and any(map(_holds_nul, value))
