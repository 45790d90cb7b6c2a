"""The api role as a process: its start, its refusals, its end."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import asyncpg
import pytest

from stream_detector.store.migrate import migrations
from tests.servers.installation import wait_until

RUN = """
import sys
from stream_detector import settings
from stream_detector.serve.server import run
from stream_detector.telemetry.logs import start_logging

start_logging("api")
sys.exit(run(settings.load()))
"""

TOKEN = "the token of this test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def answer_to(port: int, sent: bytes) -> bytes:
    """What the server says to these bytes, also where it ends the connection before it has read them all."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), 30) as connection, contextlib.suppress(ConnectionError):
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        while part := connection.recv(65_536):
            answer += part
    return answer


@asynccontextmanager
async def api(url: str, *, run: str = RUN, **given: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    values = {"DATABASE_URL": url, "API_PORT": 0, "METRICS_PORT": free_port(), "API_TOKEN": TOKEN, **given}
    environ = {"PATH": os.environ["PATH"]} | {f"STREAM_DETECTOR_{name}": str(value) for name, value in values.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", run, env=environ, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line_with(process: asyncio.subprocess.Process, text: str) -> str:
    assert process.stderr is not None
    while line := (await asyncio.wait_for(process.stderr.readline(), 30)).decode():
        if text in line:
            return line
    raise AssertionError(f"the process ended without {text!r}")


async def until(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(30):
        while True:
            try:
                if found := await condition():
                    return found
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_migrates_serves_and_ends_when_asked(postgres_url: str, number: signal.Signals) -> None:
    metrics_port = free_port()
    async with api(postgres_url, METRICS_PORT=metrics_port) as process, aiohttp.ClientSession() as session:
        address = (await line_with(process, "listening at")).split()[-1]

        async def ready() -> bool:
            async with session.get(f"http://127.0.0.1:{metrics_port}/readyz") as answer:
                return answer.status == 200

        await until(ready)
        async with session.get(f"{address}api/v1/ai/anomalies", headers=BEARER) as answer:
            assert await answer.json() == {"items": [], "next": None}
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    async with await asyncpg.create_pool(postgres_url, min_size=1, max_size=1) as pool:
        assert await pool.fetchval("SELECT count(*) FROM schema_migrations") >= 1


async def test_what_is_no_http_gets_400_and_leaves_no_trace_in_answer_or_log(postgres_url: str) -> None:
    async with api(postgres_url) as process:
        address = (await line_with(process, "listening at")).split()[-1]
        port = int(address.rstrip("/").rpartition(":")[2])
        long = b"x" * 1_000_000
        for sent, detail in (
            (b"GET /api/v1/ai/anomalies?q=" + long + b" HTTP/1.1\r\n\r\n", "longer than 65536 bytes"),
            (b"GET / HTTP/1.1\r\nX-Long: " + long + b"\r\n\r\n", "longer than 65536 bytes"),
            (b"\x16\x03\x01nonsense\r\n\r\n", "Malformed HTTP request"),
        ):
            head, _, body = (await asyncio.to_thread(answer_to, port, sent)).partition(b"\r\n\r\n")
            assert head.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400")) and b"application/problem+json" in head
            assert json.loads(body)["status"] == 400 and detail in json.loads(body)["detail"]
            assert b"xxx" not in body and b"aiohttp" not in head and b"nosniff" in head
        process.terminate()
        assert process.stderr is not None
        assert b"Traceback" not in await process.stderr.read()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
async def test_any_other_address_without_a_token_is_refused_with_2(postgres_url: str, host: str) -> None:
    async with api(postgres_url, API_HOST=host, API_TOKEN="") as process:
        line = await line_with(process, "error")
        assert "STREAM_DETECTOR_API_HOST" in line and "STREAM_DETECTOR_API_TOKEN" in line
        assert await process.wait() == 2


async def test_any_other_address_with_a_token_is_served(postgres_url: str) -> None:
    async with api(postgres_url, API_HOST="0.0.0.0", API_TOKEN="secret") as process, aiohttp.ClientSession() as session:
        port = (await line_with(process, "listening at")).rstrip("/\n").rpartition(":")[2]
        async with session.get(f"http://127.0.0.1:{port}/api/v1/health") as answer:
            assert answer.status == 401
        async with session.get(
            f"http://127.0.0.1:{port}/api/v1/health", headers={"Authorization": "Bearer secret"}
        ) as answer:
            assert answer.status == 200


async def test_on_every_address_only_our_hosts_are_answered_and_the_refusal_names_the_settings(tmp_path: Any) -> None:
    given = {"API_HOST": "0.0.0.0", "API_BEHIND_PROXY": "false", "BASE_URL": "https://watch.example/x"}
    async with api(f"postgresql://me@/watch?host={tmp_path}", **given, API_ALLOWED_HOSTS="api") as process:
        port = int((await line_with(process, "listening at")).rstrip("/\n").rpartition(":")[2])
        assert "api, localhost, watch.example" in await line_with(process, "accepts the Hosts")
        paths = ("/api/v1/health", "/anomalies", "/open/x", "/docs", "/api/v1/webhooks/github")

        async def status_of(path: str, *hosts: str) -> tuple[int, bytes]:
            lines = "".join(f"Host: {host}\r\n" for host in hosts)
            sent = f"GET {path} HTTP/1.1\r\n{lines}Authorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
            answer = await asyncio.to_thread(answer_to, port, sent.encode())
            return int(answer.split(b" ", 2)[1]), answer

        for host in ("watch.example", "watch.example:8443", "api:8080", f"127.0.0.1:{port}", "localhost", "[::1]:1"):
            assert (await status_of("/api/v1/health", host))[0] == 200, host
        for hosts in (
            ("evil.example",),
            ("evil@127.0.0.1",),
            (f"0.0.0.0:{port}",),
            ("192.0.2.7",),
            (),
            ("127.0.0.1", "evil.example"),
        ):
            for path in paths:
                status, answer = await status_of(path, *hosts)
                assert status in (400, 403), (path, hosts)
        status, answer = await status_of("/anomalies", "192.0.2.7:8080")
        assert b"192.0.2.7" in answer and b"STREAM_DETECTOR_BASE_URL" in answer and b"API_ALLOWED_HOSTS" in answer


async def test_no_database_address_is_refused_with_2() -> None:
    async with api("") as process:
        assert "STREAM_DETECTOR_DATABASE_URL" in await line_with(process, "error")
        assert await process.wait() == 2


@pytest.mark.parametrize("setting", ["API_PORT", "METRICS_PORT"])
async def test_a_port_in_use_says_so_and_names_the_setting(postgres_url: str, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with api(postgres_url, **{setting: taken.getsockname()[1]}) as process:
            line = await line_with(process, " exits: ")
            assert "in use" in line and f"STREAM_DETECTOR_{setting}" in line
            assert await process.wait() == 1


async def test_a_database_that_does_not_answer_is_named_and_waited_for(tmp_path: Any) -> None:
    async with api(f"postgresql://me:secret@/watch?host={tmp_path}") as process, aiohttp.ClientSession() as session:
        address = (await line_with(process, "listening at")).split()[-1]
        line = await line_with(process, "does not answer")
        assert str(tmp_path) in line and "secret" not in line
        async with session.get(f"{address}api/v1/runs", headers=BEARER) as answer:
            assert answer.status == 503
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_x12_a_database_of_a_newer_program_that_it_does_not_fit_ends_it_with_the_reason(
    pool: asyncpg.Pool, postgres_url: str
) -> None:
    await pool.execute("INSERT INTO schema_migrations (version, name, digest) VALUES (9999, '9999_later.sql', '')")
    async with api(postgres_url) as process:
        assert "9999_later.sql" in await line_with(process, " exits: ")
        assert await process.wait() == 1


async def test_x12_a_database_of_a_newer_program_that_allows_it_is_served(
    pool: asyncpg.Pool, postgres_url: str
) -> None:
    await pool.execute("ALTER TABLE anomalies ADD COLUMN runbook text")
    await pool.execute(
        "INSERT INTO schema_migrations (version, name, digest, compatible_from)"
        " VALUES (9999, '9999_later.sql', '', $1)",
        migrations()[-1].version,
    )
    async with api(postgres_url) as process, aiohttp.ClientSession() as session:
        address = (await line_with(process, "listening at")).split()[-1]

        async def served() -> bool:
            async with session.get(f"{address}api/v1/ai/anomalies", headers=BEARER) as answer:
                return answer.status == 200

        await wait_until(served, "the anomalies are served")
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0
