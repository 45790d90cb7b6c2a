"""Pings: a cron job reports its runs by one URL, whose key is the token of one workflow.

Only POST counts: mail clients, chats and scanners open links that they see, and each would be a run that succeeded.
"""

import re
import time
from contextlib import suppress
from typing import Annotated
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.events import Completion, RefusedError, Start
from stream_detector.events.completion import Status
from stream_detector.events.decode import decode_received
from stream_detector.events.encode import encode
from stream_detector.events.excerpt import TAIL_BYTES, excerpt_of
from stream_detector.events.exit_codes import excerpt_of_run, status_of_exit_code
from stream_detector.events.fields import Id
from stream_detector.events.ids import derived_id
from stream_detector.events.times import from_epoch_ms
from stream_detector.serve.app_keys import BROKER, DATABASE
from stream_detector.serve.authentication import AUTHENTICATOR
from stream_detector.serve.bodies import read_tail
from stream_detector.serve.broker import BrokerAwayError
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import read_query
from stream_detector.serve.resources.events import API_SOURCE, check_rate_limit, publish_events
from stream_detector.store.connect import StoreAwayError
from stream_detector.store.credentials import Caller
from stream_detector.store.pings import REPEATED_WITHIN, PingedRun, record_end, record_start

BODY_BYTES = 5 * 1024 * 1024
FORMS = (
    "POST /ping/KEY/start when a run starts, /ping/KEY when it has succeeded, /ping/KEY/fail when it has failed,"
    " or /ping/KEY/EXITCODE with its exit code (0: success)"
)
_NOT_POST = (
    f"Only POST is a ping, since links are also opened by mail clients and chats. Nothing was recorded. {FORMS}:"
    " `curl -fsS -X POST URL`, `wget -qO- --post-data= URL` or `Invoke-RestMethod -Method Post URL`."
)
_DETAILS = ("duration_s", "limit_s")
"""A run is not lost for one of these that cannot be read."""
_EXIT_CODE = re.compile(r"-?[0-9]{1,10}")


class PingQuery(Struct, kw_only=True):
    """What a client may know of its run. Other parameters are ignored: a ping is not lost for one."""

    execution_id: (
        Annotated[Id, Meta(description="Identifies the run: a start and an end with the same id belong together.")]
        | None
    ) = None
    duration_s: (
        Annotated[float, Meta(ge=0, le=3e8, description="How long the run took, in seconds; else since its start.")]
        | None
    ) = None
    limit_s: (
        Annotated[float, Meta(gt=0, le=3e8, description="Of a start: the run should not take longer, in seconds.")]
        | None
    ) = None


async def ping_success(request: web.Request) -> web.Response:
    """Report that a run of the key's workflow has succeeded; the body's last 10 kB are kept as its excerpt."""
    return await _record_end(request, await _caller(request), "success", None)


async def ping(request: web.Request) -> web.Response:
    """Report a run of the key's workflow: `start` that it has started, `fail` or an exit code that it has ended.

    Exit code 0 is a success, 124 a timeout, 130 and 143 a cancellation, any other a failure. The body's last 10 kB are
    kept as its excerpt. The duration is the time since the newest start; without a start it is not recorded.
    """
    outcome = request.match_info["outcome"]
    if outcome == "start":
        return await _record_start(request, await _caller(request))
    if outcome == "fail":
        return await _record_end(request, await _caller(request), "failure", None)
    if not _EXIT_CODE.fullmatch(outcome):
        raise _unknown_form()
    code = int(outcome)
    return await _record_end(request, await _caller(request), status_of_exit_code(code), code)


async def refuse_ping(request: web.Request) -> web.Response:
    """What is no ping: another method, or a path of another form."""
    if request.method != "POST":
        raise ProblemError(405, _NOT_POST, headers={"Allow": "POST"})
    raise _unknown_form()


def _unknown_form() -> ProblemError:
    return ProblemError(404, f"This is no ping, and nothing was recorded: {FORMS}.")


async def _caller(request: web.Request) -> Caller:
    """Whose key it is, and within its rate limit. Raises 401, 429."""
    caller = await request.app[AUTHENTICATOR].identify_ping(request.match_info["key"], request)
    if caller is None or caller.workflow_id is None:
        detail = (
            "The key in this URL is unknown, revoked or expired. Nothing was recorded."
            " `stream-detector token create --role producer --workflow NAME` creates one."
        )
        raise ProblemError(401, detail, headers={"WWW-Authenticate": "Ping"})
    check_rate_limit(request, caller.limited_as, 1)
    return caller


