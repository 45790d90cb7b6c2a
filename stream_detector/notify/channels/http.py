"""What every channel over HTTP needs: a wait that was asked for, and an error told without its address."""

import os
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from urllib.parse import urlsplit


def retry_after_s(value: str) -> float:
    """Seconds, given as seconds or as a date; 0 where it is absent or neither.

    >>> retry_after_s("30"), retry_after_s("soon"), retry_after_s("")
    (30.0, 0.0, 0.0)
    """
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def why(error: Exception) -> str:
    """Only the kind and the system's own words: both the text and `strerror` of aiohttp's errors may hold the URL."""
    number = getattr(getattr(error, "os_error", error), "errno", None)
    return f"{type(error).__name__}: {os.strerror(number)}" if number else type(error).__name__


def is_local(url: str) -> bool:
    """Whether it is this machine, which no proxy may stand before."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
