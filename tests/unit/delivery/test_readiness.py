"""What a role logs when it is ready: how long the restore took, counted from the assignment and not from its start."""

import logging
import time

import pytest
from aiokafka import AIOKafkaConsumer

from stream_detector.delivery.worker import _announce_readiness, make_app
from stream_detector.settings import Settings


@pytest.mark.parametrize("waited_s", [0.0, 600.0])
async def test_a_role_that_was_rebalanced_after_minutes_restored_for_no_minutes(waited_s, caplog, monkeypatch):
    app = make_app("recorder", Settings(broker="127.0.0.1:1"))
    app.worker_consumer._thread._consumer = AIOKafkaConsumer()  # without an assignment
    _announce_readiness(app)
    begun_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: begun_s + waited_s)
    app.assigned_at_s = begun_s + waited_s - 1.5
    with caplog.at_level(logging.INFO):
        await app.on_rebalance_complete.send()
    assert "recorder is ready: partitions none, 0 keys restored in 1.5 s" in caplog.text
