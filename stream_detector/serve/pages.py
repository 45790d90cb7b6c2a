"""The dashboard's built files: one shell for every address of a person, hashed assets, a strict content policy.

The page needs no token to load: it holds no data, and prompts for the token where the API demands one.
"""

from pathlib import Path

from aiohttp import web

STATIC = Path(__file__).parent / "static"
PATHS = (
    "/",
    "/overview",
    *(f"/{page}{rest}" for page in ("anomalies", "workflows", "entities", "runs") for rest in ("", "/", "/{id}")),
    "/inbox",
    "/silences",
    "/settings",
    "/dead-letters",
)
"""Addresses that the page knows. Any other, outside the API, gets the same page with status 404."""

# Named here, because the system's own table may know none of them, and `nosniff` forbids the browser to guess.
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# The other headers that keep a browser safe are on every answer of the server (`guard.add_headers`).
_HEADERS = {
    # No 'unsafe-inline' anywhere: a workflow's name that were markup could neither run nor style anything.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_FRESH = {**_HEADERS, "Cache-Control": "no-cache"}
# The name of an asset holds the hash of its content, so it never changes under its name.
_FOREVER = {**_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}

_NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>stream-detector: dashboard not built</title>
<h1>The dashboard is not built</h1>
<p>The API works, but the dashboard's files are missing. Run in the checkout</p>
<pre>make install</pre>
<p>and reload this page. The wheel includes them.</p></html>
"""


def add_pages(app: web.Application) -> None:
    """Serve the dashboard from `app`. Call it after the API's routes are added: it takes every address left over."""
    for path in PATHS:
        app.router.add_get(path, _shell)
    app.router.add_get(r"/assets/{name:[A-Za-z0-9_-][A-Za-z0-9._-]*\.(?:js|css|svg)}", _asset)
    app.router.add_get("/favicon.svg", _icon)
    app.router.add_get(r"/{rest:(?!api(?:/|$)|assets/).*}", _unknown)


async def _shell(_: web.Request) -> web.StreamResponse:
    return _index(200)


async def _unknown(_: web.Request) -> web.StreamResponse:
    return _index(404)


def _index(status: int) -> web.StreamResponse:
    index = STATIC / "index.html"
    if not index.is_file():
        return web.Response(status=503, text=_NOT_BUILT, content_type="text/html", headers=_FRESH)
    return web.FileResponse(index, status=status, headers=_FRESH)  # sends index.html.gz where gzip is accepted


async def _asset(request: web.Request) -> web.StreamResponse:
    return _file(STATIC / "assets" / request.match_info["name"], _FOREVER)


async def _icon(_: web.Request) -> web.StreamResponse:
    return _file(STATIC / "favicon.svg", _FRESH)


def _file(path: Path, headers: dict[str, str]) -> web.StreamResponse:
    if not path.is_file():
        raise web.HTTPNotFound(headers=_FRESH)
    return web.FileResponse(path, headers={**headers, "Content-Type": _TYPES[path.suffix]})
