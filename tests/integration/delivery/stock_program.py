"""Stock Faust 0.15.3, a scenario by name: shows what of it breaks the promise. Run by `test_stock_faust.py`.

`python -m tests.integration.delivery.stock_program SCENARIO BROKER PREFIX`; what it found out is one JSON line.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import faust
from faust.topics import Topic
from faust.types import TP

SCENARIO, BROKER, PREFIX = sys.argv[1:4]

Agents = Callable[[faust.App], None]


def make_app(**changes: Any) -> faust.App:
    """Its defaults, but for what has nothing to do with the flaw: short intervals, no disk."""
    return faust.App(
        f"{PREFIX}stock",
        broker=f"kafka://{BROKER}",
        **{
            "store": "memory://",
            "topic_partitions": 1,
            "topic_replication_factor": 1,
            "broker_commit_interval": 0.5,
            "web_enabled": False,
            "consumer_auto_offset_reset": "earliest",
            "datadir": os.environ["TMPDIR"],
            **changes,
        },
    )


def raw(app: faust.App, name: str) -> Any:
    """A topic of bytes."""
    return app.topic(PREFIX + name, key_type=bytes, key_serializer="raw", value_type=bytes, value_serializer="raw")


def say(**found: Any) -> None:
    """Tell the test."""
    print(json.dumps(found), flush=True)


def forwards() -> faust.App:
    """Sends each value on; a test makes the broker refuse it."""
    app = make_app()
    out = raw(app, "out")

    @app.agent(raw(app, "in"))
    async def forward(stream: Any) -> None:
        async for value in stream:
            await out.send(value=value)

    return app


def counts() -> faust.App:
    """Counts values per key in a table; a test makes the broker refuse its changelog."""
    app = make_app()
    table = app.Table("count", default=int, partitions=1)

    @app.agent(raw(app, "in"))
    async def count(stream: Any) -> None:
        async for event in stream.events():
            table[event.key.decode()] += 1

    return app


def flushes() -> faust.App:
    """Flushes the producer while a send makes no progress."""
    app = make_app()

    class Slow(Topic):  # type: ignore[misc]
        async def publish_message(self, fut: Any, wait: bool = False) -> Any:
            await asyncio.sleep(3600)

    @app.task
    async def flush() -> None:
        topic = Slow(app, topics=[PREFIX + "out"], value_serializer="raw")
        for _ in range(3):
            topic.send_soon(value=b"x")
        await app.producer.flush()
        say(unsent=app.producer.buffer.size)

    return app


def raises() -> faust.App:
    """Sends each value on, and has a defect that one of them meets."""
    app = make_app()
    out = raw(app, "out")

    @app.agent(raw(app, "in"))
    async def forward(stream: Any) -> None:
        async for value in stream:
            if value == b"bad":
                raise ValueError(value)
            await out.send(value=value)

    return app


def takes() -> faust.App:
    """Sends values on in batches; one cannot be decoded, or the agent has a defect that one of them meets."""
    app = make_app()
    out = raw(app, "out")

    @app.agent(app.topic(PREFIX + "in", value_serializer="json", value_type=int))
    async def forward(stream: Any) -> None:
        async for values in stream.take(4, within=1.0):
            if 13 in values:
                raise ValueError(values)
            for value in values:
                await out.send(value=b"%d" % value)

    @app.task
    async def look() -> None:
        # Where it stands once it has been handed everything, and had the time for three more batches.
        events = int(os.environ.get("EVENTS", "0"))
        while (app.consumer._read_offset.get(TP(PREFIX + "in", 0)) or 0) < events - 1:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.sleep(3.0)
        say(running=[actor.actor_task.done() for actor in forward._actors] == [False])

    return app


def jumps() -> faust.App:
    """Two actors in one agent: the first value takes for ever, the second is done at once."""
    app = make_app()

    @app.agent(raw(app, "in"), concurrency=2)
    async def work(stream: Any) -> None:
        async for value in stream:
            if value == b"slow":
                await asyncio.sleep(3600)

    return app


def gaps() -> faust.App:
    """Says how far one commit gets after everything was read."""
    app = make_app(broker_commit_interval=3600.0)
    seen = 0

    @app.agent(raw(app, "in"))
    async def read(stream: Any) -> None:
        nonlocal seen
        async for _ in stream:
            seen += 1

    @app.task
    async def commit() -> None:
        while seen < int(os.environ["EVENTS"]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        await app.consumer.commit()
        say(committed={f"{tp.topic[len(PREFIX) :]}": at for tp, at in app.consumer._committed_offset.items()})

    return app


def exactly_once() -> faust.App:
    """Sends each value on in a transaction, as it believes, that is never committed."""
    app = make_app(processing_guarantee="exactly_once", broker_commit_interval=3600.0)
    out = raw(app, "out")

    @app.agent(raw(app, "in"))
    async def forward(stream: Any) -> None:
        async for value in stream:
            await out.send(value=value)

    return app


def windows() -> faust.App:
    """A mean over 30 days that moves on by an hour: what one event writes."""
    app = make_app()
    table = app.Table("sum", default=int, partitions=1).hopping(
        timedelta(days=30), timedelta(hours=1), expires=timedelta(days=30)
    )

    @app.agent(raw(app, "in"))
    async def add(stream: Any) -> None:
        async for event in stream.events():
            table[event.key.decode()] += 1

    return app


def tasks() -> faust.App:
    """Counts the tasks that are made while it reads its messages."""
    app, made, seen = make_app(), 0, 0

    def factory(loop: Any, coro: Any, **more: Any) -> Any:
        nonlocal made
        made += 1
        return asyncio.Task(coro, loop=loop, **more)

    @app.agent(raw(app, "in"))
    async def read(stream: Any) -> None:
        nonlocal seen
        async for _ in stream:
            seen += 1

    @app.task
    async def look() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        while seen < int(os.environ["EVENTS"]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        say(tasks=made)

    return app


def pressure() -> faust.App:
    """Counts the seconds that its reader sleeps for a full buffer; the leader's topic, whose never is, is off."""
    app, seen, slept = make_app(stream_buffer_maxsize=16, topic_disable_leader=True), 0, 0

    @app.agent(raw(app, "in"))
    async def read(stream: Any) -> None:
        nonlocal seen
        async for _ in stream:
            await asyncio.sleep(0.01)
            seen += 1

    @app.task
    async def look() -> None:
        sleep = app.consumer.sleep

        async def counted(seconds: float, **more: Any) -> None:
            nonlocal slept
            slept += seconds == 1
            await sleep(seconds, **more)

        app.consumer.sleep = counted
        while seen < int(os.environ["EVENTS"]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        say(slept=slept)

    return app


def web() -> faust.App:
    """Its web server, at the address that it chooses by itself."""
    app = make_app(web_enabled=True, web_port=int(os.environ["WEB_PORT"]))
    table = app.Table("count", default=int, partitions=1)

    @app.agent(raw(app, "in"))
    async def count(stream: Any) -> None:
        async for event in stream.events():
            table[event.key.decode()] += 1

    return app


SCENARIOS: dict[str, Callable[[], faust.App]] = {
    "forwards": forwards,
    "counts": counts,
    "flushes": flushes,
    "raises": raises,
    "takes": takes,
    "jumps": jumps,
    "gaps": gaps,
    "exactly_once": exactly_once,
    "windows": windows,
    "tasks": tasks,
    "pressure": pressure,
    "web": web,
}

if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    faust.Worker(SCENARIOS[SCENARIO](), loglevel="WARNING", redirect_stdouts=False).execute_from_commandline()
