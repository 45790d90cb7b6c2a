"""A browser session: opened by a one-time link or with a token, read, ended."""

from aiohttp import web

from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.authentication import IDENTITY, cookie_name, set_cookie
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.responses import json_response
from stream_detector.store import credentials

_MOST_CODE = 200

_USED = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>stream-detector: link already used</title>
<h1>This link was already used or has expired</h1>
<p>A link opens one session and is valid for 15 minutes. For a new one, run on the server</p>
<pre>stream-detector token link</pre>
<p>or, if you have a token, <a href="/anomalies">enter it on the page</a>.</p></html>
"""


async def open_link(request: web.Request) -> web.Response:
    """Turn a one-time link into a session: the cookie is set, and the page follows."""
    code = request.match_info["code"]
    opened = await request.app[DATABASE].query(credentials.open_link, code) if len(code) <= _MOST_CODE else None
    if opened is None:
        return web.Response(status=410, text=_USED, content_type="text/html", headers={"Cache-Control": "no-store"})
    response = web.Response(status=303, headers={"Location": "/anomalies", "Cache-Control": "no-store"})
    set_cookie(request, response, opened[0])
    return response


async def read_session(request: web.Request) -> web.Response:
    """The current identity and its permissions."""
    return json_response(request[IDENTITY])


async def make_session(request: web.Request) -> web.Response:
    """Exchange the token for a browser session, so that the browser does not have to store the token."""
    identity = request[IDENTITY]
    if identity.by == "session":
        raise ProblemError(400, "A session cannot create another session. Send a token.")
    secret, opened = await request.app[DATABASE].query(credentials.make_session, identity.name, identity.role)
    response = json_response(opened)
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
