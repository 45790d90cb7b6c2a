"""A detector that prints, as JSON, what `app.tables` shows once a key has its events, and stops. Run by a test."""

import asyncio
import json
import os
import signal
import sys

from stream_detector.settings import load
from stream_detector.stream import detector, worker


def build(app: worker.WorkerApp) -> worker.Prepare:
    prepare = detector.build(app)
    key, count = sys.argv[1], int(sys.argv[2])

    @app.task
    async def look() -> None:
        table = app.tables["baselines"]
        while app.rebalancing or key not in table or table[key].named()["success_rate"].window_size < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # a table tells nobody when it changes
        seen = {name: baseline.named()["success_rate"].window_size for name, baseline in table.items()}
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
