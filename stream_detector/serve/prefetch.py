"""Pages that a browser asks for before anybody has decided to open them.

Such a request opens nothing: a session is for a person who came. It is refused rather than answered without a session,
because the browser would show that answer when the person does come; after a 503 it asks again.
"""

from aiohttp import web

_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
"""The standard one (Fetch, `Sec-Purpose: prefetch;prerender`) and those of browsers before it."""
_WORDS = ("prefetch", "prerender", "preview", "instant")


def is_prefetch(request: web.BaseRequest) -> bool:
    """Whether the browser asks ahead, as its headers tell; no page can set the first of them."""
    given = " ".join(text for name in _HEADERS for text in request.headers.getall(name, [])).lower()
    return any(word in given for word in _WORDS)


def refuse_prefetch() -> web.Response:
    """503, which no browser keeps."""
    return web.Response(status=503, text="This page is not prefetched.\n", headers={"Cache-Control": "no-store"})
