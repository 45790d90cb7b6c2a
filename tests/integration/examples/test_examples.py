"""The two examples, as a user runs them, against a real broker."""

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_detector.devstack.tansu import Tansu

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Tansu.start(tmp_path_factory.mktemp("tansu")) as running:
        yield running.address


async def _make_topics(broker, *names):
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 4, 1) for name in names])
    finally:
        await admin.close()


def _produce(broker, prefix):
    command = [sys.executable, str(EXAMPLES / "producer.py"), broker]
    environ = {**os.environ, "STREAM_DETECTOR_TOPIC_PREFIX": prefix}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True).stdout


@contextmanager
def _subscriber(broker, prefix, seen):
    """The subscriber's process; lines come from its stdout."""
    command = [sys.executable, str(EXAMPLES / "subscriber.py"), broker, str(seen)]
    environ = {**os.environ, "STREAM_DETECTOR_TOPIC_PREFIX": prefix}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _wait_until_remembered(seen, ids):
    """It prints first: killed before it remembers, it would rightly print the last one again."""
    while not seen.exists() or seen.read_text().split() != ids:
        time.sleep(0.01)


async def _read(broker, topic, count):
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker, auto_offset_reset="earliest")
    async with consumer:
        return [await asyncio.wait_for(consumer.getone(), 30) for _ in range(count)]


async def test_x9_the_producer_publishes_events_of_the_present_and_repeats_their_ids(broker):
    await _make_topics(broker, "p-workflow-completions", "p-scores", "p-score-runs")
    before = datetime.now(UTC)
    for _ in range(2):
        assert _produce(broker, "p-").count("published") == 3
    topics = {name: await _read(broker, f"p-{name}", 2) for name in ("workflow-completions", "scores", "score-runs")}
    keys = [record.key for records in topics.values() for record in records]
    first, second = ([json.loads(records[n].value) for records in topics.values()] for n in (0, 1))
    assert keys[:4] == [b"nightly", b"nightly", b"lido", b"lido"]
    if before.day == datetime.now(UTC).day:  # else a midnight lay between
        for name in ("execution_id", "workflow_id", "entity_id", "run_id", "score"):
            assert [event.get(name) for event in first] == [event.get(name) for event in second]
    for event, name in zip(second, ("finished_at", "scored_at", "at"), strict=True):
        assert before <= datetime.fromisoformat(event[name]) <= datetime.now(UTC)
    assert first[1]["score"] == 5.8


async def test_the_subscriber_prints_each_id_once_also_after_a_restart(broker, tmp_path):
    await _make_topics(broker, "s-alerts")
    seen = tmp_path / "seen.txt"

    async def alert(*ids):
        async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
            for one in ids:
                value = {
                    "id": one,
                    "severity": "warning",
                    "anomaly_type": "UnusualExecutionTime",
                    "description": "slow",
                }
                await producer.send_and_wait("s-alerts", json.dumps(value).encode(), partition=0)

    await alert("a", "a", "b")
    with _subscriber(broker, "s-", seen) as process:
        lines = [await asyncio.to_thread(process.stdout.readline) for _ in range(2)]
        await asyncio.to_thread(_wait_until_remembered, seen, ["a", "b"])
    assert lines == ["warning UnusualExecutionTime slow a\n", "warning UnusualExecutionTime slow b\n"]
    await alert("b", "c")
    with _subscriber(broker, "s-", seen) as process:  # killed before: b may come again, its id is known
        assert await asyncio.to_thread(process.stdout.readline) == "warning UnusualExecutionTime slow c\n"
        await asyncio.to_thread(_wait_until_remembered, seen, ["a", "b", "c"])


def test_each_example_stays_about_twenty_lines():
    for example in EXAMPLES.iterdir():
        lines = [line for line in example.read_text("utf-8").splitlines() if line.strip()]
        code = [line for line in lines if not line.startswith(("import", "from", "//", '"""'))]
        assert len(code) <= 26, example.name
