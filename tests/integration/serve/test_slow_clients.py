"""Slow and many clients: raw sockets against the API as a process, and against its server with shorter deadlines.

The situations that would break it: a head or body that never ends, byte by byte or not at all; clients that take
nothing of what they asked for; more connections than there are descriptors, of one source and of several; bodies whose
sender is not known before they are read; a sender that calls itself something else with each request.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from stream_detector.serve import bodies, runner
from stream_detector.serve.authentication import IDENTITY
from stream_detector.serve.bodies import ROOM_BYTES, SIGNED_ROOM, TOKEN_ROOM, BodyRoom
from stream_detector.serve.connections import Connections
from stream_detector.serve.problems import answer_problems
from stream_detector.serve.resources.events import BODY_BYTES
from stream_detector.serve.runner import Runner
from stream_detector.store.credentials import Caller
from tests.integration.serve.test_server import BEARER, RUN, TOKEN, answer_to, api, line_with
from tests.servers.installation import wait_until

LOADED = f"from stream_detector.detect.loading import load_detection\nload_detection()\n{RUN}"
"""With what it loads in the background loaded, so that its memory changes by requests alone."""
MIB = 1024 * 1024
LIMIT_BYTES = ROOM_BYTES + 60 * 512 * 1024
SIGNED = b"X-Hub-Signature-256: sha256=" + b"0" * 64 + b"\r\n"
AUTHORIZED = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"


def head(path: str, more: bytes, method: str = "POST") -> bytes:
    start = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return start.encode() + more + b"\r\n"


@contextmanager
def connected(port: int, many: int, host: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection((host, port), 30)) for _ in range(many)]


def send_what_is_taken(connection: socket.socket, sent: bytes) -> int:
    """How many of these bytes the other end lets in without waiting."""
    connection.setblocking(False)
    taken, tries = 0, 0
    while taken < len(sent) and tries < 20:
        try:
            taken += connection.send(sent[taken : taken + 65_536])
        except BlockingIOError:
            tries += 1
            time.sleep(0.005)
        except ConnectionError:
            break
    return taken


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(65_536):
            pass
        return False
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def resident_bytes(process: asyncio.subprocess.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@asynccontextmanager
async def running(tmp_path: Path, **given: Any) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """The API as a process, whose database does not answer: what is tested here comes before it."""
    async with api(f"postgresql://me@/watch?host={tmp_path}", run=LOADED, **given) as process:
        address = (await line_with(process, "listening at")).split()[-1]
        yield process, int(address.rstrip("/").rpartition(":")[2])


async def status_of(port: int, path: str = "/api/v1/health") -> int:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session,
        session.get(f"http://127.0.0.1:{port}{path}", headers=BEARER) as answer,
    ):
        return answer.status


@pytest.mark.parametrize(
    ("path", "authenticated"), [("/api/v1/events", AUTHORIZED), ("/api/v1/webhooks/github", SIGNED)]
)
@pytest.mark.parametrize("length", [b"Content-Length: 5242880\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_sixty_half_sent_bodies_of_5_mb_take_no_memory(
    tmp_path: Path, path: str, authenticated: bytes, length: bytes
) -> None:
    async with running(tmp_path, GITHUB_WEBHOOK_SECRET="the secret of this test") as (process, port):
        assert await status_of(port) == 200
        before = resident_bytes(process)
        body = b" " * (BODY_BYTES - 1)
        if b"chunked" in length:
            body = b"%x\r\n" % BODY_BYTES + body
        with connected(port, 60) as clients:
            for client in clients:
                client.sendall(head(path, authenticated + length))
            await asyncio.gather(*(asyncio.to_thread(send_what_is_taken, client, body) for client in clients))
            assert await status_of(port) == 200
            # Three may be in memory, of the others their beginning.
            assert resident_bytes(process) - before < LIMIT_BYTES
        assert await status_of(port) == 200
        assert resident_bytes(process) - before < LIMIT_BYTES, "aborted ones are kept"


async def test_bodies_of_pieces_of_one_byte_take_no_more_memory_than_their_bytes(tmp_path: Path) -> None:
    async with running(tmp_path) as (process, port):
        assert await status_of(port) == 200
        before = resident_bytes(process)
        with connected(port, 40) as clients:
            for client in clients:
                client.sendall(head("/api/v1/events", AUTHORIZED + b"Transfer-Encoding: chunked\r\n"))
            pieces = b"1\r\n \r\n" * 60_000
            await asyncio.gather(*(asyncio.to_thread(send_what_is_taken, client, pieces) for client in clients))
            assert await status_of(port) == 200
            assert resident_bytes(process) - before < 40 * MIB


@pytest.mark.parametrize("given", [b"", b"X-Hub-Signature-256: sha256=\r\n", b"X-Hub-Signature-256: sha1=0\r\n"])
async def test_a_delivery_without_a_signature_is_refused_before_its_body(tmp_path: Path, given: bytes) -> None:
    async with running(tmp_path, GITHUB_WEBHOOK_SECRET="the secret of this test") as (_, port):
        sent = head("/api/v1/webhooks/github", given + b"Content-Length: 5000000\r\n")
        assert b" 401 " in (await asyncio.to_thread(answer_to, port, sent)).split(b"\r\n")[0]


async def test_a_token_of_gitlab_is_compared_before_its_body(tmp_path: Path) -> None:
    async with running(tmp_path, GITLAB_WEBHOOK_TOKEN="the secret of this test") as (_, port):
        sent = head("/api/v1/webhooks/gitlab", b"X-Gitlab-Token: wrong\r\nContent-Length: 5000000\r\n")
        assert b" 401 " in (await asyncio.to_thread(answer_to, port, sent)).split(b"\r\n")[0]


async def test_one_source_has_so_many_connections_and_others_are_served(tmp_path: Path) -> None:
    async with running(tmp_path, API_MAX_CONNECTIONS_PER_SOURCE=20) as (_, port):
        with connected(port, 100, "127.0.0.1") as idle, connected(port, 100, "127.0.0.1") as half:
            for client in half:
                client.sendall(b"GET / HTTP/1.1\r\nX-Half: ")
            await wait_until(lambda: sum(map(is_open, [*idle, *half])) <= 20, "20 are left")
            assert await status_of(port) == 200


async def test_all_sources_together_have_so_many_and_a_new_one_is_still_served(tmp_path: Path) -> None:
    async with running(tmp_path, API_HOST="0.0.0.0", API_MAX_CONNECTIONS=40, API_MAX_CONNECTIONS_PER_SOURCE=30) as (
        _,
        port,
    ):
        with contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(
                    socket.create_connection(("127.0.0.1", port), 30, source_address=(f"127.0.0.{number}", 0))
                )
                for number in (2, 3, 4, 5)
                for _ in range(25)
            ]
            await wait_until(lambda: sum(map(is_open, clients)) <= 40, "40 are left")
            assert await status_of(port) == 200


async def test_connections_that_are_all_busy_are_not_ended_and_a_further_one_gets_503(tmp_path: Path) -> None:
    async with running(tmp_path, API_MAX_CONNECTIONS_PER_SOURCE=10) as (_, port):
        with connected(port, 10) as busy:
            for client in busy:
                client.sendall(head("/api/v1/events", AUTHORIZED + b"Content-Length: 100\r\n") + b"{")
            await asyncio.sleep(0.2)  # they are read before the next is accepted
            answer = await asyncio.to_thread(answer_to, port, b"")
            assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After" in answer
            assert b"application/problem+json" in answer and b"nosniff" in answer
            assert all(map(is_open, busy))


async def test_a_head_and_a_body_have_a_deadline(tmp_path: Path) -> None:
    async with running(tmp_path) as (process, port):
        halves = {
            b"GET / HTTP/1.1\r\nX-Half: ": b" 408 ",
            head("/api/v1/events", AUTHORIZED + b"Content-Length: 100\r\n") + b"{": b" 408 ",
            head("/api/v1/ai/check-anomalies", AUTHORIZED + b"Content-Length: 100\r\n") + b"{": b" 408 ",
        }
        began_s = time.monotonic()
        answers = await asyncio.gather(*(asyncio.to_thread(answer_to, port, half) for half in halves))
        assert time.monotonic() - began_s < 20
        for answer, expected in zip(answers, halves.values(), strict=True):
            assert expected in answer.split(b"\r\n")[0] and b"application/problem+json" in answer
        process.terminate()
        assert process.stderr is not None
        assert b"failed" not in await process.stderr.read()


async def test_a_head_without_an_end_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, port):
        many = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 8_000) for number in range(100))
        answer = await asyncio.to_thread(answer_to, port, b"GET / HTTP/1.1\r\n" + many)
        assert answer.split(b"\r\n")[0].split()[1] in (b"431", b"400")


async def test_an_upload_that_is_aborted_is_no_error(tmp_path: Path) -> None:
    async with running(tmp_path) as (process, port):
        with connected(port, 3) as clients:
            for client in clients:
                client.sendall(head("/api/v1/events", AUTHORIZED + b"Content-Length: 100000\r\n") + b"{" * 70_000)
        assert await status_of(port) == 200
        process.terminate()
        assert process.stderr is not None
        log = await process.stderr.read()
        assert b"failed" not in log and b"Traceback" not in log


# Deadlines that are shorter, on the server itself.


@asynccontextmanager
async def served(connections: Connections, *, idle_s: float = 30.0, room: BodyRoom | None = None) -> AsyncIterator[int]:
    """`Runner` with routes that give much, and that take a body."""

    async def much(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * (8 * MIB))

    async def take(request: web.Request) -> web.Response:
        request[IDENTITY] = Caller(name="a", role="producer", by="token", limited_as="token:a")
        return web.Response(text=str(len(await bodies.read_bytes(request, BODY_BYTES))))

    app = web.Application(middlewares=[answer_problems, bodies.free_body])
    app[TOKEN_ROOM], app[SIGNED_ROOM] = room or BodyRoom(), BodyRoom()
    app.router.add_get("/much", much)
    app.router.add_post("/take", take)
    started = Runner(app, connections, idle_s=idle_s, end_within_s=1.0)
    await started.setup()
    site = web.TCPSite(started, "127.0.0.1", 0)
    await site.start()
    try:
        yield started.addresses[0][1]
    finally:
        await started.cleanup()


async def test_a_connection_without_a_request_ends() -> None:
    connections = Connections(100, 100)
    async with served(connections, idle_s=0.2) as port:
        with connected(port, 3) as clients:
            clients[1].sendall(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
            clients[2].sendall(b"G")
            await wait_until(lambda: not any(map(is_open, clients)), "they are closed")
        await wait_until(lambda: not len(connections), "nothing is kept of them")


async def test_a_head_that_comes_byte_by_byte_ends_by_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "HEAD_WITHIN_S", 0.5)
    async with served(Connections(100, 100)) as port:
        with connected(port, 1) as (client,):
            client.sendall(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n")  # also of the second request
            client.sendall(b"GET / HTTP/1.1\r\nX: ")

            async def is_over() -> bool:
                with contextlib.suppress(ConnectionError, BlockingIOError):
                    client.sendall(b"x")
                return not is_open(client)

            await wait_until(is_over, "it is closed")


@pytest.mark.parametrize("much", [1, 50])
async def test_a_client_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch, much: int) -> None:
    monkeypatch.setattr(runner, "TAKEN_WITHIN_S", 0.5)
    connections = Connections(100, 100)
    async with served(connections) as port:
        with connected(port, 2) as clients:
            for client in clients:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.sendall(b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n" * much)
            await wait_until(lambda: not len(connections), "they are let go")


async def test_a_client_that_takes_it_slowly_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "TAKEN_WITHIN_S", 2.5)
    async with served(Connections(100, 100)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
        writer.write(b"GET /much HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = 0
        began_s = time.monotonic()
        while piece := await reader.read(128 * 1024):
            got += len(piece)
            if time.monotonic() - began_s < 4.0:
                await asyncio.sleep(0.2)
        assert got > 8 * MIB
        writer.close()


async def test_what_a_body_reserves_is_free_after_the_answer_and_after_an_abort() -> None:
    room = BodyRoom()
    async with served(Connections(100, 100), room=room) as port, aiohttp.ClientSession() as session:
        for _ in range(10):
            async with session.post(f"http://127.0.0.1:{port}/take", data=b" " * BODY_BYTES) as answer:
                assert await answer.text() == str(BODY_BYTES)
        assert room.held == 0
        with connected(port, 10) as clients:
            for client in clients:
                client.sendall(b"POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 5242880\r\n\r\n" + b" " * 70_000)
            await wait_until(lambda: room.held, "some are reserved")
        await wait_until(lambda: not room.held, "nothing is reserved")
        async with session.post(f"http://127.0.0.1:{port}/take", data=b" " * (BODY_BYTES + 1)) as answer:
            assert answer.status == 413


async def test_one_sender_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "ROOM_WITHIN_S", 0.1)
    room = BodyRoom(most=16, most_of_one=10)
    await room.reserve("a", 10)
    with pytest.raises(bodies.NoRoomError):
        await room.reserve("a", 1)
    await room.reserve("b", 6)
    with pytest.raises(bodies.NoRoomError):
        await room.reserve("c", 1)
    waiting = asyncio.create_task(room.reserve("c", 5))
    await asyncio.sleep(0)
    room.release("b", 6)
    await waiting
    assert room.held == 15
