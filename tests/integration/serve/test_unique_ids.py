"""Workflow ids that look unique per run are in `/health`, and one message about them is asked for."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
import pytest

from stream_detector.detect import Baseline, Config, step
from stream_detector.events import Action
from stream_detector.serve.app_keys import DATABASE, UNIQUE_IDS
from stream_detector.serve.broker import BrokerAwayError
from stream_detector.serve.unique_ids import UniqueIdsWatch
from stream_detector.store.rows import BaselineState, Row, Rows
from stream_detector.store.write import Writer
from tests.events_made import completion
from tests.integration.serve.asking import Client, ask

TEXT = "workflow ids look unique per run: `build-*` (1,234 today); send what is the same in all as workflow_id"


async def store_builds(pool: asyncpg.Pool) -> None:
    now = datetime.now(UTC)
    rows = []
    for number in range(1_234):
        baseline = Baseline.new(f"workflow:build-{number}")
        event = completion("1", f"build-{number}", finished_at=now)
        step(baseline, event, Config(profile="robust"))
        state = BaselineState(key=baseline.key, packed=baseline.pack())
        rows.append(Row(state, "baselines", 0, number, round(now.timestamp() * 1000)))
    await Writer(pool).write(Rows(baselines=rows))


def storing(pool: asyncpg.Pool, published: list[Action]) -> Callable[[list[Action]], Awaitable[None]]:
    """Publishes, and the recorder stores it."""

    async def publish(actions: list[Action]) -> None:
        published.extend(actions)
        rows = [Row(each, "operator-actions", 0, offset, 0) for offset, each in enumerate(actions)]
        assert await Writer(pool).write(Rows(actions=rows)) == []

    return publish


async def test_health_names_them_and_is_not_degraded_by_them(client: Client, pool: asyncpg.Pool) -> None:
    await store_builds(pool)
    before = await ask(client, "/api/v1/health")
    assert client.app is not None
    with pytest.raises(BrokerAwayError):  # the message waits for the broker; what is found does not
        await client.app[UNIQUE_IDS].look()
    after = await ask(client, "/api/v1/health")
    assert after["reasons"] == [*before["reasons"], TEXT]
    assert after["status"] == before["status"]


async def test_one_message_is_asked_for_however_often_it_is_found(client: Client, pool: asyncpg.Pool) -> None:
    await store_builds(pool)
    assert client.app is not None
    published: list[Action] = []
    for _ in range(2):
        watch = UniqueIdsWatch(client.app[DATABASE], storing(pool, published))  # as after a restart
        await watch.look()
        await watch.look()
    (action,) = published
    assert action.kind == "comment" and action.entity == "workflow:build-*" and action.comment == TEXT
