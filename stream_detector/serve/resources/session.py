"""A browser session: opened by a one-time link or with a token, read, ended."""

from aiohttp import web
from msgspec import Struct

from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.authentication import AUTHENTICATOR, IDENTITY, cookie_name, set_cookie
from stream_detector.serve.prefetch import is_prefetch, refuse_prefetch
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import parse_uuid
from stream_detector.serve.responses import json_response
from stream_detector.store import credentials
from stream_detector.store.credentials import StoredSession

_MOST_CODE = 200

_USED = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>stream-detector: link already used</title>
<h1>This link was already used or has expired</h1>
<p>A link opens one session and is valid for 15 minutes. For a new one, run on the server</p>
<pre>stream-detector token link</pre>
<p>or, if you have a token, <a href="/anomalies">enter it on the page</a>.</p></html>
"""


class SessionList(Struct, kw_only=True):
    """Newest first."""

    items: list[StoredSession]


async def open_link(request: web.Request) -> web.Response:
    """Turn a one-time link into a session: the cookie is set, and the page follows."""
    if is_prefetch(request):
        return refuse_prefetch()
    code = request.match_info["code"]
    opened = await request.app[DATABASE].query(credentials.open_link, code) if len(code) <= _MOST_CODE else None
    if opened is None:
        return web.Response(status=410, text=_USED, content_type="text/html", headers={"Cache-Control": "no-store"})
    response = web.Response(status=303, headers={"Location": "/anomalies", "Cache-Control": "no-store"})
    set_cookie(request, response, opened[0])
    return response


async def read_session(request: web.Request) -> web.Response:
    """The current identity and its permissions."""
    return json_response(request[IDENTITY].identity())


async def make_session(request: web.Request) -> web.Response:
    """Exchange the token for a browser session, which the browser need not store. It ends with the token."""
    identity = request[IDENTITY]
    if identity.by == "session":
        raise ProblemError(400, "A session cannot create another session. Send a token.")
    opened = await request.app[AUTHENTICATOR].open_session(request)
    if opened is None:
        raise ProblemError(401, "The token is not valid any more.", headers={"WWW-Authenticate": "Bearer"})
    secret, whose = opened
    response = json_response(whose)
    set_cookie(request, response, secret)
    return response


async def end_session(request: web.Request) -> web.Response:
    """Close the session of this browser."""
    secret = request.cookies.get(cookie_name(request))
    if secret:
        await request.app[DATABASE].query(credentials.end_session, credentials.token_digest(secret))
    response = web.Response(status=204)
    response.del_cookie(cookie_name(request), path="/")
    return response


async def list_sessions(request: web.Request) -> web.Response:
    """All valid browser sessions, newest first: whose they are and what opened them. Never their secret."""
    return json_response(SessionList(items=await request.app[AUTHENTICATOR].sessions()))


async def end_any_session(request: web.Request) -> web.Response:
    """End the browser session of this id, effective with its next request."""
    known = parse_uuid(request.match_info["id"])
    if known is None or not await request.app[DATABASE].query(credentials.end_session_of_id, known):
        raise ProblemError(404, "There is no valid session with this id.")
    return web.Response(status=204)
