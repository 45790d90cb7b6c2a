"""What the detector says of one stored execution."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.composition import detection_config
from stream_detector.events.fields import Id
from stream_detector.serve.app_keys import DATABASE, SETTINGS
from stream_detector.serve.check import check
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import read_body
from stream_detector.serve.responses import json_response


class CheckRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The execution to check; `attempt` defaults to the last one."""

    workflow_execution_id: Id
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


async def check_anomalies(request: web.Request) -> web.Response:
    """Evaluate one stored execution with the detector."""
    execution = await read_body(request, CheckRequest)
    config = detection_config(request.app[SETTINGS])
    found = await request.app[DATABASE].query(check, execution.workflow_execution_id, execution.attempt, config)
    if found is None:
        raise ProblemError(404, "No execution with this id is stored.")
    return json_response(found.anomalies, **({"X-Approximate": found.approximate} if found.approximate else {}))
