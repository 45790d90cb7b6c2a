"""A client of the HTTP API for producers and subscribers: the standard library alone, so it runs where nothing else is.

    with Client("https://HOST", token=TOKEN) as client:
        client.completion("nightly", "run-17", "success", started_at=begun)

Every call repeats its request for about half a minute while the server cannot be reached, is busy or is restarting.
That is safe: the ids of an event decide that it counts once. A producer needs a token of the role `producer`, a
subscriber one of the role `viewer`.
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["Client", "ClientError", "ping"]

AT_ONCE = 1_000
"""Events in one request; the API takes 10,000 and 5 MiB."""
_BYTES_AT_ONCE = 4 << 20
TRIES = 7
"""With pauses of 0.5, 1, 2, 4, 8 and 15 s."""
_LONGEST_PAUSE_S = 15.0
_AFTER_AN_END_S = 1.0
"""A server that stops ends the stream."""
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_UNREACHABLE = (OSError, http.client.HTTPException)


class ClientError(Exception):
    """The server did not do what was asked; the text is what to change, as the server gave it.

    Attributes:
        status: HTTP status, 0 where it could not be reached.
        refused: of events that were sent, `index` (in the order given), `reason` and `message` of each that was not
            accepted. The others were.
    """

    def __init__(self, message: str, status: int = 0, refused: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.status, self.refused = status, list(refused)


class Client:
    """Sends events, and reads anomalies. It holds no connection; several threads may use it.

    Args:
        url: of the API, for example `https://HOST` or `http://127.0.0.1:8080`.
        token: `stream-detector token create --role producer` makes one.
        timeout_s: for each request.
        tries: how often a request is made, at most.

    Raises:
        ClientError: by every method, if the server refuses, or cannot be reached for all of the tries.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8080", token: str = "", *, timeout_s: float = 10.0, tries: int = TRIES
    ) -> None:
        self._url, self._token, self._timeout_s, self._tries = url.rstrip("/"), token, timeout_s, tries

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""

    def completion(
        self,
        workflow_id: str,
        execution_id: str,
        status: str,
        *,
        started_at: datetime | None = None,
        finished_at: datetime | None = None,
        **fields: Any,
    ) -> None:
        """One execution that has ended: `success`, `failure`, `error`, `timeout`, `cancellation` or `skip`.

        Args:
            started_at: with a zone; without it the duration is not known.
            finished_at: with a zone; without it the present.
            fields: any other of workflow completion v1, such as `labels`, `variant`, `url` or `steps`.
        """
        end = finished_at or datetime.now(UTC)
        event = {"workflow_id": workflow_id, "execution_id": execution_id, "status": status, "finished_at": _text(end)}
        event["started_at"] = _text(started_at or end)
        self.send([({} if started_at else {"duration_s": None}) | event | fields])

    def score(
        self,
        entity_id: str,
        score: float | str,
        *,
        entity_name: str = "",
        scored_at: datetime | None = None,
        **fields: Any,
    ) -> None:
        """One score. Text keeps its digits, `"7.50"`; `fields` are any other of score v1, such as `run_id`."""
        event = {"entity_id": entity_id, "entity_name": entity_name or entity_id, "score": score}
        self.send([event | {"scored_at": _text(scored_at or datetime.now(UTC))} | fields])

    def send(self, events: Iterable[Mapping[str, Any]], *, backfill: bool = False) -> int:
        """Events as the contracts have them; returns how many were accepted, which is all of them.

        Args:
            backfill: they are a history: learned, and never reported.
        """
        accepted, refused = 0, []
        path = "/api/v1/events" + ("?backfill=true" if backfill else "")
        for first, body in _bodies(events):
            try:
                answer = self._post(path, body)
            except ClientError as error:
                if not error.refused:
                    raise
                answer = {"accepted": 0, "refused": error.refused}
            accepted += answer["accepted"]
            refused += [dict(each) | {"index": first + each["index"]} for each in answer["refused"]]
        if refused:
            text = (
                f"{len(refused)} of {accepted + len(refused)} events were refused, the first: {refused[0]['message']}"
            )
            raise ClientError(text, 207, refused)
        return accepted

    def anomalies(self, last_id: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """Anomalies as they are found, each with the id of the place behind it; does not end.

        Args:
            last_id: of the last anomaly that was processed, to go on from there: keep it. One may come twice.
        """
        failures = 0
        while True:
            try:
                with self._open("/api/v1/stream", last_id=last_id, timeout_s=60.0) as response:
                    for place, kind, data in _events(response):
                        failures, last_id = 0, place or last_id
                        if kind == "anomaly":
                            yield last_id, json.loads(data)
                time.sleep(_AFTER_AN_END_S)
            except urllib.error.HTTPError as error:
                failures += 1
                self._pause_or_raise(failures, error)
            except _UNREACHABLE as error:
                failures += 1
                self._pause_or_raise(failures, error)

    def _post(self, path: str, body: bytes) -> Any:
        failures = 0
        while True:
            try:
                with self._open(path, body=body, timeout_s=self._timeout_s) as response:
                    return json.loads(response.read())
            except _UNREACHABLE as error:  # an HTTPError is one, too
                failures += 1
                self._pause_or_raise(failures, error)

    def _open(self, path: str, *, timeout_s: float, body: bytes | None = None, last_id: str = "") -> Any:
        request = urllib.request.Request(self._url + path, data=body)
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        if body is not None:
            request.add_header("Content-Type", "application/x-ndjson")
        if last_id:
            request.add_header("Last-Event-ID", last_id)
        return urllib.request.urlopen(request, timeout=timeout_s)

    def _pause_or_raise(self, failures: int, error: BaseException) -> None:
        known = _as_client_error(error, self._url)
        if failures >= self._tries or (known.status and known.status not in _AGAIN):
            raise known from None
        time.sleep(_pause_s(failures, error))


def ping(url: str, outcome: str = "", output: str = "", *, timeout_s: float = 10.0, tries: int = TRIES) -> None:
    """Report a run by its ping URL. Raises `ClientError`.

    Args:
        outcome: nothing for a success, `start`, `fail`, or an exit code.
        output: its last lines are kept.
    """
    address = url.rstrip("/") + (f"/{outcome}" if outcome else "")
    failures = 0
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(address, data=output.encode()), timeout=timeout_s):
                return
        except _UNREACHABLE as error:
            failures += 1
            known = _as_client_error(error, "the ping URL")  # it is a secret
            if failures >= tries or (known.status and known.status not in _AGAIN):
                raise known from None
            time.sleep(_pause_s(failures, error))


