"""A detector that prints, as JSON, what `app.tables` shows once all events are counted, and stops. Run by a test."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from stream_detector.delivery import worker
from stream_detector.delivery.app import WorkerApp
from stream_detector.detect import Baseline
from stream_detector.roles import detector
from stream_detector.settings import load


def counted(key: str, packed: bytes) -> int:
    """How many executions a workflow has had."""
    return Baseline.unpack(key, packed).named_baselines()["success_rate"].window_size


def build(app: WorkerApp) -> Callable[[], Awaitable[None]]:
    prepare = detector.build(app)
    key, count = sys.argv[1], int(sys.argv[2])

    @app.task
    async def look() -> None:
        table = app.tables["baselines"]
        while app.rebalancing or sum(counted(*item) for item in table.items()) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # a table does not report it when it changes
        seen = {name: counted(name, packed) for name, packed in table.items()}
        assert key in table and counted(key, table[key]) == seen[key]
        kind = f"{type(table).__mro__[1].__module__}.{type(table).__mro__[1].__name__}"
        refused = ""
        try:
            table[key] = None
        except TypeError as error:
            refused = str(error)
        print(json.dumps({"items": seen, "len": len(table), "kind": kind, "refused": refused}), flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    return prepare


if __name__ == "__main__":
    sys.exit(worker.run("detector", load(), build))
