"""X22: what `curl` saves of each API, page after page in one file, holds the same executions as an import of it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from stream_detector.events import Completion, Start
from stream_detector.events.files import read_history
from stream_detector.history.registry import PROVIDERS
from tests.contract.history.reading import SERVERS, fetch
from tests.servers.api import ApiServer

RUNS = 90


@pytest.fixture(params=SERVERS, ids=lambda kind: kind.NAME)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[ApiServer]:
    """Each of them, with runs, the last of which goes on."""
    made = await request.param(RUNS).start()
    made.add("running")
    yield made
    await made.stop()


async def saved(server: ApiServer, file: Path, *, form: str) -> None:
    """All answers that an import gets, as they are; what is no run is left away, as a person does."""
    lists = {
        "gitlab": "/pipelines/", "jenkins": "allBuilds", "circleci": "/workflow", "azure": "builds",
        "airflow": "dagRuns",
    }  # fmt: skip
    await fetch(server)
    asked = [path for path in server.requests if lists[server.NAME] in path and "/jobs?" not in path]
    headers = PROVIDERS[server.NAME].headers(server.TOKEN)
    async with aiohttp.ClientSession(headers=headers) as session:
        with file.open("w", encoding="utf-8") as out:
            for path in asked:
                async with session.get(f"http://127.0.0.1:{server.port}{path}") as response:
                    answer = await response.json()
                out.write(json.dumps(answer, indent=2 if form == "pretty" else None))
                out.write("" if form == "joined" else "\n")  # `curl` and `glab api --paginate` write no line ends


@pytest.mark.parametrize("form", ["lines", "pretty", "joined"])
async def test_x22_a_dump_of_the_api_has_the_same_executions(server: ApiServer, tmp_path: Path, form: str) -> None:
    file = tmp_path / "dump.json"
    await saved(server, file, form=form)
    of_file = {}
    for line in read_history(file, record_ms=-1):
        if isinstance(line.event, Start):
            continue
        assert isinstance(line.event, Completion), line.error
        of_file[line.event.execution_id] = line.event
    of_api = (await fetch(server)).events
    assert len(of_api) == RUNS
    if server.NAME in ("gitlab", "circleci"):  # project and pipeline are answers of their own
        facts = lambda event: (event.status, event.finished_at, event.duration_s)  # noqa: E731
        assert {id_: facts(event) for id_, event in of_file.items()} == {
            id_: facts(event) for id_, event in of_api.items()
        }
    else:
        assert of_file == of_api
