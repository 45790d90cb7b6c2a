"""How a command reaches the running system: by the settings or, without any, the `up` of this user."""

import json
import time
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from stream_detector.cli import CommandError
from stream_detector.devstack.folder import RUNNING
from stream_detector.settings import PREFIX, Settings

_PENDING_S = 15.0
"""So long a command waits for a result that the API does not have yet."""
_AGAIN_S = 0.1
PENDING_EXIT_CODE = 3
_FILLED = ("broker", "database_url", "api_token", "topic_prefix", "probe_urls")


def use_running_stack(settings: Settings) -> Settings:
    """The settings; without broker, database and token, those of this user's running `up` are filled in.

    Settings that name any of the three are used as they are: mixing two installations would be worse than an error.
    """
    if settings.broker or settings.database_url or settings.api_token:
        return settings
    for folder in (settings.data_path, settings.data_path / "demo"):
        try:
            running = json.loads((folder / RUNNING).read_text("utf-8"))
        except (OSError, ValueError):
            continue
        filled = replace(settings, **{name: running[name] for name in _FILLED if name in running})
        is_default = settings.origin.get("api_port", "default") == "default"
        return replace(filled, api_port=int(running["api_port"])) if is_default else filled
    return settings


def with_broker(settings: Settings) -> Settings:
    """`use_running_stack`, for a command that reads or writes topics. Raises `CommandError` without a broker."""
    settings = use_running_stack(settings)
    if not settings.broker:
        raise CommandError(f"{no_broker(settings)}. `stream-detector up` starts an embedded broker", 2)
    return settings


def no_broker(settings: Settings) -> str:
    """Why there is no broker, and how to name one."""
    if settings.database_url or settings.api_token:
        return (
            f"{PREFIX}BROKER (--broker) is not set. DATABASE_URL or API_TOKEN is, so a running `stream-detector up` is "
            "not used"
        )
    return (
        f"{PREFIX}BROKER is not set, and no `stream-detector up` of this user is running in {settings.data_path}: "
        "use --broker HOST:PORT, or --data-dir of the `up`"
    )


def api_address(settings: Settings) -> str:
    """The address of the API on this machine."""
    host = "127.0.0.1" if settings.api_host in ("0.0.0.0", "::", "") else settings.api_host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.api_port}"


def public_address(settings: Settings) -> str:
    """Where people and other machines reach the API: BASE_URL if that is set, else the API's own address."""
    named = settings.origin.get("base_url", "default") != "default"
    return settings.base_url.rstrip("/") if named else api_address(settings)


def call_api(
    settings: Settings,
    path: str,
    query: dict[str, Any] | None = None,
    body: Any = None,
    *,
    missing: str = "",
    headers: dict[str, str] | None = None,
) -> Any:
    """The API's response as plain values; a response with status 202 is asked for again for 15 s.

    Args:
        missing: message for a response with status 404; without it the API's own message is used.
        headers: gets those of the response, with lower-case names.

    Raises:
        CommandError: the API does not answer or failed (exit code 1), rejected the request (2), or has no result yet
            (3).
    """
    encoded = urlencode({name: value for name, value in (query or {}).items() if value is not None}, doseq=True)
    request = urllib.request.Request(f"{api_address(settings)}{path}{'?' + encoded if encoded else ''}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if settings.api_token:
        request.add_header("Authorization", f"Bearer {settings.api_token}")
    deadline_s = time.monotonic() + _PENDING_S
    try:
        while True:
            with urllib.request.urlopen(request, timeout=60) as response:
                found = json.loads(response.read())
            if headers is not None:
                headers |= {name.lower(): value for name, value in response.headers.items()}
            if response.status != 202:
                return found
            left_s = deadline_s - time.monotonic()
            if left_s < 0:
                raise CommandError(str(found["detail"]), PENDING_EXIT_CODE)
            time.sleep(_pause_s(found.get("retry_after_s"), left_s))
    except urllib.error.HTTPError as error:
        why = missing if missing and error.code == 404 else _reason(error)
        raise CommandError(why, 2 if error.code in (400, 401, 403) else 1) from None
    except OSError as error:
        why = str(getattr(error, "reason", error))
        raise CommandError(f"the API at {api_address(settings)} does not answer: {why}") from None


def _pause_s(asked: Any, left_s: float) -> float:
    """How long to wait before asking again: as asked, never beyond the time that is left."""
    is_number = isinstance(asked, int | float) and asked > 0  # False for NaN, too
    return min(max(float(asked), _AGAIN_S), left_s + _AGAIN_S) if is_number else _AGAIN_S


def _reason(error: urllib.error.HTTPError) -> str:
    if error.code == 401:
        return f"the API needs a token: create one with `stream-detector token create` and set {PREFIX}API_TOKEN"
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError):
        return f"the API responded with status {error.code}"
