"""What `up` does when the embedded broker grows, or ends."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_detector.cli import run_stack
from stream_detector.devstack.folder import DataFolder
from stream_detector.devstack.owned import ChildError
from stream_detector.devstack.stack import Stack
from stream_detector.devstack.supervise import ROLES, Supervisor
from stream_detector.devstack.tansu import Tansu
from stream_detector.kafka.create_topics import delete_mismatched, make_topics
from stream_detector.kafka.preflight import TopicMismatchError
from stream_detector.kafka.topics import NOTIFIER_STATE
from stream_detector.serve.database import Database
from stream_detector.serve.pipeline import Pipeline
from stream_detector.settings import Settings


@pytest.fixture
def watched(tmp_path):
    """A stack of a broker alone, a supervisor whose roles were not started, and what people are reported."""
    folder, reported = DataFolder(tmp_path), []
    with Tansu.start(tmp_path) as broker:
        settings = Settings(broker=broker.address, data_dir=str(tmp_path))
        supervisor = Supervisor(settings, folder, dict.fromkeys(ROLES, 0), reported.append)
        pipeline = Pipeline(settings, Database(settings, name="up", size=1))
        yield Stack(settings, folder, broker, None), supervisor, pipeline, reported
    folder.close()


async def test_too_much_memory_ends_it_and_says_what_to_use_instead(watched, monkeypatch):
    stack, supervisor, pipeline, reported = watched
    monkeypatch.setattr(run_stack, "MEMORY_STOP_BYTES", 1 << 20)
    with pytest.raises(ChildError, match=r"over its limit of 1 MB: stopped.*up --broker apache"):
        await run_stack.monitor(stack, supervisor, pipeline, reported.append)


async def test_much_memory_is_said_once(watched, monkeypatch):
    stack, supervisor, pipeline, reported = watched
    monkeypatch.setattr(run_stack, "MEMORY_WARN_BYTES", 1 << 20)
    looked = asyncio.Semaphore(0)
    monkeypatch.setattr(supervisor, "restart_dead", looked.release)
    monkeypatch.setattr(run_stack, "MONITOR_EVERY_S", 0.001)
    watching = asyncio.create_task(run_stack.monitor(stack, supervisor, pipeline, reported.append))
    for _ in range(5):
        await looked.acquire()
    watching.cancel()
    (line,) = reported
    assert "never deletes records; `up` stops at 1024 MB" in line


async def test_topics_that_a_client_made_by_asking_for_them_are_made_anew(watched):
    """An empty broker creates what it is asked for, with as many partitions as it thinks right."""
    stack, *_ = watched
    wrong = stack.settings.topic(NOTIFIER_STATE)
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.settings.broker)
    await admin.start()
    await admin.create_topics([NewTopic(wrong, 4, 1)])
    await admin.close()
    with pytest.raises(TopicMismatchError):
        await make_topics(stack.settings)
    assert await delete_mismatched(stack.settings) == [wrong]
    assert wrong in await make_topics(stack.settings)
    assert await delete_mismatched(stack.settings) == []


async def test_a_broker_that_ends_is_named_and_started_again(watched, monkeypatch):
    stack, supervisor, pipeline, reported = watched
    brought_up = asyncio.Event()

    async def bring_up(*_):
        brought_up.set()

    monkeypatch.setattr(run_stack, "bring_up", bring_up)  # topics and tables, which another test has
    stack.broker.child.kill()
    watching = asyncio.create_task(run_stack.monitor(stack, supervisor, pipeline, reported.append))
    await brought_up.wait()
    watching.cancel()
    assert stack.broker.child.alive()
    assert any("the embedded broker was started empty" in line for line in reported), reported
