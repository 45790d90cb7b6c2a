"""The product's detector, whole, with a stop-watch around each chunk. Profile: the first argument."""

import sys

from benchmarks.orders import Orders
from benchmarks.peers import own_worker
from stream_detector.delivery import worker
from stream_detector.delivery.consumer import Chunk
from stream_detector.kafka.topics import COMPLETIONS
from stream_detector.roles import detector

orders = Orders.from_environment()


class Timed(detector.Detector):
    """Nothing else is different. A chunk that is fetched again counts twice, and the run as wrong."""

    def handle(self, name: str, chunk: Chunk) -> None:
        """As the product does."""
        if name == COMPLETIONS:
            orders.started()
        super().handle(name, chunk)
        if name == COMPLETIONS and orders.handled(len(chunk.records)):
            self._app.loop.create_task(own_worker.end(self._app, orders))


def build(app: worker.WorkerApp) -> worker.BeforeStart:
    """The product's agents and tables."""
    return detector.build(app, Timed)


if __name__ == "__main__":
    _, profile = sys.argv
    sys.exit(own_worker.run(build, orders, profile=profile))
