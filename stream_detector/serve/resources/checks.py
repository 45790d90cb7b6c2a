"""What the live detector found in one stored execution."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events.fields import Id
from stream_detector.kafka.topics import COMPLETIONS
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.broker import BrokerAwayError
from stream_detector.serve.deleted import deletions_of
from stream_detector.serve.judgement import Judgement, anomalies_of_start, find_published, judge_stored
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import read_body
from stream_detector.serve.responses import json_response
from stream_detector.store import executions
from stream_detector.store.running import Running, running_execution


class CheckRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The execution to check; `attempt` defaults to the last one."""

    workflow_execution_id: Id
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


async def check_anomalies(request: web.Request) -> web.Response:
    """The anomalies stored under one execution, once the detector has evaluated it; 202 with Retry-After until then.

    While it runs, what was found in it so far, and 202 where that is nothing.

    The header X-Deleted-Anomalies has the ids of those that operators have deleted.
    """
    wanted = await read_body(request, CheckRequest)
    about = wanted.workflow_execution_id, wanted.attempt
    if running := await _running_alone(request, *about):
        if found := await anomalies_of_start(request.app, running.event):
            return json_response(b"[" + b",".join(found) + b"]")
        return Judgement([], f"it is running since {running.started_at:%Y-%m-%d %H:%M:%S} UTC").pending_response()
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


async def _running_alone(request: web.Request, execution_id: str, attempt: int | None) -> Running | None:
    """The execution where it runs, and no attempt of it has ended."""
    if await request.app[DATABASE].query(executions.execution, execution_id, attempt) is not None:
        return None
    return await request.app[DATABASE].query(running_execution, execution_id, attempt)
