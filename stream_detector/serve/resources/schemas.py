"""The JSON Schemas of the events, and the OpenAPI document."""

import json

from aiohttp import web
from msgspec import Struct

from stream_detector.events.schema import schemas
from stream_detector.serve.app_keys import DOCUMENT
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.responses import json_response


class SchemaList(Struct):
    """The names of the schemas."""

    items: list[str]


async def list_schemas(_: web.Request) -> web.Response:
    """The names of the JSON Schemas of every event."""
    return json_response({"items": sorted(schemas())})


async def one_schema(request: web.Request) -> web.Response:
    """The JSON Schema of one event."""
    found = schemas().get(request.match_info["id"])
    if found is None:
        raise ProblemError(404, "There is no schema with this name.", allowed=sorted(schemas()))
    return json_response(json.dumps(found).encode())


async def openapi(request: web.Request) -> web.Response:
    """This document."""
    return json_response(request.app[DOCUMENT])
