"""The Host of a request, read strictly, and the names that are ours."""

import re
from urllib.parse import urlsplit

from aiohttp import web

from stream_detector.settings import Settings, is_loopback

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?", re.ASCII)
"""RFC 9110, 7.2: a name or address, and a port. No user (`evil@127.0.0.1`), no list, no path."""
_ANY_ADDRESS = {"", "0.0.0.0", "::"}


def host_of(request: web.BaseRequest, *, proxied: bool = False) -> str:
    """The header, with its port; empty where there is none or more than one.

    Args:
        proxied: a trusted proxy is in front; what it forwards then counts.
    """
    given = request.headers.getall("X-Forwarded-Host", []) if proxied else []
    given = given or request.headers.getall("Host", [])
    return given[0] if len(given) == 1 else ""


def split_host(host: str) -> tuple[str, int | None]:
    """(Name in lower case, port); the name is empty where it is no host.

    >>> split_host("LOCALHOST:8080"), split_host("[::1]"), split_host("evil@127.0.0.1")
    (('localhost', 8080), ('::1', None), ('', None))
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return "", None
    return match[1].strip("[]").lower(), int(match[2]) if match[2] else None


def accepted_hosts(settings: Settings) -> set[str]:
    """The names besides loopback: the host of BASE_URL, the address that is listened on, and those added."""
    given = [(urlsplit(settings.base_url).hostname or ""), settings.api_host, *settings.api_allowed_hosts.split(",")]
    names = {split_host(text.strip())[0] or text.strip().lower() for text in given}  # the latter: IPv6 without brackets
    return names - _ANY_ADDRESS


def is_accepted(host: str, accepted: set[str]) -> bool:
    """Whether a Host is one of ours.

    Any other is refused wherever we listen: a page of another site can have its own name resolve to our address, and
    its browser then takes our answers for that site's own.
    """
    name, _ = split_host(host)
    return bool(name) and (name in accepted or is_loopback(name))
