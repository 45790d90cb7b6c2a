"""The routes file: TOML text in, routes out, or what is wrong with it and where.

The file's form is the type below; `make generate` makes `schemas/routes.v1.json` from it, by which an editor can
complete and check it.
"""

import re
import tomllib
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from stream_detector.events.anomaly_types import SEVERITIES, TYPES, Severity
from stream_detector.notify.channels.registry import PROVIDERS
from stream_detector.notify.config import Route
from stream_detector.notify.shared_facets import GROUP_BY

Seconds = Annotated[float, Meta(ge=0, le=31 * 86_400)]
_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"


class RoutesError(ValueError):
    """The file cannot be used; its text says what is wrong and where."""


class RateLimit(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Maximum number of messages within a window in seconds, for this route only."""

    count: Annotated[int, Meta(ge=1, le=100_000)]
    window_s: Annotated[float, Meta(ge=1, le=31 * 86_400)] = 3600.0


class RouteEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"continues": "continue"}):
    """One `[[route]]`. The first match is used; with `continue` the following routes are evaluated too."""

    name: Annotated[str, Meta(pattern=_NAME)]
    match: dict[str, str | list[str]] = {}
    """type, severity, workflow, variant, entity, name, kind, team, or any other label: a shell pattern, or several.
    A workflow means all of its variants."""
    channels: list[str] | None = None
    """Those to send to; left out: every channel. The inbox gets everything whatever is written here."""
    threshold: Severity | None = None
    """Least severity that is sent; left out: NOTIFY_SEVERITY."""
    group_by: list[str] | None = None
    """What anomalies may share to be one message: execution, step, workflow, a label's name, or * for every label.
    Left out: GROUP_BY."""
    group_wait_s: Seconds | None = None
    """Left out: GROUP_WAIT_S."""
    group_interval_s: Seconds | None = None
    """Left out: GROUP_INTERVAL_S."""
    repeat_interval_s: Seconds = 0.0
    flap_window_s: Seconds = 600.0
    rate_limit: RateLimit | None = None
    """Left out: RATE_LIMIT_COUNT and RATE_LIMIT_WINDOW_S, counted together with the rest of the channel."""
    continues: bool = False


class RoutesDocument(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    route: list[RouteEntry] = field(default_factory=list)


def read_routes(text: str, defaults: Route) -> tuple[Route, ...]:
    """The routes in their order, with the values of `defaults` where the file leaves one out.

    Raises:
        RoutesError: no TOML, an unknown field, a value out of range, a name twice, a channel or type that is none.
    """
    try:
        found = msgspec.convert(tomllib.loads(text), RoutesDocument)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RoutesError(_in_words(str(error))) from None
    names = [one.name for one in found.route]
    for number, one in enumerate(found.route):
        _check(one, number, names)
    return tuple(_route(one, defaults) for one in found.route)


def _check(one: RouteEntry, number: int, names: list[str]) -> None:
    where = f"route {number + 1} ({one.name})"
    if names.count(one.name) > 1:
        raise RoutesError(f"{where}: the name is used by another route; names must be unique")
    for channel in one.channels or ():
        if channel not in PROVIDERS:
            raise RoutesError(f"{where}: channels: unknown channel {channel!r}; known: {', '.join(PROVIDERS)}")
    known = {"type": tuple(TYPES), "severity": SEVERITIES, "kind": ("workflow", "score")}
    for fact, allowed_values in known.items():
        for pattern in _patterns(one.match.get(fact, [])):
            if pattern not in allowed_values and not re.search(r"[*?\[]", pattern):
                words = ", ".join(allowed_values)
                raise RoutesError(f"{where}: match: unknown {fact} {pattern!r}; known: {words}")
    for name in one.group_by or ():
        if not name.strip():
            raise RoutesError(f"{where}: group_by: an empty name; use {', '.join(GROUP_BY)} or a label's name")
    wait_s, interval_s = one.group_wait_s, one.group_interval_s
    if wait_s is not None and interval_s is not None and interval_s < wait_s:
        raise RoutesError(f"{where}: group_interval_s must not be less than group_wait_s")


def _route(one: RouteEntry, defaults: Route) -> Route:
    limit = one.rate_limit
    return Route(
        name=one.name,
        match={fact: _patterns(value) for fact, value in one.match.items()},
        channels=tuple(one.channels) if one.channels is not None else None,
        threshold=one.threshold or defaults.threshold,
        group_by=tuple(one.group_by) if one.group_by is not None else defaults.group_by,
        group_wait_s=one.group_wait_s if one.group_wait_s is not None else defaults.group_wait_s,
        group_interval_s=one.group_interval_s if one.group_interval_s is not None else defaults.group_interval_s,
        repeat_interval_s=one.repeat_interval_s,
        flap_window_s=one.flap_window_s,
        rate_limit_count=limit.count if limit else defaults.rate_limit_count,
        rate_limit_window_s=limit.window_s if limit else defaults.rate_limit_window_s,
        own_limit=limit is not None,
        continues=one.continues,
    )


def _patterns(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _in_words(error: str) -> str:
    """msgspec counts from 0 and writes `$.route[1].name`; people count from 1."""
    return re.sub(r"\$\.route\[(\d+)\]", lambda found: f"route {int(found[1]) + 1}", error)


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the file."""
    (_,), parts = msgspec.json.schema_components((RoutesDocument,), ref_template="#/$defs/{name}")
    whole = parts.pop("RoutesDocument")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:stream-detector:routes:v1",
    }
    made: dict[str, Any] = {**head, **whole, "$defs": parts}
    parts["RouteEntry"]["properties"]["channels"]["anyOf"][0]["items"] = {"enum": list(PROVIDERS)}
    return made
