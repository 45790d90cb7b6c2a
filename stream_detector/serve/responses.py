"""Answers as JSON."""

from typing import Any

import msgspec
from aiohttp import web

from stream_detector.store.paging import Page

_GZIP_FROM_BYTES = 1_400
"""What fits one packet gains nothing."""


def json_response(value: Any, **headers: str) -> web.Response:
    """The value as JSON; instants in UTC."""
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    response = web.Response(body=body, content_type="application/json", headers={"Vary": "Accept-Encoding", **headers})
    if len(body) > _GZIP_FROM_BYTES:
        response.enable_compression()  # where the request accepts it
    return response


def page_response(page: Page, **more: Any) -> web.Response:
    """The page with its items as they are stored."""
    rest = msgspec.json.encode({"next": page.next, **more})
    return json_response(b'{"items":[' + b",".join(page.items) + b"]," + rest[1:])
