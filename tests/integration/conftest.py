"""Topics of its own for each test, on each kind of broker, and roles as real processes."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from stream_detector.kafka.client import client_options
from stream_detector.kafka.create_topics import make_topics
from tests.drills.stage import Play
from tests.servers.database import pool

__all__ = ["pool"]


@pytest.fixture
async def play(broker, make_settings, tmp_path) -> AsyncIterator[Play]:
    """One installation. Every role that the test starts has ended afterwards."""
    settings = make_settings(broker=broker.address, checkpoint_interval_s=0.3)
    await make_topics(settings)
    playing = Play(settings, tmp_path)
    yield playing
    for role in playing.roles:
        role.kill()


@pytest.fixture
async def producer(play) -> AsyncIterator[AIOKafkaProducer]:
    """A plain producer, as anybody's."""
    started = AIOKafkaProducer(**client_options(play.settings), acks="all")
    await started.start()
    yield started
    await started.stop()
