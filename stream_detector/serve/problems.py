"""Errors as RFC 9457 problem details, never as a trace."""

import re
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from stream_detector.serve.broker import BrokerAwayError, DeadLetterError
from stream_detector.store.connect import StoreAwayError
from stream_detector.store.paging import CursorError
from stream_detector.telemetry.log_events import RequestFailed

TITLES = {
    400: "Invalid request",
    401: "A token is required",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "The request took too long",
    409: "Conflict",
    413: "The request is too large",
    415: "This content type is not accepted",
    422: "The events were rejected",
    429: "Rate limit exceeded",
    431: "The request is too large",
    500: "Internal error",
    503: "A dependency is unavailable",
}
RETRY_AFTER_S = 5
PING_FOLDER = "/ping/"
_SECRET_SEGMENT = re.compile(r"^(/(?:ping|open|links)/)[^/]+")
OWN_ERROR = "Internal error. See the log for the reason."


class Problem(msgspec.Struct, omit_defaults=True, kw_only=True):
    """RFC 9457. `parameter` and `allowed` describe an invalid parameter."""

    title: str
    status: int
    detail: str
    parameter: str | None = None
    allowed: list[str] | None = None
    refused: list[dict[str, Any]] | None = None
    """Of a batch of events: index, reason and message of each."""
    deleted_at: datetime | None = None
    """Of an anomaly: when an operator deleted it."""


class ProblemError(Exception):
    """Ends the request with a problem. Raised by handlers, answered by `answer_problems`."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        parameter: str | None = None,
        allowed: list[str] | None = None,
        refused: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
        deleted_at: datetime | None = None,
    ) -> None:
        super().__init__(detail)
        self.headers = headers or {}
        self.problem = Problem(
            title=TITLES[status],
            status=status,
            detail=detail,
            parameter=parameter,
            allowed=allowed,
            refused=refused,
            deleted_at=deleted_at,
        )

    def body(self) -> bytes:
        """The problem as JSON."""
        return msgspec.json.encode(self.problem)

    def response(self) -> web.Response:
        """As `application/problem+json`."""
        return web.Response(
            status=self.problem.status,
            body=self.body(),
            content_type="application/problem+json",
            headers=self.headers,
        )


def is_api(request: web.BaseRequest) -> bool:
    """Whether it is a route for programs, whose errors are JSON; pages have their own."""
    return request.path.startswith(("/api/", PING_FOLDER))


def is_ping(request: web.BaseRequest) -> bool:
    """Whether it is a ping, whose path has the key that identifies the sender."""
    return request.path.startswith(PING_FOLDER)


def loggable_path(path: str) -> str:
    """The path without the secret that it may have: a ping key, a sign-in code, a signed link.

    >>> loggable_path("/ping/sd_ping_x/fail"), loggable_path("/open/x"), loggable_path("/api/v1/runs/x")
    ('/ping/***/fail', '/open/***', '/api/v1/runs/x')
    """
    return _SECRET_SEGMENT.sub(r"\1***", path)


@web.middleware
async def answer_problems(request: web.Request, handler: Any) -> web.StreamResponse:
    """Every error of the API becomes a problem; a defect is logged and answered without its trace."""
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except ProblemError as error:
        return error.response()
    except CursorError as error:
        return ProblemError(400, f"cursor: {error}", parameter="cursor").response()
    except StoreAwayError as error:
        detail = f"The database does not answer ({error}). Detection and notifications continue without it."
        return ProblemError(503, detail, headers={"Retry-After": str(RETRY_AFTER_S)}).response()
    except DeadLetterError as error:
        return ProblemError(404, f"{error}.").response()
    except BrokerAwayError as error:
        detail = f"Kafka does not answer ({error}). No data was lost: send the same request again."
        return ProblemError(503, detail, headers={"Retry-After": str(RETRY_AFTER_S)}).response()
    except web.HTTPException as error:
        if not is_api(request) or error.status not in TITLES:
            raise
        details = {
            404: f"Nothing is served at {request.method} {request.path[:200]}",
            405: f"{request.method} is not allowed",
        }
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return ProblemError(error.status, details.get(error.status, error.reason), headers=headers).response()
    except Exception as error:
        RequestFailed(request.method, loggable_path(request.path), f"{type(error).__name__}: {error}").emit()
        return ProblemError(500, OWN_ERROR).response()
