"""`run` against the real API: what is on the topic, and what a server that fails costs the command."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from stream_detector.cli.run_report import Report, Target
from stream_detector.cli.wrapped_process import Ended
from stream_detector.devstack.tansu import Tansu
from stream_detector.store import credentials
from tests.integration.serve.asking import Client
from tests.integration.serve.test_pings import WORKFLOW, client, executions, key_for, published
from tests.unit.cli.test_run import RUN, environment

__all__ = ["client"]


async def run(tmp_path: Path, *words: str, **env: str) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *RUN, *words, env=environment(tmp_path, **env), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, err


async def test_x24_a_run_is_one_execution_with_status_duration_and_excerpt(
    client: Client, pool: asyncpg.Pool, tansu: Tansu, tmp_path: Path
) -> None:
    key, _ = await key_for(pool)
    url = f"http://{client.host}:{client.port}/ping/{key}"
    script = "echo copying; echo mysql://root:hunter2@db is away >&2; exit 4"
    assert await run(tmp_path, "--", "sh", "-c", script, STREAM_DETECTOR_PING_URL=url) == (
        4, b"copying\n", b"mysql://root:hunter2@db is away\n",
    )  # fmt: skip
    token, _ = await credentials.create_token(pool, name="ci", role="producer", expires_at=None)
    words = ["--workflow", "imports", "--url", f"http://{client.host}:{client.port}", "--", "true"]
    assert await run(tmp_path, *words, STREAM_DETECTOR_API_TOKEN=token) == (0, b"", b"")
    await credentials.revoke_token(pool, (await credentials.tokens(pool))[-1].id)  # type: ignore[arg-type]
    code, _, err = await run(tmp_path, "--", "true", STREAM_DETECTOR_PING_URL=url)
    assert code == 0 and b"status 401: The key in this URL is unknown" in err and key.encode() not in err
    found = {each["workflow_id"]: each for each in await executions(client, tansu)}
    assert set(found) == {WORKFLOW, "imports"}
    backup, imports = found[WORKFLOW], found["imports"]
    assert (backup["status"], imports["status"], imports.get("excerpt")) == ("failure", "success", None)
    assert sorted(backup["excerpt"].split("\n")) == ["copying", "mysql://root:***@db is away"]
    assert 0 < backup["duration_s"] < 30 and 0 < imports["duration_s"] < 30


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def failing() -> AsyncIterator[Callable[[Answer], Awaitable[Target]]]:
    """Starts a server that gives the answers of a test."""
    servers: list[TestServer] = []

    async def start(answer: Answer) -> Target:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", answer)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        return Target(str(servers[-1].make_url("")).rstrip("/"), "sd_ping_secret")

    yield start
    for server in servers:
        await server.close()


async def test_x24_a_server_that_fails_is_asked_again_within_bounds_and_costs_one_line(
    failing: Callable[[Answer], Awaitable[Target]],
) -> None:
    asked: list[str] = []

    async def later_better(request: web.Request) -> web.StreamResponse:
        asked.append(request.path_qs)
        return web.Response(status=503 if len(asked) < 3 else 204)

    async def never(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async def moved(request: web.Request) -> web.StreamResponse:
        asked.append(request.method)
        return web.Response(status=301, headers={"Location": "https://elsewhere.example.org/ping/sd_ping_secret"})

    async def report(answer: Answer, within_s: float = 8.0) -> list[str]:
        lines: list[str] = []
        target = await failing(answer)
        made = Report(lambda: target, lines.append, end_within_s=within_s)
        await asyncio.to_thread(made.end, Ended(0, 1.5, b""))
        return lines

    assert await report(later_better) == []
    assert len(asked) == 3 and len(set(asked)) == 1  # the same id each time: one execution
    began_s = time.monotonic()
    assert await report(never, 0.5) == ["the run was not reported: the server did not answer in time"]
    assert time.monotonic() - began_s < 30
    asked.clear()
    (line,) = await report(moved)
    assert "redirects" in line and asked == ["POST"] and "sd_ping_secret" not in line


async def test_x24_a_lost_start_loses_nothing(client: Client, pool: asyncpg.Pool, tansu: Tansu) -> None:
    key, _ = await key_for(pool)
    report = Report(lambda: Target(f"http://{client.host}:{client.port}", key), lambda line: None)
    await asyncio.to_thread(report.end, Ended(143, 61.5, json.dumps({"token": "abcdefghijkl"}).encode()))
    (sent,) = await executions(client, tansu)
    assert (sent["status"], sent["duration_s"], sent["excerpt"]) == ("cancellation", 61.5, '{"token": ***}')


async def test_x30_the_start_of_a_run_without_a_key_is_on_the_topic(
    client: Client, pool: asyncpg.Pool, tansu: Tansu
) -> None:
    token, _ = await credentials.create_token(pool, name="run", role="producer", expires_at=None)
    target = Target(f"http://{client.host}:{client.port}", token=token, workflow="nightly")
    report = Report(lambda: target, lambda line: None, 3600.0)
    report.start()
    found: list[dict[str, Any]] = []
    while not found:
        found = await published(client, tansu)
    await asyncio.to_thread(report.end, Ended(0, 1.5, b""))
    start, end = await published(client, tansu)
    assert (start["state"], start["limit_s"], start["source"]) == ("started", 3600.0, "api")
    assert start["execution_id"] == end["execution_id"] and end["status"] == "success"
