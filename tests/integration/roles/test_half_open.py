"""X3: a connection that is open and brings nothing, as when a firewall drops its packets: the database is behind a
proxy that passes nothing on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from stream_detector.devstack.ports import free_port
from tests.drills.stage import until
from tests.fixtures import API_TOKEN
from tests.servers.installation import get

SOCKET = ".s.PGSQL.5432"


class Proxy:
    """Passes bytes on until it `is_stuck`; then connections stay open."""

    def __init__(self, upstream: Path) -> None:
        self._upstream, self._tasks = upstream, set[asyncio.Task[None]]()
        self.passes = asyncio.Event()
        self.passes.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs = await asyncio.open_unix_connection(str(self._upstream))
        for source, target in ((reader, theirs[1]), (theirs[0], writer)):
            task = asyncio.create_task(self._pass_on(source, target))
            self._tasks.add(task)

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self.passes.wait()
                target.write(data)
                await target.drain()
        target.close()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()


@pytest.fixture
async def proxied(postgres_url: str, tmp_path: Path) -> AsyncIterator[tuple[Proxy, str]]:
    """The proxy and the database's URL through it."""
    folder = parse_qs(urlsplit(postgres_url).query)["host"][0]
    proxy = Proxy(Path(folder) / SOCKET)
    server = await asyncio.start_unix_server(proxy.serve, str(tmp_path / SOCKET))
    yield proxy, postgres_url.partition("?")[0] + f"?host={tmp_path}"
    server.close()
    proxy.stop()


@pytest.mark.parametrize("broker", ["tansu"], indirect=True)
async def test_x3_a_half_open_connection_to_the_database_is_no_answer(play, proxied):
    proxy, url = proxied
    api_port = free_port()
    recorder = play.start("recorder", database_url=url)
    api = play.start("api", database_url=url, api_port=str(api_port))

    async def ready():
        return await asyncio.to_thread(lambda: recorder.ready and api.ready)

    async def database():
        url = f"http://127.0.0.1:{api_port}/api/v1/health"
        return (await asyncio.to_thread(get, url, token=API_TOKEN))[1]

    async def said_by_all():
        return not await asyncio.to_thread(lambda: recorder.ready) and '"database":"away"' in await database()

    async def ok():
        return '"database":"ok"' in await database()

    await until(ready, "both roles", play.last_words)
    await until(ok, "the API's answer", play.last_words)
    proxy.passes.clear()
    await until(said_by_all, "X3: away", play.last_words, patience_s=15.0)
    assert api.answers("/readyz") == 200, "it is about the API itself"
    proxy.passes.set()
    await until(ready, "both again", play.last_words, patience_s=30.0)
    await until(ok, "both again", play.last_words, patience_s=30.0)
