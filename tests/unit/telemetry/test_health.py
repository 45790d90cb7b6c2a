"""The metrics port answers however many connect to it, and keeps none that sends nothing."""

import asyncio
import contextlib
import socket

import aiohttp
import pytest

from stream_detector.telemetry import health
from stream_detector.telemetry.health import HealthServer
from tests.servers.installation import wait_until


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


async def probe(port: int) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as answer:
        return answer.status


@pytest.mark.parametrize("sent", [b"", b"GET /readyz HTTP/1.1\r\nX-Half: "])
async def test_a_probe_is_answered_however_many_connections_there_are(sent: bytes) -> None:
    server = HealthServer("127.0.0.1", 0, live=lambda: (True, ""), ready=lambda: (True, ""))
    port = await server.start()
    try:
        with contextlib.ExitStack() as stack:
            clients = []
            for _ in range(200):
                made = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port), 10)
                clients.append(stack.enter_context(made))
                made.sendall(sent)
            await wait_until(lambda: sum(map(is_open, clients)) <= health._MOST_CONNECTIONS, "few are left")
            assert await probe(port) == 200
    finally:
        await server.stop()


async def test_a_connection_without_a_whole_request_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_IDLE_S", 0.2)
    server = HealthServer("127.0.0.1", 0, live=lambda: (True, ""), ready=lambda: (True, ""))
    port = await server.start()
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 10) as idle,
            socket.create_connection(("127.0.0.1", port), 10) as half,
        ):
            half.sendall(b"GET /readyz HTTP/1.1\r\nX-Half: ")
            await wait_until(lambda: not is_open(idle) and not is_open(half), "they are closed")
        assert await probe(port) == 200
    finally:
        await server.stop()