def _bodies(events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, bytes]]:
    """JSON Lines, as many as fit into one request, each with the number of its first event."""
    lines: list[bytes] = []
    first = size = 0
    for number, event in enumerate(events):
        line = json.dumps(event, default=_text).encode()
        if lines and (len(lines) == AT_ONCE or size + len(line) > _BYTES_AT_ONCE):
            yield first, b"\n".join(lines)
            first, lines, size = number, [], 0
        lines.append(line)
        size += len(line) + 1
    if lines:
        yield first, b"\n".join(lines)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ClientError(f"{value} has no zone: use datetime.now(UTC), or value.astimezone()")
        return value.isoformat()
    raise ClientError(f"{type(value).__name__} is no value of JSON")


def _events(response: Any) -> Iterator[tuple[str, str, str]]:
    """(id, event, data) of a stream of server-sent events."""
    fields: dict[str, str] = {}
    for raw in response:
        line = raw.decode().rstrip("\n")
        name, _, value = line.partition(":")
        if not line:
            yield fields.get("id", ""), fields.get("event", ""), fields.get("data", "")
            fields = {}
        elif name:
            fields[name] = value.removeprefix(" ")


def _as_client_error(error: BaseException, url: str) -> ClientError:
    if not isinstance(error, urllib.error.HTTPError):
        return ClientError(f"{url} does not answer: {getattr(error, 'reason', error)}")
    try:
        problem = json.loads(error.read())
        detail, refused = str(problem["detail"]), problem.get("refused", ())
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        detail, refused = f"{url} answered with status {error.code}", ()
    if error.code in (401, 403):
        detail += " `stream-detector token create --role producer` creates a token"
    return ClientError(detail, error.code, refused)


def _pause_s(failures: int, error: BaseException) -> float:
    """As the server asks, else twice as long each time."""
    asked = error.headers.get("Retry-After", "") if isinstance(error, urllib.error.HTTPError) else ""
    usual = 0.25 * 2.0**failures
    return float(min(int(asked) if asked.isdigit() else usual, _LONGEST_PAUSE_S))
