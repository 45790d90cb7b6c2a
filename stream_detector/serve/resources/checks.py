"""What the live detector found in one stored execution."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events.fields import Id
from stream_detector.kafka.topics import COMPLETIONS
from stream_detector.serve.broker import BrokerAwayError
from stream_detector.serve.deleted import deletions_of
from stream_detector.serve.judgement import find_published, judge_stored
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import read_body
from stream_detector.serve.responses import json_response
from stream_detector.store import executions


class CheckRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The execution to check; `attempt` defaults to the last one."""

    workflow_execution_id: Id
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


async def check_anomalies(request: web.Request) -> web.Response:
    """The anomalies stored under one execution, once the detector has evaluated it; 202 with Retry-After until then.

    The header X-Deleted-Anomalies has the ids of those that operators have deleted.
    """
    wanted = await read_body(request, CheckRequest)
    about = wanted.workflow_execution_id, wanted.attempt
    stored = await find_published(request.app, COMPLETIONS, executions.execution, *about)
    if isinstance(stored, web.Response):
        return stored
    judgement = await judge_stored(request.app, stored)
    if judgement.pending:
        return judgement.pending_response()
    if judgement.refusal is not None:
        raise ProblemError(422, f"The detector did not evaluate this execution: {judgement.refusal}.")
    if judgement.unknown and not judgement.anomalies:
        raise BrokerAwayError(judgement.unknown)
    headers = {"X-Approximate": judgement.unknown} if judgement.unknown else {}
    if deleted := await deletions_of(request.app, stored.event):
        headers["X-Deleted-Anomalies"] = ", ".join(one.anomaly_id for one in deleted)
    return json_response(b"[" + b",".join(judgement.anomalies) + b"]", **headers)
