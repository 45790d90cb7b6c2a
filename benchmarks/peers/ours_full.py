"""The product's detector, whole, with a stop-watch around each chunk. Profile: the first argument."""

import sys
from collections.abc import Awaitable, Callable

from benchmarks.orders import Orders
from benchmarks.peers import own_worker
from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.processor import Outcomes
from stream_detector.kafka.topics import COMPLETIONS
from stream_detector.roles import detector

orders = Orders.from_environment()


class Timed(detector.Detector):
    """Nothing else is different. A chunk that is fetched again counts twice, and the run as wrong."""

    async def apply(self, source: str, chunk: Chunk) -> Outcomes:
        """As the product does."""
        if source == COMPLETIONS:
            orders.started()
        outcomes = await super().apply(source, chunk)
        if source == COMPLETIONS and orders.handled(len(chunk.records)):
            self._app.loop.create_task(own_worker.end(self._app, orders))
        return outcomes


def build(app: WorkerApp) -> Callable[[], Awaitable[None]]:
    """The product's agents and tables."""
    return detector.build(app, Timed)


if __name__ == "__main__":
    _, profile = sys.argv
    sys.exit(own_worker.run(build, orders, profile=profile))
