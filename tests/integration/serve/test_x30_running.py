"""X30: what runs now, over HTTP: with its usual time, without what has ended, page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from stream_detector.store.rows import BaselineState, NamedValue, Rows
from stream_detector.store.write import Writer
from tests.events_made import completion, row, start
from tests.integration.serve.asking import Client, ask

RUNNING = "/api/v1/running"


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


async def write(pool: asyncpg.Pool, **rows: list[Any]) -> None:
    assert (
        await Writer(pool).write(
            Rows(**{name: [row(each, at) for at, each in enumerate(of)] for name, of in rows.items()})
        )
        == []
    )


async def test_x30_what_runs_is_listed_with_its_usual_time_the_longest_first(
    client: Client, pool: asyncpg.Pool
) -> None:
    usual = {"execution_time": NamedValue(600.0, 9.5, 30)}
    await write(
        pool,
        starts=[
            start("new", started_at=ago(5)),
            start("old", started_at=ago(900), queued_at=ago(960), limit_s=300.0, source="github", url="https://ci.example/1",
                  workflow_name="Nightly", attempt=2, labels={"team": "core"}),
            start("of a variant", started_at=ago(60), variant="schedule"),
            start("other", "weekly", started_at=ago(30)),
        ],
        baselines=[
            BaselineState(key="workflow:nightly", packed=b"x", named=usual),
            BaselineState(key="workflow:weekly", packed=b"x", named={"execution_time": NamedValue(None, None, 0)}),
        ],
    )  # fmt: skip
    found = await ask(client, RUNNING)
    assert [each["execution_id"] for each in found["items"]] == ["old", "of a variant", "other", "new"]
    assert [each["usual_s"] for each in found["items"]] == [600.0, None, None, 600.0]
    first = found["items"][0]
    assert 900 <= first.pop("elapsed_s") < 1000 and found["next"] is None
    asked = {
        name: first[name] for name in ("attempt", "limit_s", "source", "url", "workflow_name", "labels", "variant")
    }
    assert asked == {
        "attempt": 2, "limit_s": 300.0, "source": "github", "url": "https://ci.example/1", "workflow_name": "Nightly",
        "labels": {"team": "core"}, "variant": None,
    }  # fmt: skip
    waited = datetime.fromisoformat(first["started_at"]) - datetime.fromisoformat(first["queued_at"])
    assert waited.total_seconds() == 60 or abs(waited.total_seconds() - 60) < 1
    assert found["items"][3]["source"] == "kafka" and found["items"][3]["workflow_name"] == "nightly"
    of_one = await ask(client, RUNNING, workflow="nightly", variant="schedule")
    assert [each["execution_id"] for each in of_one["items"]] == ["of a variant"]
    listed, cursor = [], None
    while True:
        page = await ask(client, RUNNING, limit=1, **({"cursor": cursor} if cursor else {}))
        listed += [each["execution_id"] for each in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert listed == ["old", "of a variant", "other", "new"]
    assert (await client.get(RUNNING, params={"cursor": "x"})).status == 400


async def test_x30_what_has_ended_is_not_listed_whoever_stored_the_end(client: Client, pool: asyncpg.Pool) -> None:
    await write(pool, starts=[start(each, started_at=ago(60)) for each in ("1", "gitlab:3", "2")])
    await pool.execute(
        "INSERT INTO executions (execution_id, attempt, workflow_id, status, finished_at, stream_epoch,"
        " source_partition, source_offset, backfill, record_at, event)"
        " SELECT id, 1, 'nightly', 'success', now(), 0, 0, 9, false, now(), '{}'"
        " FROM unnest(ARRAY['1', 'gitlab:3.1999999999']) id"
    )  # as a recorder of an earlier version stores ends, or another one at the same moment
    found = await ask(client, RUNNING)
    assert [each["execution_id"] for each in found["items"]] == ["2"]


async def test_x30_an_execution_has_the_duration_and_the_wait_of_its_start(client: Client, pool: asyncpg.Pool) -> None:
    ended = ago(0)
    began = start("1", started_at=ended - timedelta(seconds=90), queued_at=ended - timedelta(seconds=120))
    await write(pool, starts=[began], executions=[completion("1", duration_s=None, finished_at=ended), completion("2")])
    paired, other = (await ask(client, "/api/v1/executions", workflow="nightly"))["items"]
    assert paired["duration_s"] == 90.0 and "queued_at" not in other
    assert datetime.fromisoformat(paired["queued_at"]) == began.queued_at
    assert datetime.fromisoformat(paired["started_at"]) == began.started_at
    assert (await ask(client, RUNNING))["items"] == []
