"""What bad input gets, on every route: 4xx, a problem that says what is allowed, no trace, and memory stays flat."""

import asyncio
import contextlib
import socket
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from stream_detector.devstack.tansu import Tansu
from stream_detector.serve.authentication import SIGNED
from stream_detector.serve.requests import words_of
from stream_detector.serve.routes import ROUTES, Route
from stream_detector.settings import Settings
from tests.integration.serve.test_guard import NEEDED
from tests.servers.installation import Installation, get, wait_until

Client = TestClient[Any, Any]
ASKING = [route for route in ROUTES if route.query is not None and route.method == "GET"]
TAKING = [route for route in ROUTES if route.body is not None]
BY_ID = [route for route in ROUTES if "{id}" in route.path]
MOST_GROWN_BYTES = 64 << 20


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


async def problem(client: Client, route: Route, path: str, **given: Any) -> dict[str, Any]:
    """The problem that a request gets."""
    async with client.request(route.method, URL(path, encoded=True), **given) as answer:
        text = await answer.text()
        assert 400 <= answer.status < 500 and answer.content_type == "application/problem+json", (path, text)
        assert "Traceback" not in text and ".py" not in text
        told: dict[str, Any] = msgspec.json.decode(text)
        assert told["status"] == answer.status and told["title"] and told["detail"]
        return told


def parameters(route: Route) -> Iterator[msgspec.structs.FieldInfo]:
    assert route.query is not None
    return iter(msgspec.structs.fields(route.query))


def address(route: Route, **query: str) -> str:
    """The route with all that it needs and these parameters."""
    asked = NEEDED.get(route.path, {}) | query
    return route.path + "?" + "&".join(f"{name}={quote(value)}" for name, value in asked.items())


@pytest.mark.parametrize("route", ASKING, ids=named)
async def test_an_unknown_word_is_400_and_lists_what_is_allowed(client: Client, route: Route) -> None:
    for field in parameters(route):
        if allowed := words_of(field.type):
            for word in ("nonsense", "", "null", allowed[0] + " "):
                told = await problem(client, route, address(route, **{field.encode_name: word}))
                assert (told["parameter"], told["allowed"]) == (field.encode_name, allowed)
    told = await problem(client, route, address(route, nonsense="1"))
    assert told["allowed"] == sorted(field.encode_name for field in parameters(route))


@pytest.mark.parametrize("route", ASKING, ids=named)
async def test_absurd_numbers_times_and_cursors_are_400_and_name_the_parameter(client: Client, route: Route) -> None:
    absurd = {
        "limit": ("0", "-1", "1e9", "1000000000", "x", "", "1.5", "9" * 400),
        "rows": ("0", "-1", "1000000000"),
        "days": ("0", "-1", "1000000000"),
        "hours": ("0", "-1", "1000000000"),
        "attempt": ("0", "-1", "1000000000000"),
        "score_threshold": ("0", "-1", "nan", "inf", "1e300"),
        "from": ("10000-01-01T00:00:00Z", "2026-01-22", "0", "2026-02-30T00:00:00Z", "1960-01-01T00:00:00Z"),
        "to": ("10000-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "now"),
        "until": ("10000-01-01T00:00:00Z", "2026-01-22T00:00:00"),
        "cursor": ("nonsense", "x" * 3_000, "WzEsImEiXQ==x", "\u2603"),
    }
    for field in parameters(route):
        for value in absurd.get(field.encode_name, ()):
            told = await problem(client, route, address(route, **{field.encode_name: value}))
            assert told["status"] == 400 and told["parameter"] == field.encode_name, value
        if str in (field.type, *getattr(field.type, "__args__", ())) or "Annotated[str" in str(field.type):
            told = await problem(client, route, address(route, **{field.encode_name: "a\x00b"}))
            assert told["parameter"] == field.encode_name


@pytest.mark.parametrize("route", ASKING, ids=named)
async def test_a_span_is_given_in_one_way_and_not_reversed(client: Client, route: Route) -> None:
    if not any(field.encode_name == "from" for field in parameters(route)):
        return
    late, early = "2026-02-01T00:00:00%2B14:00", "2026-01-01T00:00:00-12:00"
    joined = "&" if "?" in (base := address(route)) and not base.endswith("?") else ""
    assert (await problem(client, route, f"{base}{joined}from={late}&to={early}"))["parameter"] == "from"
    assert "exclude each other" in (await problem(client, route, f"{base}{joined}range=24h&hours=3"))["detail"]


@pytest.mark.parametrize("route", BY_ID, ids=named)
async def test_an_id_that_is_none_is_404(client: Client, route: Route) -> None:
    for text in ("%00", "a%00b", "nonsense", "x" * 3_000, "%F0%9F%92%A9", "..%2f..%2fetc", "'%3B--", "%FF"):
        told = await problem(client, route, route.path.replace("{id}", text))
        assert told["status"] == 404, text


@pytest.mark.parametrize("route", TAKING, ids=named)
async def test_a_body_that_cannot_be_used_is_4xx(client: Client, route: Route) -> None:
    if route.roles is SIGNED or "{mapping}" in route.path:
        return  # refused before it is read, or by its signature: test_intake; there is no mapping
    path = route.path.replace("{id}", "00000000-0000-4000-8000-000000000000")
    for body in (
        b"",
        b"{",
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b'"' + b"a" * 60_000,
        b"\xff\xfe",
        b'{"a":"\x00"}',
        b"NaN",
    ):
        sent = {"Content-Type": "application/json"}
        assert (await problem(client, route, path, data=body, headers=sent))["status"] == 400
    for content_type in ("text/plain", "application/xml", "multipart/form-data; boundary=x", "nonsense"):
        sent = {"Content-Type": content_type}
        assert (await problem(client, route, path, data=b"{}", headers=sent))["status"] == 415


def bomb(kind: str, zeros: int) -> bytes:
    """So many zero bytes, compressed to a thousandth."""
    packer = zlib.compressobj(9, zlib.DEFLATED, {"gzip": 31, "deflate": 15}[kind])
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(zeros >> 20)) + packer.flush()


