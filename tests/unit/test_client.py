"""The HTTP client of producers: what it repeats, what it reports, and that it runs where nothing else is installed."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stream_detector import client as module
from stream_detector.client import Client, ClientError, ping

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 1, 22, 12, tzinfo=UTC)
ALONE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(name + " is not installed")
sys.meta_path.insert(0, Blocked())
{code}
loaded = {{name.partition(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names)
print(sorted(loaded & {{"faust", "mode", "aiokafka", "aiohttp", "asyncpg", "msgspec", "librt"}}))
"""
HEAVY = {"faust", "mode", "aiokafka", "aiohttp", "asyncpg", "uvloop", "river", "click", "slack_sdk", "cramjam"}


def alone(blocked: set[str], code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ALONE.format(blocked=sorted(blocked), code=code)],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_x9_the_client_needs_no_package() -> None:
    blocked = HEAVY | {"msgspec", "librt", "mypy_extensions"}
    assert alone(blocked, "from stream_detector.client import Client, ping; Client()") == "[]"


def test_x9_the_events_need_msgspec_and_what_compiled_modules_need() -> None:
    code = (
        "from stream_detector.events import Completion\n"
        "from stream_detector.events.decode import decode_completion\n"
        "from stream_detector.events.encode import encode\n"
        'raw = b\'{"execution_id":"1","workflow_id":"w","status":"success","started_at":"2026-01-22T12:00:00Z",\''
        ' b\'"finished_at":"2026-01-22T12:00:00Z"}\'\n'
        "assert b'\"w\"' in encode(decode_completion(raw, (), 1769083200000))"
    )
    assert alone(HEAVY, code) == "['librt', 'msgspec']"


class Api(http.server.ThreadingHTTPServer):
    """Answers as told, one answer a request; keeps what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.came: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, status: int, body: Any = None, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, headers, raw))


class Handler(http.server.BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.came.append((self.path, dict(self.headers), body))
        status, headers, answer = self.server.answers.pop(0)
        if not status:
            return  # the connection ends without an answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def accepted(count: int, *refused: dict[str, Any]) -> dict[str, Any]:
    return {"accepted": count, "refused": list(refused), "topics": {}}


def lines(api: Api, number: int = -1) -> list[Any]:
    return [json.loads(line) for line in api.came[number][2].splitlines()]


def test_x9_a_completion_has_what_the_contract_needs(api: Api) -> None:
    for _ in range(3):
        api.answer(200, accepted(1))
    with Client(api.url + "/", token="secret") as client:
        client.completion("nightly", "run-1", "failure", started_at=NOON, finished_at=NOON, labels={"team": "core"})
        client.completion("nightly", "run-2", "success", finished_at=NOON)
        client.score("lido", "7.50", scored_at=NOON, run_id="r1")
    at = "2026-01-22T12:00:00+00:00"
    whole = {"workflow_id": "nightly", "execution_id": "run-1", "status": "failure", "started_at": at}
    assert lines(api, 0) == [whole | {"finished_at": at, "labels": {"team": "core"}}]
    assert lines(api, 1)[0]["duration_s"] is None, "without a start it is not known, and not 0"
    assert lines(api, 2) == [
        {"entity_id": "lido", "entity_name": "lido", "score": "7.50", "scored_at": at, "run_id": "r1"}
    ]
    assert api.came[0][0] == "/api/v1/events" and api.came[0][1]["Authorization"] == "Bearer secret"


def test_x9_requests_are_repeated_while_the_server_is_away_and_not_when_it_refuses(api: Api) -> None:
    for status in (503, 0, 429, 502):
        api.answer(status, {"detail": "busy"}, Retry_After="1")
    api.answer(200, accepted(1))
    assert Client(api.url).send([{"a": 1}]) == 1
    assert len(api.came) == 5
    api.answer(401, {"detail": "Authorization is missing."})
    with pytest.raises(ClientError, match="token create") as caught:
        Client(api.url).send([{"a": 1}])
    assert caught.value.status == 401 and len(api.came) == 6
    for _ in range(2):
        api.answer(503, b"not JSON")
    with pytest.raises(ClientError, match="status 503"):
        Client(api.url, tries=2).send([{"a": 1}])
    with pytest.raises(ClientError, match="does not answer"):
        Client("http://127.0.0.1:1", tries=2).send([{"a": 1}])


def test_x9_refused_events_are_named_by_their_place_and_the_others_are_sent(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    wrong = {"index": 1, "reason": "missing_field", "message": "$.status is missing"}
    api.answer(200, accepted(2))
    api.answer(207, accepted(1, wrong))
    api.answer(400, {"detail": "All events were rejected.", "refused": [wrong | {"index": 0}]})
    with pytest.raises(ClientError, match=r"2 of 5 events were refused, the first: \$.status is missing") as caught:
        Client(api.url).send({"n": n} for n in range(5))
    assert [each["index"] for each in caught.value.refused] == [3, 4]
    assert [len(lines(api, n)) for n in range(3)] == [2, 2, 1]


@pytest.mark.parametrize("value", [datetime(2026, 1, 22), object()], ids=["no zone", "no JSON"])
def test_x9_what_cannot_be_sent_is_an_error_before_anything_is(api: Api, value: Any) -> None:
    with pytest.raises(ClientError, match=r"zone|JSON"):
        Client(api.url).send([{"at": value}])
    assert api.came == []


def test_x9_anomalies_go_on_behind_the_last_one_after_an_interruption(api: Api) -> None:
    def event(place: str, kind: str, data: str) -> bytes:
        return f"id: {place}\nevent: {kind}\ndata: {data}\n\n".encode()

    api.answer(200, event("0:1", "ready", "{}") + event("0:2", "anomaly", '{"id": "a"}') + b": still here\n\n")
    api.answer(503, {"detail": "restarting"})
    api.answer(200, event("0:2", "ready", "{}") + event("0:3", "anomaly", '{"id": "b"}'))
    found = Client(api.url).anomalies("0:0")
    assert [next(found), next(found)] == [("0:2", {"id": "a"}), ("0:3", {"id": "b"})]
    assert [headers["Last-Event-Id"] for _, headers, _ in api.came] == ["0:0", "0:2", "0:2"]
    found.close()


def test_x9_a_ping_does_not_show_its_url_in_an_error(api: Api) -> None:
    api.answer(204)
    ping(api.url + "/ping/secret", "start")
    api.answer(503)
    api.answer(204)
    ping(api.url + "/ping/secret", "1", "last lines")
    assert [(path, body) for path, _, body in api.came] == [
        ("/ping/secret/start", b""), ("/ping/secret/1", b"last lines"), ("/ping/secret/1", b"last lines"),
    ]  # fmt: skip
    api.answer(404, b"{}")
    with pytest.raises(ClientError) as caught:
        ping(api.url + "/ping/secret", "odd")
    assert "secret" not in str(caught.value) and "ping URL" in str(caught.value)
