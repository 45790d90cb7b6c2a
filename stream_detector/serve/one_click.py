"""One-click links of messages: opening one shows what it would do, its button does it.

Needs no session: the signature is the right. It goes by a form, since mail scanners and previews open links but press
no buttons. `add_links` mounts both; without SECRET_KEY there are no links.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from html import escape

from aiohttp import web

from stream_detector.events import Action
from stream_detector.notify.links import WORDS, Link, LinkError, actions_of, verify
from stream_detector.settings import Settings

Publish = Callable[[Action], Awaitable[object]]
"""Puts a decision onto `operator-actions`; raises where Kafka does not take it."""
FindUsed = Callable[[Sequence[str]], Awaitable[datetime | None]]
"""When the first of these actions was decided; None where not all are known."""

_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>stream-detector: {title}</title>
<h1>{title}</h1>
{body}
<p><a href="/anomalies">Go to the dashboard</a></p></html>
"""
_WHAT = {
    "acknowledge": "Stops notifications of this incident, except its end. Everyone sees that it is acknowledged.",
    "silence": "No notifications about it for 24 hours.",
}
_USED = (
    "This link was used at {at:%Y-%m-%d %H:%M} UTC and works once: nothing was changed now. The dashboard shows whether"
    " the silence is active, and can set a new one."
)
_DONE = {"acknowledge": "Acknowledged", "silence": "Silenced for 24 h"}


async def _unused(action_ids: Sequence[str]) -> datetime | None:
    return None


def add_links(
    app: web.Application,
    settings: Settings,
    publish: Publish,
    clock: Callable[[], float] = time.time,
    find_used: FindUsed = _unused,
) -> None:
    """Serve `/links/{token}`: GET shows, POST acts. Call it before `add_pages`, which takes every address left over."""
    if not settings.secret_key:
        return
    key = settings.secret_key.encode()

    async def show(request: web.Request) -> web.Response:
        try:
            return _page(200, *_question(verify(key, request.match_info["token"], clock())))
        except LinkError as error:
            return _page(410, "Invalid link", f"<p>{escape(str(error))}</p>")

    async def act(request: web.Request) -> web.Response:
        token, now_s = request.match_info["token"], clock()
        try:
            link = verify(key, token, now_s)
        except LinkError as error:
            return _page(410, "Invalid link", f"<p>{escape(str(error))}</p>")
        actions = actions_of(link, token, now_s)
        if link.purpose == "silence" and (used_at := await find_used([action.action_id for action in actions])):
            # What it silenced may have been lifted since: nobody must believe that it is silenced again (X14).
            return _page(200, "Link already used", f"<p>{escape(link.about)}</p>\n<p>{_USED.format(at=used_at)}</p>")
        try:
            for action in actions:
                await publish(action)
        except (
            Exception
        ) as error:  # whatever keeps Kafka from accepting it: the page says so, and the button is there again
            words = f"Kafka does not accept it now ({escape(type(error).__name__)}). Try again; repeating it is safe."
            return _page(503, "Action failed", f"<p>{words}</p>\n{_form(link)}")
        return _page(200, _DONE[link.purpose], f"<p>{escape(link.about)}</p>\n<p>{escape(_WHAT[link.purpose])}</p>")

    app.router.add_get("/links/{token}", show, allow_head=False)
    app.router.add_post("/links/{token}", act)


def _question(link: Link) -> tuple[str, str]:
    what = f"<p>{escape(link.about)}</p>\n<p>{escape(_WHAT[link.purpose])}</p>"
    return f"{WORDS[link.purpose]}?", f"{what}\n{_form(link)}"


def _form(link: Link) -> str:
    return f'<form method="post"><button type="submit">{escape(WORDS[link.purpose])}</button></form>'


def _page(status: int, title: str, body: str) -> web.Response:
    text = _PAGE.format(title=escape(title), body=body)
    return web.Response(status=status, text=text, content_type="text/html", headers=_HEADERS)
