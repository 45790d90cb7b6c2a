"""This worker's life in its consumer group: Faust's consumer "thread" without a thread, and what it watches."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, cast

import aiokafka
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError, TopicAuthorizationFailedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service
from mode.utils.futures import maybe_async

from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.checkpoint import Commit
from stream_detector.delivery.processor import clock_s
from stream_detector.kafka import aiokafka_patches
from stream_detector.kafka.client import client_options
from stream_detector.kafka.errors import describe_error
from stream_detector.telemetry.log_events import GroupCoordinatorError

LEAVE_WITHIN_S = 4.0
"""How long a role waits for the broker's answer to leaving the group; without it the member's session ends by itself.
In two of six runs on a busy machine a role's end took longer than the 9 s of the shutdown."""
REJOIN_AFTER_S = 1.0
"""Pause before a worker joins its group again whose coordination has failed."""

MAX_FETCH_WAIT_MS = 200
"""How long a broker may hold a fetch that brings nothing. Stock: 1,500, for which a partition just resumed may wait."""


class InlineConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread in the loop of the app. Its hand-overs of the interpreter lock cost 10 % (195,400 against
    158,600 events/s).

    No deadlock: aiokafka's coordinator awaits the rebalance callbacks, commits and heartbeats are other tasks of the
    loop. The price: a loop blocked for longer than the session loses the partitions, so chunks stay short.
    """

    wait_for_shutdown = False

    def __init__(self, consumer: Any, *, loop: Any = None, **kwargs: Any) -> None:
        loop = loop or asyncio.get_event_loop()
        super().__init__(consumer, loop=loop, thread_loop=loop, **kwargs)
        self.most_records: int | None = None
        """What a fetch gives at most; None: as many as the app is set to."""
        self.answered_at_s = 0.0
        """When the group's coordinator last answered a heartbeat, on `clock_s`."""

    # What `ServiceThread` changes for a thread is changed back.
    start, maybe_start = Service.start, Service.maybe_start
    crash = Service.crash  # type: ignore[assignment]  # its argument has another name there
    _stopped_set, set_shutdown = Service._stopped_set, Service.set_shutdown
    _stop_children, _stop_futures = Service._stop_children, Service._stop_futures
    _stop_exit_stacks = Service._stop_exit_stacks

    @property
    def worker_app(self) -> WorkerApp:
        """The app."""
        return cast(WorkerApp, self.app)

    @property
    def kafka_consumer(self) -> AIOKafkaConsumer:
        """aiokafka's consumer; there is one once this has started."""
        return cast(AIOKafkaConsumer, self._consumer)

    async def stop(self) -> None:
        """Stop the service, then leave the group."""
        await Service.stop(self)
        await cast(Any, self.consumer).forget_starts()
        if self._consumer is not None:
            leaving = asyncio.ensure_future(self._consumer.stop())
            done, _ = await asyncio.wait([leaving], timeout=LEAVE_WITHIN_S)
            for task in done:
                task.result()

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A plain call: there is no other thread."""
        return await maybe_async(fun(*args, **kwargs))

    cast_thread = call_thread

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Straight to the consumer."""
        await self.consumer.on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """An assignment is an answer of the coordinator."""
        self.answered_at_s = clock_s()
        self.worker_app.assigned_at_s = time.monotonic()
        self.worker_app.take_assignment(partial(aiokafka_patches.partition_count, self.kafka_consumer))
        await self.consumer.on_partitions_assigned(assigned, generation_id)

    async def on_start(self) -> None:
        """Start, and watch the life in the group from now on."""
        await super().on_start()
        aiokafka_patches.watch_coordinator(self.kafka_consumer, self._on_answer, self._on_error, clock_s)
        aiokafka_patches.end_join_at_close(self.kafka_consumer)
        aiokafka_patches.watch_metadata(self.kafka_consumer, self.worker_app.topic_watch.of_client())

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109  # stock's name
        max_records: int | None = None,
    ) -> Any:
        return await super()._fetch_records(consumer, active_partitions, timeout, self.most_records or max_records)

    def find_ended_task(self) -> str:
        """Which of the tasks that must live as long as the worker has ended, and by what; empty if none has."""
        return aiokafka_patches.find_ended_task(self.kafka_consumer, self.worker_app.kafka_producer)

    async def commit_offsets(self, offsets: Mapping[TP, Commit]) -> bool:
        """False where the group has a new generation. Stock crashes later on anything else, without a word of why."""
        try:
            await self.kafka_consumer.commit(
                {TopicPartition(*tp): (commit.offset, commit.metadata) for tp, commit in offsets.items()}
            )
        except CommitFailedError:
            return False
        except TopicAuthorizationFailedError as error:
            self.worker_app.fail(f"commit: {describe_error(error, self.worker_app.role, 'Read')}")
        return True

    async def fetch_committed(self, places: Iterable[TP]) -> dict[TP, Commit]:
        """What the group has committed of these partitions, those without a commit left out. Raises `KafkaError`."""
        found = await aiokafka_patches.fetch_committed(self.kafka_consumer, (TopicPartition(*tp) for tp in places))
        return {TP(*place): Commit(*committed) for place, committed in found.items() if committed[0] >= 0}

    def commit_now(self, noted: Mapping[TP, tuple[int, str]]) -> None:
        """Commit while the loop stands: the process is about to end."""
        given = {TopicPartition(*tp): value for tp, value in noted.items()}
        options = client_options(self.worker_app.settings)
        aiokafka_patches.commit_from_thread(self.kafka_consumer, options, given)

    def owns_partitions(self) -> bool:
        """True if the partitions are surely ours: generation unchanged and a heartbeat answered within the session.

        The generation alone is no proof: right after SIGCONT a stopped process still believes the old one.
        """
        is_fresh = self.answer_age_s() < self.app.conf.broker_session_timeout * 0.7
        generation = aiokafka_patches.generation(self.kafka_consumer)
        return bool(is_fresh and generation == self.app.consumer_generation_id and generation >= 0)

    def answer_age_s(self) -> float:
        """Since when the group's coordinator has answered nothing."""
        return clock_s() - self.answered_at_s

    def _on_answer(self, sent_at_s: float) -> None:
        self.answered_at_s = sent_at_s

    async def _on_error(self, error: Exception) -> None:
        """Join again, or end where that cannot help."""
        why = describe_error(error, self.worker_app.role, "Read")
        # What is unexpected comes as plain `KafkaError`, or as it is.
        if isinstance(error, KafkaError) and type(error) is not KafkaError and not error.retriable:
            self.worker_app.fail(f"group: {why}")
        GroupCoordinatorError(self.app.conf.id, why).emit()
        await asyncio.sleep(REJOIN_AFTER_S)
        aiokafka_patches.rejoin(self.kafka_consumer)

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Aborted transactions of producers are no events.
        aiokafka_patches.set_fetch_options(consumer, isolation_level="read_committed", max_wait_ms=MAX_FETCH_WAIT_MS)
        return consumer
