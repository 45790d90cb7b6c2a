"""What `run` sends about a command: its start as it starts, its end with a bounded number of tries.

Everything here happens in threads beside the command, and no error of it is the command's: it becomes one line. What
the end needs (id, duration, excerpt) is known here, so that a start that was lost loses nothing.
"""

import json
import os
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import Any, NamedTuple
from uuid import uuid4

from stream_detector.cli.ping_environment import KEY, URL, read_variable
from stream_detector.cli.wrapped_process import Ended

END_WITHIN_S = 10.0
"""So long at most `run` is still there after its command has ended."""
HURRIED_WITHIN_S = 2.0
"""After a signal."""
TRY_WITHIN_S = 4.0
_PAUSES_S = (0.3, 0.6, 1.2, 2.4, 2.4)
_AGAIN = frozenset({408, 425, 429, *range(500, 600)})
_PING_URL = re.compile(r"(https?://[^\s/?#]+(?:/[^\s?#]*)?)/ping/([\w-]+)/?")


class NotReportedError(Exception):
    """Why nothing can be reported; what to do about it, without the key."""


class Target(NamedTuple):
    """Where to report, and as whom."""

    address: str
    key: str = ""
    """A ping key; empty: `token` and `workflow` are used."""
    token: str = ""
    workflow: str = ""


def find_target(workflow: str, url: str, key: str, environ: Mapping[str, str] = os.environ) -> Target:
    """By options, environment and settings; without any, the `up` of this user.

    Raises:
        NotReportedError: nothing names a key or a workflow, or what is given cannot be used.
    """
    url = (url or _variable(URL, environ)).strip()
    key = (key or _variable(KEY, environ)).strip()
    if found := _PING_URL.fullmatch(url):
        url, key = found[1], key or found[2]
    if url and not re.fullmatch(r"https?://[^\s?#]+", url):
        raise NotReportedError(f"--url ({URL}) must be https://HOST or https://HOST/ping/KEY")
    if key:
        if not re.fullmatch(r"[\w-]+", key):
            raise NotReportedError(f"--key ({KEY}) is no ping key; `token create --workflow NAME` creates one")
        return Target(url.rstrip("/") or _running_api()[0], key)
    if not workflow:
        raise NotReportedError(f"set {URL}, or use --workflow NAME with the `up` of this machine or an API token")
    address, token = _running_api()
    return Target(url.rstrip("/") or address, "", token, workflow)


def _variable(name: str, environ: Mapping[str, str]) -> str:
    try:
        return read_variable(name, environ)
    except (OSError, UnicodeError) as error:
        raise NotReportedError(f"{name}_FILE cannot be read: {type(error).__name__}") from None


def _running_api() -> tuple[str, str]:
    """(Address, token) of the API by the settings, or of the running `up`."""
    from stream_detector.cli.api_client import public_address, use_running_stack
    from stream_detector.settings import SettingsError, load

    try:
        settings = use_running_stack(load())
    except SettingsError as error:
        raise NotReportedError(f"a setting cannot be used: {error}") from None
    return public_address(settings), settings.api_token


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as GET, and the key at another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass
class Report:
    """Of one run. `warn` gets one line at most.

    Args:
        find: gives the target, or raises `NotReportedError`.
    """

    find: Callable[[], Target]
    warn: Callable[[str], None]
    limit_s: float | None = None
    """The run should not take longer than this."""
    execution_id: str = field(default_factory=lambda: str(uuid4()))
    _started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    end_within_s: float = END_WITHIN_S
    hurried_within_s: float = HURRIED_WITHIN_S
    _target: Target | None = None
    _finding: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _has_ended: bool = False
    _is_hurried: bool = False
    _outcome: str | None = None
    """Of the end: empty where the server has it, why it does not; None: not known yet."""

    def start(self) -> None:
        """Send the start in the background, once; where that fails, the end has all that is needed."""
        threading.Thread(target=self._send_start, daemon=True).start()

    def end(self, ended: Ended) -> None:
        """Send the end. Returns when the server has it, when it cannot be sent, or after `end_within_s`."""
        self._has_ended = True
        threading.Thread(target=self._send_end, args=(ended,), daemon=True).start()
        self._over.wait(self.end_within_s)
        outcome = "the server did not answer in time" if self._outcome is None else self._outcome
        if outcome:
            self.warn(f"the run was not reported: {outcome}")

    def hurry(self) -> None:
        """Try once, for at most `hurried_within_s` from now. May be called by a signal's handler.

        A signal often ends the command and us at once, and that end is to be reported, too.
        """
        if not self._is_hurried:
            self._is_hurried = True
            timer = threading.Timer(self.hurried_within_s, self._over.set)
            timer.daemon = True
            timer.start()

    def _send_start(self) -> None:
        with suppress(Exception):
            target = self._found()
            if not self._has_ended:
                _post(*_start_request(target, self.execution_id, self._started_at, self.limit_s))

    def _send_end(self, ended: Ended) -> None:
        try:
            self._try_end(ended)
            self._outcome = ""
        except NotReportedError as error:
            self._outcome = str(error)
        except Exception as error:  # whatever it is, it is not the command's
            self._outcome = type(error).__name__
        self._over.set()

    def _found(self) -> Target:
        with self._finding:
            if self._target is None:
                self._target = self.find()
            return self._target

    def _try_end(self, ended: Ended) -> None:
        target = self._found()
        url, body, headers = _end_request(target, self.execution_id, ended)
        deadline_s = time.monotonic() + self.end_within_s
        for pause_s in (*_PAUSES_S, self.end_within_s):
            try:
                return _post(url, body, headers)
            except urllib.error.HTTPError as error:
                why, is_final = _refusal(error), error.code not in _AGAIN
            except (OSError, HTTPException) as error:
                why, is_final = f"{target.address} does not answer ({_reason(error)})", False
            if is_final or self._is_hurried or time.monotonic() + pause_s > deadline_s:
                raise NotReportedError(why)
            self._over.wait(pause_s)
        raise AssertionError("unreachable")


