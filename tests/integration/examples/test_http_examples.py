"""The examples over HTTP, in Python and JavaScript, as a user runs them, against the real API."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from hatch_build import node_folder
from stream_detector.devstack.tansu import Tansu
from stream_detector.events.encode import encode
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.topics import ALERTS, COMPLETIONS
from stream_detector.serve.app_keys import BROKER
from stream_detector.serve.live import LIVE
from tests.events_made import anomaly
from tests.fixtures import API_TOKEN
from tests.integration.serve.conftest import Serve, pool, serve
from tests.servers.installation import wait_until

__all__ = ["pool", "serve"]

EXAMPLES = Path(__file__).parents[3] / "examples"
NODE = node_folder() / ("node.exe" if os.name == "nt" else "bin/node")
"""That of the page's build: where the tests run, it is there."""
LANGUAGES = {"py": (sys.executable, "http_{}.py"), "mjs": (str(NODE), "{}.mjs")}


async def start(language: str, name: str, url: str, *arguments: str) -> asyncio.subprocess.Process:
    program, file = LANGUAGES[language]
    environ = os.environ | {"STREAM_DETECTOR_BASE_URL": url, "STREAM_DETECTOR_API_TOKEN": API_TOKEN}
    return await asyncio.create_subprocess_exec(
        program, str(EXAMPLES / file.format(name)), *arguments, env=environ, stdout=asyncio.subprocess.PIPE
    )


@pytest.mark.parametrize("language", sorted(LANGUAGES))
async def test_x9_examples_over_http_publish_and_subscribe(
    serve: Serve, tansu: Tansu, make_settings: Any, tmp_path: Path, language: str
) -> None:
    settings = make_settings(broker=tansu.address)
    await make_topics(settings)
    api = await serve(broker=tansu.address)
    await wait_until(lambda: api.app[BROKER].state == "ok", "the API has its broker")
    url = str(api.make_url("")).rstrip("/")
    for _ in range(2):
        producing = await start(language, "producer", url)
        printed, _ = await producing.communicate()
        assert producing.returncode == 0 and printed.startswith(b"published nightly-")
    topic = settings.topic(COMPLETIONS)
    async with AIOKafkaConsumer(topic, bootstrap_servers=tansu.address, auto_offset_reset="earliest") as consumer:
        first, second = [json.loads((await asyncio.wait_for(consumer.getone(), 30)).value) for _ in range(2)]
    assert first["execution_id"] == second["execution_id"] and first["workflow_id"] == "nightly"

    file = tmp_path / "last.txt"
    async with AIOKafkaProducer(bootstrap_servers=tansu.address) as producer:
        for names in (["a", "b"], ["c"]):
            subscribing = await start(language, "subscriber", url, str(file))
            try:
                await wait_until(lambda: api.app[LIVE].clients == 1, "it subscribes")
                for name in names:
                    await producer.send_and_wait(settings.topic(ALERTS), encode(anomaly(name)), partition=0)
                assert subscribing.stdout is not None
                for name in names:
                    line = await asyncio.wait_for(subscribing.stdout.readline(), 30)
                    if name == "c" and anomaly("b").id in line.decode():  # it was killed before it had stored the place
                        line = await asyncio.wait_for(subscribing.stdout.readline(), 30)
                    wanted = ["warning", "UnusualExecutionTime", name, "happened", anomaly(name).id]
                    assert line.decode().split() == wanted
            finally:
                subscribing.kill()
                await subscribing.wait()
            await wait_until(lambda: api.app[LIVE].clients == 0, "it has left")