def post(port: int, head: str, body: bytes, token: str) -> bytes:
    """The first line of the answer to a request written by hand."""
    lines = f"{head}\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        with contextlib.suppress(ConnectionError):  # it may answer and end before all is sent
            connection.sendall(lines.encode() + body)
        with contextlib.suppress(ConnectionError):
            return connection.recv(65_536).partition(b"\r\n")[0]
    return b""


def memory_bytes(pid: int, field: str) -> int:
    """A field of proc(5)'s status, for example VmHWM: the most memory that the process ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) << 10


async def test_memory_stays_flat_whatever_comes(
    tansu: Tansu, postgres_url: str, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(
        broker=tansu.address, database_url=postgres_url, github_webhook_secret="hub", gitlab_webhook_token="lab"
    )
    bombs = {kind: bomb(kind, 256 << 20) for kind in ("gzip", "deflate")}
    async with Installation(settings, tmp_path / "data", roles=("api",)) as running:
        (role,) = running.supervisor.roles
        assert role.child is not None
        port, pid, token = running.settings.api_port, role.child.process.pid, settings.api_token
        root = f"http://127.0.0.1:{port}"
        # Detection is loaded once in the process's life; that is no growth.
        await wait_until(lambda: get(f"{root}/api/v1/settings/preview", token=token)[0] == 200, "detection is loaded")
        before = memory_bytes(pid, "VmRSS")
        for route in TAKING:
            if "/webhooks/" in route.path and "/github" not in route.path:
                continue  # one handler for all of them
            start = f"{route.method} {route.path} HTTP/1.1\r\nContent-Type: application/json"
            for kind, packed in bombs.items():
                sized = f"{start}\r\nContent-Encoding: {kind}\r\nContent-Length: {len(packed)}"
                chunk = f"{len(packed):x}\r\n".encode() + packed + b"\r\n0\r\n\r\n"
                chunked = f"{start}\r\nContent-Encoding: {kind}\r\nTransfer-Encoding: chunked"
                for head, body in ((sized, b"\r\n" + packed), (chunked, b"\r\n" + chunk)):
                    line = await asyncio.to_thread(post, port, head, body, token)
                    assert line.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), (route.path, kind, line)
            endless = f"{start}\r\nTransfer-Encoding: chunked"
            megabytes = (b"100000\r\n" + b"[" * (1 << 20) + b"\r\n") * 200
            line = await asyncio.to_thread(post, port, endless, b"\r\n" + megabytes, token)
            assert line.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), (route.path, line)
        long = f"GET /api/v1/ai/anomalies?q={'x' * 1_000_000} HTTP/1.1"
        lines = await asyncio.gather(*(asyncio.to_thread(post, port, long, b"\r\n", token) for _ in range(50)))
        assert set(lines) == {b"HTTP/1.0 400 Bad Request"} or set(lines) == {b"HTTP/1.1 400 Bad Request"}
        grown = memory_bytes(pid, "VmHWM") - before
        assert running.api("/api/v1/session")[0] == 200 and role.child.process.poll() is None
    assert grown < MOST_GROWN_BYTES, f"grew by {grown >> 20} MB"
