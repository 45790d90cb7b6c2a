"""How a command on this machine reaches what runs: by the settings, and where they are silent, the `up` that runs."""

import json
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from stream_detector.cli import StopsWith
from stream_detector.devstack.folder import RUNNING
from stream_detector.settings import PREFIX, Settings

_FILLED = ("broker", "database_url", "api_token", "topic_prefix")


def reached(settings: Settings) -> Settings:
    """The settings, with addresses and token of the running `up` of this user where none is set at all.

    One that names a broker, a database or a token of its own is meant as it is: nothing is mixed into it.
    """
    if settings.broker or settings.database_url or settings.api_token:
        return settings
    for folder in (settings.data_path, settings.data_path / "demo"):
        try:
            running = json.loads((folder / RUNNING).read_text("utf-8"))
        except (OSError, ValueError):
            continue
        filled = replace(settings, **{name: running[name] for name in _FILLED})
        is_default = settings.origin.get("api_port", "default") == "default"
        return replace(filled, api_port=int(running["api_port"])) if is_default else filled
    return settings


def api_address(settings: Settings) -> str:
    """Where the API of this machine listens."""
    host = "127.0.0.1" if settings.api_host in ("0.0.0.0", "::", "") else settings.api_host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.api_port}"


def ask_api(
    settings: Settings, path: str, query: dict[str, Any] | None = None, body: Any = None, *, missing: str = ""
) -> Any:
    """The API's answer as plain values. `missing` is said where there is no such thing, else the API's own words.

    Raises:
        StopsWith: it does not answer (1), refuses (2 where the question is wrong, 1 otherwise), or knows no such thing.
    """
    asked = urlencode({name: value for name, value in (query or {}).items() if value is not None}, doseq=True)
    request = urllib.request.Request(f"{api_address(settings)}{path}{'?' + asked if asked else ''}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if settings.api_token:
        request.add_header("Authorization", f"Bearer {settings.api_token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        why = missing if missing and error.code == 404 else _why(error)
        raise StopsWith(why, 2 if error.code in (400, 401, 403) else 1) from None
    except OSError as error:
        why = getattr(error, "reason", error)
        raise StopsWith(f"the API at {api_address(settings)} does not answer: {why}") from None


def _why(error: urllib.error.HTTPError) -> str:
    if error.code == 401:
        return f"the API wants a token: set {PREFIX}API_TOKEN to one that `stream-detector token create` made"
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError):
        return f"the API answered {error.code}"