def _start_request(
    target: Target, execution_id: str, started_at: datetime, limit_s: float | None
) -> tuple[str, bytes, dict[str, str]]:
    """(URL, body, headers)."""
    limit = {} if limit_s is None else {"limit_s": limit_s}
    if target.key:
        query = urllib.parse.urlencode({"execution_id": execution_id, **limit})
        return f"{target.address}/ping/{target.key}/start?{query}", b"", {}
    event = {
        "state": "started",
        "execution_id": execution_id,
        "workflow_id": target.workflow,
        "started_at": started_at.isoformat(),
        **limit,
    }
    return _event_request(target, event)


def _event_request(target: Target, event: Mapping[str, Any]) -> tuple[str, bytes, dict[str, str]]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {target.token}"}
    return f"{target.address}/api/v1/events", json.dumps(event).encode(), headers


def _end_request(target: Target, execution_id: str, ended: Ended) -> tuple[str, bytes, dict[str, str]]:
    """(URL, body, headers)."""
    from stream_detector.events.excerpt import excerpt_of  # when the command has ended: it must not wait for it
    from stream_detector.events.exit_codes import excerpt_of_run, status_of_exit_code

    excerpt = excerpt_of(ended.output)
    if target.key:
        query = urllib.parse.urlencode({"execution_id": execution_id, "duration_s": f"{ended.duration_s:.3f}"})
        url = f"{target.address}/ping/{target.key}/{ended.code}?{query}"
        return url, (excerpt or "").encode(), {"Content-Type": "text/plain; charset=utf-8"}
    finished_at = datetime.now(UTC)
    event = {
        "execution_id": execution_id,
        "workflow_id": target.workflow,
        "status": status_of_exit_code(ended.code),
        "started_at": (finished_at - timedelta(seconds=ended.duration_s)).isoformat(),
        "finished_at": finished_at.isoformat(),
        "duration_s": round(ended.duration_s, 3),
        "excerpt": excerpt_of_run(excerpt, ended.code),
    }
    return _event_request(target, event)


def _post(url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
    """Raises `HTTPError` for another status than 2xx, `OSError` or `HTTPException` without an answer."""
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}), method="POST")
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=TRY_WITHIN_S) as response:
        response.read(64 * 1024)


def _refusal(error: urllib.error.HTTPError) -> str:
    if 300 <= error.code < 400:
        return f"the server redirects to another address (status {error.code}): set --url to that"
    try:
        detail = str(json.loads(error.read(64 * 1024))["detail"])
    except (ValueError, KeyError, TypeError, OSError, HTTPException):
        detail = ""
    return f"the server answered with status {error.code}{f': {detail}' if detail else ''}"


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return getattr(reason, "strerror", None) or type(reason).__name__
