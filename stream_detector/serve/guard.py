"""Who may ask: Host, Origin and token, and the headers that keep a browser safe.

The checks run in this order for every request, pages included, before any handler:
1. Host: on loopback a page of another site could rebind its name to 127.0.0.1 and read answers as its own.
2. Origin: a method that changes something must come from our own page, or from no browser at all.
3. Token: everything below /api/ needs it where one is set.
"""

import hmac
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from stream_detector.serve.problems import ProblemError, is_api
from stream_detector.settings import Settings, SettingsError

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none';"
    " form-action 'self'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "stream-detector",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def demand_token(settings: Settings) -> None:
    """Raises `SettingsError` where others could reach the API and no token is set."""
    if not is_loopback(settings.api_host) and not settings.api_token:
        allowed = "not a loopback address, so STREAM_DETECTOR_API_TOKEN must be set too; or use 127.0.0.1"
        raise SettingsError("STREAM_DETECTOR_API_HOST", repr(settings.api_host), allowed)


class Guard:
    """The checks, from the settings in force."""

    def __init__(self, settings: Settings) -> None:
        base = urlsplit(settings.base_url)
        added = [name.strip().lower() for name in settings.api_allowed_hosts.split(",") if name.strip()]
        self._names = {"localhost", settings.api_host.strip("[]").lower(), (base.hostname or "").lower(), *added}
        self._check_host = is_loopback(settings.api_host) or bool(added)
        self._base_origin = f"{base.scheme}://{base.netloc}".lower()
        self._token = settings.api_token.encode()

    def middleware(self) -> Any:
        """For the application."""

        @web.middleware
        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            self.demand_host(request)
            self.demand_origin(request)
            if is_api(request):
                self.demand_token(request)
            response: web.StreamResponse = await handler(request)
            return response

        return guard

    def demand_host(self, request: web.BaseRequest) -> None:
        """1. Raises 403 for a Host that is not ours."""
        if not self._check_host:
            return
        name = (urlsplit("//" + request.headers.get("Host", "")).hostname or "") if _plain(request) else ""
        if name not in self._names and not (name and is_loopback(name)):
            raise ProblemError(
                403, "This Host is not answered to. Add it to STREAM_DETECTOR_API_ALLOWED_HOSTS if it is yours."
            )

    def demand_origin(self, request: web.BaseRequest) -> None:
        """2. Raises 403 for a changing request from another site's page. Programs send neither header."""
        if request.method in SAFE_METHODS:
            return
        origin = request.headers.get("Origin")
        own = {self._base_origin, f"http://{request.host}".lower(), f"https://{request.host}".lower()}
        if origin is not None and origin.lower() not in own:
            raise ProblemError(403, "This Origin may not change anything here.")
        if origin is None and request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            raise ProblemError(403, "Another site's page may not change anything here.")

    def demand_token(self, request: web.BaseRequest) -> None:
        """3. Raises 401 without the token. Compared in constant time."""
        if not self._token or self._carries_token(request):
            return
        raise ProblemError(
            401, "Send the header `Authorization: Bearer <API_TOKEN>`.", headers={"WWW-Authenticate": "Bearer"}
        )

    def _carries_token(self, request: web.BaseRequest) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token)


def _plain(request: web.BaseRequest) -> bool:
    """Whether the Host header can be taken apart: `urlsplit` raises on a lone bracket."""
    try:
        return bool(urlsplit("//" + request.headers.get("Host", "")).hostname)
    except ValueError:
        return False


async def add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """On every answer, also those of errors."""
    for name, value in _HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Content-Security-Policy", _API_POLICY if is_api(request) else _PAGE_POLICY)
    if is_api(request):
        response.headers.setdefault("Cache-Control", "no-store")
