"""The OpenAPI document as a page to read: no script, no other host, one style sheet of our own.

It holds no data and needs no token: the repository and the wheel hold the same text.
"""

from collections.abc import Iterable
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web

ADDRESS = "/docs"
_STYLE = Path(__file__).with_name("manual.css")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>stream-detector: the API</title>
<link rel="icon" href="/favicon.svg"><link rel="stylesheet" href="/docs/manual.css"></head>
<body><header><h1>The API of stream-detector</h1>
<p>{description} Every route except the webhooks requires <code>Authorization: Bearer &lt;token&gt;</code>
(<code>stream-detector token create</code>) or a browser session. For programs:
<a href="/api/v1/openapi.json">openapi.json</a>. Back to the <a href="/anomalies">dashboard</a>.</p></header>
<nav aria-label="Routes"><ul>
{index}
</ul></nav>
<main>
{operations}
<h2 id="types">Types</h2>
{types}
</main></body></html>
"""


def add_manual(app: web.Application, document: dict[str, Any]) -> None:
    """Serve the page of the document. Call it before `add_pages`, which takes every address left over."""
    text = page(document)

    async def show(_: web.Request) -> web.Response:
        response = web.Response(text=text, content_type="text/html", headers=_HEADERS)
        response.enable_compression()
        return response

    async def style(_: web.Request) -> web.FileResponse:
        return web.FileResponse(_STYLE, headers=_HEADERS | {"Content-Type": "text/css"})

    app.router.add_get(ADDRESS, show)
    app.router.add_get(f"{ADDRESS}/manual.css", style)


def page(document: dict[str, Any]) -> str:
    """The whole page."""
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    index = (
        f'<li><a href="#{operation["operationId"]}"><code>{method} {escape(path)}</code></a>'
        f" {escape(operation['summary'])}</li>"
        for method, path, operation in operations
    )
    types = (_type(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    return _PAGE.format(
        description=escape(document["info"]["description"]),
        index="\n".join(index),
        operations="\n".join(_operation(*each) for each in operations),
        types="\n".join(types),
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [
        f'<section aria-labelledby="{operation["operationId"]}">',
        f'<h2 id="{operation["operationId"]}"><code>{method} {escape(path)}</code> {escape(operation["summary"])}</h2>',
        f"<p>{escape(operation['description'])}</p>",
    ]
    if parameters := operation.get("parameters"):
        rows = (
            (
                f"<code>{escape(each['name'])}</code>{' (required)' if each['required'] else ''}",
                words(each["schema"]),
                escape(each.get("description", "")),
            )
            for each in parameters
        )
        parts.append(_table("Parameters", ("name", "type", "meaning"), rows))
    if body := operation.get("requestBody"):
        kinds = ((f"<code>{escape(kind)}</code>", words(each["schema"])) for kind, each in body["content"].items())
        parts.append(_table("Body", ("content type", "type"), kinds))
    answers = (
        (f"{status} {escape(HTTPStatus(int(status)).phrase)}", _content(answer), escape(answer["description"]))
        for status, answer in operation["responses"].items()
    )
    parts.append(_table("Answers", ("status", "type", "meaning"), answers))
    return "\n".join([*parts, "</section>"])


def _content(answer: dict[str, Any]) -> str:
    kinds = answer.get("content", {}).items()
    return "<br>".join(f"{words(each['schema'])} <small>{escape(kind)}</small>" for kind, each in kinds)


def _type(name: str, schema: dict[str, Any]) -> str:
    heading = f'<h3 id="type-{escape(name)}">{escape(name)}</h3>\n<p>{escape(schema.get("description", ""))}</p>'
    if "properties" not in schema:
        return f"{heading}\n<p>{words(schema)}</p>"
    required = schema.get("required", [])
    rows = (
        (
            f"<code>{escape(field)}</code>{' (required)' if field in required else ''}",
            words(each),
            escape(each.get("description", "")),
        )
        for field, each in schema["properties"].items()
    )
    return f"{heading}\n{_table(name, ('field', 'type', 'meaning'), rows)}"


def _table(caption: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = "".join(f'<th scope="col">{each}</th>' for each in head)
    lines = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{cells}</tr></thead>\n<tbody>{lines}</tbody></table></div>"
    )


def words(schema: dict[str, Any]) -> str:
    """What a schema allows, in words.

    >>> words({"type": "array", "items": {"$ref": "#/components/schemas/Day"}})
    'list of <a href="#type-Day">Day</a>'
    >>> words({"type": "integer", "minimum": 1, "maximum": 500, "default": 50})
    'integer, at least 1, at most 500; 50 by default'
    """
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        text = f'<a href="#type-{name}">{name}</a>'
    elif "enum" in schema:
        text = " or ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    elif "x-extensible-enum" in schema:
        known = " or ".join(f"<code>{escape(str(each))}</code>" for each in schema["x-extensible-enum"])
        text = f"{known}, or a value of a later version"
    elif "anyOf" in schema:
        text = " or ".join(map(words, schema["anyOf"]))
    elif schema.get("type") == "array":
        text = f"list of {words(schema.get('items', {}))}"
    elif schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        text = f"object of {words(schema['additionalProperties'])}"
    else:
        type_ = schema.get("type", "anything")
        text = escape(schema.get("format", type_ if isinstance(type_, str) else " or ".join(type_)))
    limits = [f"{label} {schema[name]}" for name, label in _LIMITS.items() if name in schema]
    text = ", ".join([text, *map(escape, limits)])
    default = schema.get("default")
    return text if default in (None, "", [], {}) else f"{text}; {escape(str(default))} by default"


_LIMITS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "minLength": "minimum length",
    "maxLength": "maximum length",
    "minItems": "minimum number of entries",
    "maxItems": "maximum number of entries",
}
