"""The OpenAPI 3.1 document, written from the routes and the types that they check with."""

import re
from http import HTTPStatus
from typing import Any

import msgspec

from stream_detector import __version__
from stream_detector.serve.openapi_links import LINKS
from stream_detector.serve.problems import TITLES, Problem
from stream_detector.serve.routes import ROUTES, Route

_DECIMAL = {"type": ["number", "null"], "minimum": -1e12, "maximum": 1e12}
_REF = "#/components/schemas/{name}"


def document() -> dict[str, Any]:
    """The whole document as plain values."""
    answers = [answer for route in ROUTES for answer in (route.answer, route.pending) if answer]
    types = [Problem, *answers, *(body for route in ROUTES for body in _bodies(route))]
    queries = [route.query for route in ROUTES if route.query]
    _, components = msgspec.json.schema_components([*types, *queries], ref_template=_REF)
    parameters = {query: _parameters(components[query.__name__]) for query in queries}
    for query in {query.__name__ for query in queries}:
        del components[query]
    for name in ("score", "previous_score"):  # decimals travel as numbers there, with every digit
        components["Score"]["properties"][name] = _DECIMAL | ({"type": "number"} if name == "score" else {})
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, parameters)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "stream-detector",
            "version": __version__,
            "summary": "Anomalies in workflows and scores",
            "description": "Times are RFC 3339 in UTC. Errors are RFC 9457 problem details.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Created by `stream-detector token create`, or STREAM_DETECTOR_API_TOKEN.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "stream_detector_session_8080",
                    "description": "Set by a one-time link or by POST /api/v1/session; the name ends in the port.",
                },
            },
        },
    }


def _operation(route: Route, parameters: dict[Any, list[Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "description": f"{(route.handler.__doc__ or '').strip()} {_roles(route)}",
        "responses": _responses(route),
    }
    given = list(parameters.get(route.query, []))
    given[:0] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if given:
        operation["parameters"] = given
    if route.body:
        schemas, _ = msgspec.json.schema_components(_bodies(route), ref_template=_REF)
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}
        kinds = {"application/json": {"schema": schema}}
        if route.partly:
            kinds["application/json"] = {"schema": {"anyOf": [schema, {"type": "array", "items": schema}]}}
            kinds["application/x-ndjson"] = {"schema": {"type": "string"}}
            kinds["application/cloudevents+json"] = {"schema": {"type": "object"}}
            kinds["text/csv"] = {"schema": {"type": "string"}}
        operation["requestBody"] = {"required": True, "content": kinds}
    if route.text_body:
        operation["requestBody"] = {"required": False, "content": {"text/plain": {"schema": {"type": "string"}}}}
    if not route.roles:
        operation["security"] = []
    return operation


def _bodies(route: Route) -> list[Any]:
    if route.body is None:
        return []
    return list(route.body) if isinstance(route.body, tuple) else [route.body]


def _roles(route: Route) -> str:
    return (
        f"Roles: {', '.join(sorted(route.roles))}."
        if route.roles
        else "No role: the sender is authenticated by the webhook secret, or by the ping key in the path."
    )


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    if route.answer is None:
        responses["204"] = {"description": "Done"}
    else:
        (schema,), _ = msgspec.json.schema_components([route.answer], ref_template=_REF)
        content = {route.kind: {"schema": schema}} | {kind: {"schema": {"type": "string"}} for kind in route.also}
        responses["200"] = {"description": "The result", "content": content}
        if route.handler.__name__ == "check_anomalies":
            description = "Why the result may be incomplete; absent if it is complete"
            deleted = "Ids of its anomalies that operators have deleted, separated by commas; absent if there are none"
            responses["200"]["headers"] = {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in (("X-Approximate", description), ("X-Deleted-Anomalies", deleted))
            }
        if links := LINKS.get(route.handler.__name__):
            responses["200"]["links"] = links
    if route.pending is not None:
        (schema,), _ = msgspec.json.schema_components([route.pending], ref_template=_REF)
        responses["202"] = {
            "description": "The detector has not evaluated it yet, or what it found is not stored yet",
            "content": {"application/json": {"schema": schema}},
            "headers": {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
        }
    if route.partly:
        responses["207"] = {
            **responses["200"],
            "description": "Some events were rejected; the response lists them by index",
        }
    for status in sorted({*route.problems, 401, 403, 500, *([503] if route.database else [])}):
        problem = {"schema": {"$ref": _REF.format(name="Problem")}}
        responses[str(status)] = {
            "description": f"{HTTPStatus(status).phrase}: {TITLES[status].lower()}",
            "content": {"application/problem+json": problem},
        }
    return responses


def _parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    parameters = []
    for name, field in schema["properties"].items():
        each = _without_null(field)
        parameter = {"name": name, "in": "query", "required": name in required, "schema": each}
        description = each.pop("description", None)
        if description:
            parameter["description"] = description
        parameters.append(parameter)
    return parameters


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is left out is not null: it is not there."""
    if "anyOf" not in schema:
        return dict(schema)
    (only,) = (each for each in schema["anyOf"] if each != {"type": "null"})
    return dict(only)
