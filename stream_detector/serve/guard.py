"""Authorization: Host, Origin and role, and the headers that keep a browser safe.

The checks run in this order for every request, pages included, before any handler:
1. Host: a page of another site could rebind its name to our address and read answers as its own (`hosts.py`).
2. Origin: a method that changes something must come from our own page, or from no browser at all.
3. Identity: everything below /api/ needs a token or a session. A session that changes something must name our own
   Origin: browsers send the cookie by themselves, and they always send the Origin along. The handler of a ping checks
   the key in its path.
4. Role: each route names the roles that may; this is the only place that looks.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from stream_detector.serve.authentication import IDENTITY, SIGNED, Authenticator
from stream_detector.serve.hosts import accepted_hosts, host_of, is_accepted, split_host
from stream_detector.serve.problems import ProblemError, is_api, is_ping
from stream_detector.settings import Settings, SettingsError, is_loopback

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none';"
    " form-action 'self'"
)
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "stream-detector",
}


def demand_token(settings: Settings) -> None:
    """Raises `SettingsError` where others could reach the API and no token is set."""
    if not is_loopback(settings.api_host) and not settings.api_token:
        allowed = "not a loopback address, so STREAM_DETECTOR_API_TOKEN must be set too; or use 127.0.0.1"
        raise SettingsError("STREAM_DETECTOR_API_HOST", repr(settings.api_host), allowed)


class Guard:
    """The checks, from the settings in force.

    Args:
        settings: addresses and names.
        authenticator: identifies who sent a request.
        rights: (method, path of the route) -> the roles that may. A route of the API that is not in it is nobody's.
    """

    def __init__(
        self, settings: Settings, authenticator: Authenticator, rights: Mapping[tuple[str, str], frozenset[str]]
    ) -> None:
        base = urlsplit(settings.base_url)
        self._accepted = accepted_hosts(settings)
        self._base_origin = f"{base.scheme}://{base.netloc}".lower()
        self._proxied = settings.api_behind_proxy
        self._authenticator, self._rights = authenticator, rights

    def middleware(self) -> Any:
        """For the application."""

        @web.middleware
        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            self.demand_host(request)
            self.demand_origin(request)
            if is_api(request) and not is_ping(request):
                await self.demand_right(request)
            response: web.StreamResponse = await handler(request)
            return response

        return guard

    def demand_host(self, request: web.BaseRequest) -> None:
        """1. Raises 403 for a Host that is not ours."""
        host = host_of(request, proxied=self._proxied)
        if is_accepted(host, self._accepted):
            return
        name = split_host(host)[0]
        if not name:
            raise ProblemError(403, "The Host header must be one host name or address, with or without a port.")
        raise ProblemError(
            403,
            f"The Host {name} is not allowed. If it is yours, set STREAM_DETECTOR_BASE_URL to the URL under which this"
            " API is reached, or add the name to STREAM_DETECTOR_API_ALLOWED_HOSTS.",
        )

    def demand_origin(self, request: web.BaseRequest) -> None:
        """2. Raises 403 for a changing request from another site's page. Programs send neither header."""
        if request.method in SAFE_METHODS:
            return
        origin = request.headers.get("Origin")
        host = host_of(request, proxied=self._proxied)
        own = {self._base_origin, f"http://{host}".lower(), f"https://{host}".lower()}
        if origin is not None and origin.lower() not in own:
            raise ProblemError(403, "Requests from this Origin are not allowed to make changes.")
        if origin is None and request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            raise ProblemError(403, "Cross-site requests are not allowed to make changes.")

    async def demand_right(self, request: web.Request) -> None:
        """3 and 4. Raises 401 without a valid token or session, 403 where its role may not."""
        resource = request.match_info.route.resource
        roles = self._rights.get((request.method, resource.canonical)) if resource else None
        if roles is SIGNED:
            return
        identity = await self._authenticator.identify(request)
        if identity is None:
            raise ProblemError(
                401,
                "Send the header `Authorization: Bearer <token>`, or open a browser session with the link that"
                " `stream-detector up` or `stream-detector token link` prints.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if identity.by == "session" and request.method not in SAFE_METHODS and not self._from_own_page(request):
            raise ProblemError(403, "A browser session can make changes only from the dashboard's own origin.")
        if roles is not None and identity.role not in roles:
            raise ProblemError(403, f"The role {identity.role} may not do this; {' or '.join(sorted(roles))} may.")
        request[IDENTITY] = identity

    def _from_own_page(self, request: web.BaseRequest) -> bool:
        """Whether the browser says so; a foreign Origin was refused before."""
        return "Origin" in request.headers or request.headers.get("Sec-Fetch-Site") == "same-origin"


async def add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """On every answer, also those of errors."""
    for name, value in SAFE_HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Content-Security-Policy", _API_POLICY if is_api(request) else _PAGE_POLICY)
    if is_api(request):
        response.headers.setdefault("Cache-Control", "no-store")