async def _record_start(request: web.Request, caller: Caller) -> web.Response:
    token_id, given, headers = _run_of(request, caller)
    run = await request.app[DATABASE].query(record_start, token_id, given.execution_id)
    if run is not None:
        now_ms = int(time.time() * 1000)
        event = Start(
            state="started",
            execution_id=run.execution_id,
            workflow_id=caller.workflow_id or "",
            started_at=from_epoch_ms(now_ms - int(run.started_ago_s * 1000)),
            limit_s=given.limit_s,
            source=API_SOURCE,
        )
        with suppress(BrokerAwayError):  # the end has its duration all the same; it is not shown as running until then
            await publish_events(request.app[BROKER], [(0, event)], [], backfill=False)
    return web.Response(status=204, headers=headers)


async def _record_end(request: web.Request, caller: Caller, status: Status, code: int | None) -> web.Response:
    token_id, given, headers = _run_of(request, caller)
    output = await read_tail(request, TAIL_BYTES, BODY_BYTES)
    now_ms = int(time.time() * 1000)
    try:
        run = await request.app[DATABASE].query(record_end, token_id, given.execution_id, status)
    except StoreAwayError:
        run = PingedRun(given.execution_id or _id_of_now(token_id, status, now_ms), status)
    excerpt = excerpt_of_run(excerpt_of(output), code)
    event = _execution(caller.workflow_id or "", run, given.duration_s, now_ms, excerpt)
    try:
        received = decode_received("completion", encode(event), (), now_ms)
    except RefusedError as error:
        raise ProblemError(400, f"{error.reason}: {error.message}") from None
    await publish_events(request.app[BROKER], [(0, received)], [], backfill=False)
    return web.Response(status=204, headers={"X-Execution-Id": run.execution_id} | headers)


def _run_of(request: web.Request, caller: Caller) -> tuple[UUID, PingQuery, dict[str, str]]:
    """(The key's token, what is known of the run, the answer's headers about what was left out of it).

    An id of the client is made one of this key: no key can take an id of another workflow's execution, which would then
    count as already received."""
    assert caller.token_id is not None, "a key is a token"
    given, left_out = _query_of(request)
    if given.execution_id is not None:
        own_id = derived_id("ping", str(caller.token_id), given.execution_id)
        given = msgspec.structs.replace(given, execution_id=own_id)
    return caller.token_id, given, {"X-Left-Out": ", ".join(left_out)} if left_out else {}


def _query_of(request: web.Request) -> tuple[PingQuery, list[str]]:
    """(The query, the parameters that were left out of it.) Raises 400 where the run's own id cannot be one."""
    left_out: list[str] = []
    while True:
        try:
            return read_query(request, PingQuery, ignore_unknown=True), left_out
        except ProblemError as error:
            name = next((each for each in _DETAILS if each == error.problem.parameter), None)
            if name is None:
                raise
            left_out.append(name)
            request = request.clone(rel_url=request.rel_url.without_query_params(name))


def _id_of_now(token_id: UUID, status: Status, now_ms: int) -> str:
    """While the database is away: what comes again within the same half minute is the same end."""
    return derived_id("ping", str(token_id), status, str(now_ms // int(REPEATED_WITHIN.total_seconds() * 1000)))


def _execution(
    workflow_id: str, run: PingedRun, duration_s: float | None, now_ms: int, excerpt: str | None
) -> Completion:
    """The event. Its end is by this server's clock; of the database's only differences are used."""
    lasted_s = run.lasted_s if duration_s is None else duration_s
    finished_ms = now_ms - int(run.ended_ago_s * 1000)
    return Completion(
        execution_id=run.execution_id,
        workflow_id=workflow_id,
        status=run.status,
        started_at=from_epoch_ms(finished_ms - int((lasted_s or 0) * 1000)),
        finished_at=from_epoch_ms(finished_ms),
        duration_s=None if lasted_s is None else round(lasted_s, 3),
        excerpt=excerpt,
        source=API_SOURCE,
    )
