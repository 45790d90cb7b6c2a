"""W39: the check of one execution equals what the live detector said when it came."""

import random
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from aiohttp.test_utils import TestClient

from stream_detector.detect import Baseline, Config, step
from stream_detector.events import Anomaly, Completion, Profile
from stream_detector.serve.routes import ROUTES
from stream_detector.store.epochs import epoch_of
from stream_detector.store.rows import Row, Rows
from stream_detector.store.write import Writer
from tests.events_made import NOON, action, completion, row
from tests.integration.serve.conftest import Serve

Client = TestClient[Any, Any]


@pytest.fixture
async def client(serve: Serve) -> Client:
    """Profile classic, whose numbers can be worked out by hand."""
    return await serve(profile="classic")


CHECK = "/api/v1/ai/check-anomalies"
DATA = ("executions", "anomalies", "incidents", "baselines", "notifications", "actions")
COUNT = "SELECT count(*), max(xmin::text::bigint) FROM {}"


def history(runs: int = 200, seed: int = 3) -> list[Row[Completion]]:
    """Two workflows over 60 days, one of them mostly late in its own way: slow runs, failing stretches, a backfill."""
    chance = random.Random(seed)
    rows = []
    for n in range(runs):
        failing = 80 < n % 120 < 92
        event = completion(
            str(n),
            ("nightly", "weekly")[n % 3 == 0],
            attempt=1 + (n % 50 == 7),
            finished_at=NOON + timedelta(hours=7.2 * n - (40 if n % 31 == 30 else 0)),
            duration_s=round(chance.gauss(100, 10) * (3 if n % 37 == 36 else 1), 3) if n % 17 else None,
            status="failure" if failing and n % 4 else "cancellation" if n % 29 == 3 else "success",
            labels={"commit": f"c{n}"},
        )
        # Records of one workflow lie on its own partition; offsets are those of the topic.
        rows.append(row(event, n, partition=int(event.workflow_id == "weekly"), backfill=20 < n < 40, epoch=1))
    return rows


def ended(n: int, duration_s: float) -> Row[Completion]:
    """The n-th execution of `nightly`, ended n minutes after noon."""
    return row(completion(str(n), duration_s=duration_s, finished_at=NOON + timedelta(minutes=n)), n)


def said_live(rows: list[Row[Completion]], profile: Profile) -> dict[tuple[str, int], list[Anomaly]]:
    """What `step` says of each when it comes, as the live detector is told."""
    baselines: dict[str, Any] = {}
    said = {}
    for each in rows:
        event = each.event
        key = f"workflow:{event.workflow_id}"
        baseline = baselines.get(key) or Baseline.new(key)
        # Through its packed form after every event, as a detector that is killed and recovers all the time.
        outcome = step(baseline, event, Config(profile=profile), backfill=each.backfill)
        baselines[key] = Baseline.unpack(key, baseline.pack())
        said[event.execution_id, event.attempt] = list(outcome.anomalies)
    return said


@pytest.mark.parametrize("profile", ["classic", "robust"])
async def test_w39_the_check_of_every_execution_of_a_history_equals_what_was_said_live(
    serve: Serve, pool: asyncpg.Pool, profile: Profile
) -> None:
    client = await serve(profile=profile)
    rows = history()
    shuffled = random.Random(1).sample(rows, len(rows))  # the recorder's partitions come in any order
    assert await Writer(pool).write(Rows(executions=shuffled)) == []
    said, found = said_live(rows, profile), 0
    for (execution_id, attempt), expected in said.items():
        answer = await client.post(CHECK, json={"workflow_execution_id": execution_id, "attempt": attempt})
        assert answer.status == 200
        assert "X-Approximate" not in answer.headers
        assert await answer.json() == msgspec.to_builtins(expected)
        found += len(expected)
    kinds = {each.anomaly_type for several in said.values() for each in several}
    if profile == "classic":
        assert {"UnusualExecutionTime", "PerformanceDegradation"} <= kinds
    assert "ConsecutiveFailures" in kinds and found > 5


async def test_w39_normal_is_an_empty_list_unknown_404_and_without_attempt_the_last(
    client: Client, pool: asyncpg.Pool
) -> None:
    slow = completion("11", attempt=2, duration_s=500.0, finished_at=NOON + timedelta(minutes=11))
    usual = [ended(n, 100.0 + n % 2) for n in range(12)]
    await Writer(pool).write(Rows(executions=[*usual, row(slow, 12)]))
    first = await client.post(CHECK, json={"workflow_execution_id": "11", "attempt": 1})
    last = await client.post(CHECK, json={"workflow_execution_id": "11"})
    assert await first.json() == []
    assert [each["attempt"] for each in await last.json()] == [2, 2]
    for body in ({"workflow_execution_id": "unknown"}, {"workflow_execution_id": "11", "attempt": 9}):
        assert (await client.post(CHECK, json=body)).status == 404


@pytest.mark.parametrize("reason", ["partitions", "recreated", "deleted", "operator actions"])
async def test_where_history_is_not_whole_the_answer_says_why(client: Client, pool: asyncpg.Pool, reason: str) -> None:
    rows = Rows(executions=[row(completion("1"), 1)])
    if reason == "partitions":
        rows.executions.insert(0, row(completion("0"), 9, partition=0))
        rows.executions[1] = row(completion("1"), 1, partition=1)
    elif reason == "recreated":
        await epoch_of(pool, "old")
        rows.executions.insert(0, row(completion("0"), 0, epoch=-1))
    elif reason == "deleted":
        await pool.execute("INSERT INTO trimmed VALUES ('workflow:nightly', $1)", NOON)
    else:
        rows.actions = [row(action("e", "expected")), row(action("a", "acknowledge"))]
    await Writer(pool).write(rows)
    answer = await client.post(CHECK, json={"workflow_execution_id": "1"})
    assert answer.status == 200
    assert reason in answer.headers["X-Approximate"]


async def test_every_question_leaves_the_stored_data_as_it_was(client: Client, pool: asyncpg.Pool) -> None:
    await Writer(pool).write(Rows(executions=history(60)))
    before = [await pool.fetch(COUNT.format(table)) for table in DATA]
    await client.post(CHECK, json={"workflow_execution_id": "50"})
    for route in ROUTES:
        if route.method == "GET":
            query = {"entity": "workflow:nightly"} if "series" in route.path else None
            await client.get(route.path.replace("{id}", "1"), params=query)
    assert [await pool.fetch(COUNT.format(table)) for table in DATA] == before
