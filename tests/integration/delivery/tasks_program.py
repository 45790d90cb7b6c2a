"""A detector that prints, as JSON, how many tasks it made until all events were applied, and stops. Run by a test."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from stream_detector.delivery import worker
from stream_detector.delivery.app import WorkerApp
from stream_detector.roles import detector
from stream_detector.settings import load
from tests.integration.delivery.tables_program import counted

made = 0
new_event_loop = uvloop.new_event_loop


def counting_loop() -> Any:
    """A loop that counts its tasks."""

    def factory(loop: Any, coro: Any, **more: Any) -> Any:
        global made
        made += 1
        return asyncio.Task(coro, loop=loop, **more)

    loop = new_event_loop()
    loop.set_task_factory(factory)
    return loop


def build(app: WorkerApp) -> Callable[[], Awaitable[None]]:
    prepare = detector.build(app)
    count = int(sys.argv[1])

    @app.task
    async def look() -> None:
        table = app.tables["baselines"]
        applied = 0
        while app.rebalancing or applied < count:
            await asyncio.sleep(0.05)  # a table does not report it when it changes
            applied = sum(counted(*item) for item in table.items())
        print(json.dumps({"applied": applied, "tasks": made}), flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    return prepare


if __name__ == "__main__":
    uvloop.new_event_loop = counting_loop
    sys.exit(worker.run("detector", load(), build))
