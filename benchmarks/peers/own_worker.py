"""What our own two peers share: the product's worker with a stop-watch, ended after its last commit."""

import os
from typing import Any

from benchmarks.orders import Orders
from stream_detector.delivery import worker
from stream_detector.delivery.app import WorkerApp
from stream_detector.devstack.ports import free_port
from stream_detector.settings import Settings

SESSION_S = 45.0
"""As in Kafka Streams: on a busy machine a worker may wait for its core longer than our 10 s, and be thrown out."""


def run(build: worker.Build, orders: Orders, **more: Any) -> int:
    """Run the worker with the product's default settings and `more`; returns its exit code."""
    place = {"broker": orders.broker, "topic_prefix": orders.prefix, "metrics_port": free_port()}
    return worker.run("detector", Settings(**place, session_timeout_s=SESSION_S, log_level="warning", **more), build)


async def end(app: WorkerApp, orders: Orders) -> None:
    """Everything acknowledged and committed, then the figures."""
    while not all(task.is_committed for task in app.tasks):
        await app.consumer.commit()
    orders.report()
    os._exit(0)  # a peer ends with its figures; how the product ends is not measured here
