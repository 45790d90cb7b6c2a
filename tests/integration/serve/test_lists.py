"""The other lists: executions, baselines, runs, inbox, health, the document."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import yaml

from stream_detector.events import Movement
from stream_detector.store.lookalikes import stored_lookalikes
from stream_detector.store.rows import BaselineState, NamedValue, Rows
from stream_detector.store.write import Writer
from tests.events_made import (
    NOON,
    anomaly,
    at_minute,
    completion,
    notification,
    row,
    run_event,
    score,
    score_change,
    summary,
    uuid,
)
from tests.integration.serve.asking import Client, ask


async def test_w37_past_executions_of_one_workflow_newest_first(client: Client, pool: asyncpg.Pool) -> None:
    mine = [row(completion(str(n), finished_at=NOON + timedelta(days=n)), n) for n in range(40)]
    await Writer(pool).write(Rows(executions=[*mine, row(completion("other", "weekly"), 99)]))
    found = await ask(client, "/api/v1/executions", workflow="nightly")
    assert [item["execution_id"] for item in found["items"]] == [str(n) for n in range(39, 9, -1)]
    span = {"from": (NOON + timedelta(days=5)).isoformat(), "to": (NOON + timedelta(days=7)).isoformat()}
    found = await ask(client, "/api/v1/executions", workflow="nightly", **span)
    assert [item["execution_id"] for item in found["items"]] == ["6", "5"]
    assert (await client.get("/api/v1/executions")).status == 400


async def test_w18_the_three_baselines_of_every_workflow_can_be_read(client: Client, pool: asyncpg.Pool) -> None:
    values = {"failure_rate": 0.1, "execution_time": 100.0, "success_rate": 0.9}
    named = {name: NamedValue(value, 0.5, 30) for name, value in values.items()}
    states = [BaselineState(key=f"workflow:{name}", packed=b"x", state="normal", named=named) for name in "cab"]
    states.append(BaselineState(key="score:lido", packed=b"x", state="learning"))
    await Writer(pool).write(
        Rows(baselines=[row(each, n) for n, each in enumerate(states)], anomalies=[row(anomaly("1", entity_id="b"))])
    )
    first = await ask(client, "/api/v1/workflows", limit=2)
    rest = await ask(client, "/api/v1/workflows", limit=2, cursor=first["next"])
    items = [*first["items"], *rest["items"]]
    assert [item["entity_id"] for item in items] == ["a", "b", "c"]
    assert {item["state"] for item in items} == {"normal"}
    assert items[0]["baselines"]["execution_time"] == {"value": 100.0, "std_dev": 0.5, "window_size": 30}
    assert set(items[0]["baselines"]) == {"failure_rate", "execution_time", "success_rate"}
    assert rest["next"] is None
    entities = await ask(client, "/api/v1/entities")
    assert [(item["key"], item["state"]) for item in entities["items"]] == [("score:lido", "learning")]


async def test_s13_a_run_lists_its_anomalies_before_and_after_its_summary(client: Client, pool: asyncpg.Pool) -> None:
    change = {
        "id": uuid("lido"), "entity_id": "lido", "entity_name": "Lido", "previous": 7.5, "current": 5.8, "delta": -1.7,
        "direction": "down", "threshold": 0.5,
    }  # fmt: skip
    await Writer(pool).write(Rows(score_runs=[row(run_event("started", expected=2))], anomalies=[row(score_change())]))
    running = await ask(client, "/api/v1/runs/r1")
    assert (running["status"], running["anomaly_count"], running["anomalies"]) == ("started", None, [change])
    assert running["movement"] is None
    await Writer(pool).write(Rows(summaries=[row(summary(movement=Movement(fell=1, unchanged=1)))]))
    over = await ask(client, "/api/v1/runs/r1")
    assert over["movement"] == {"fell": 1, "rose": 0, "unchanged": 1}
    assert (over["status"], over["anomaly_count"], over["scored"], over["anomalies"]) == ("completed", 1, 2, [change])
    assert (await client.get("/api/v1/runs/none")).status == 404


async def test_s11_runs_are_listed_newest_first_page_by_page(client: Client, pool: asyncpg.Pool) -> None:
    summaries = [summary(f"r{n}", ended_at=at_minute(n), anomalies=[], anomaly_count=0) for n in range(5)]
    await Writer(pool).write(Rows(summaries=[row(each, n) for n, each in enumerate(summaries)]))
    first = await ask(client, "/api/v1/runs", limit=3)
    rest = await ask(client, "/api/v1/runs", limit=3, cursor=first["next"])
    assert [item["run_id"] for item in [*first["items"], *rest["items"]]] == ["r4", "r3", "r2", "r1", "r0"]


async def test_w24_the_inbox_has_what_was_delivered_to_it_and_says_what_is_unread(
    client: Client, pool: asyncpg.Pool
) -> None:
    messages = [
        notification("1"),
        notification("2", at=at_minute(1), title="Newer"),
        notification("3", channel="slack"),
        notification("4", outcome="suppressed"),
    ]
    await Writer(pool).write(Rows(notifications=[row(each, n) for n, each in enumerate(messages)]))
    found = await ask(client, "/api/v1/inbox")
    assert [(item["id"], item["read"]) for item in found["items"]] == [("2", False), ("1", False)]
    assert found["unread"] == 2
    assert (await client.post("/api/v1/inbox/2/read")).status == 204
    assert (await client.post("/api/v1/inbox/2/read")).status == 204
    found = await ask(client, "/api/v1/inbox")
    assert ([item["read"] for item in found["items"]], found["unread"]) == ([True, False], 1)
    assert (await client.post("/api/v1/inbox/none/read")).status == 404
    assert (await client.post("/api/v1/inbox/3/read")).status == 404


async def test_w24_the_inbox_shows_what_is_unread_or_severe_and_all_can_be_marked(
    client: Client, pool: asyncpg.Pool
) -> None:
    messages = [
        notification(str(n), at=at_minute(n), severity=("warning", "critical")[n % 2], title=str(n)) for n in range(6)
    ]
    messages.append(notification("slack", channel="slack"))
    await Writer(pool).write(Rows(notifications=[row(each, n) for n, each in enumerate(messages)]))

    async def ids(**query: Any) -> list[str]:
        return [item["id"] for item in (await ask(client, "/api/v1/inbox", **query))["items"]]

    assert (await client.post("/api/v1/inbox/4/read")).status == 204
    assert await ids(unread="true") == ["5", "3", "2", "1", "0"]
    assert await ids(unread="false") == ["4"]
    assert await ids(severity="critical") == ["5", "3", "1"]
    assert await ids(severity="critical", unread="true", limit=2) == ["5", "3"]
    first = await ask(client, "/api/v1/inbox", unread="true", limit=2)
    assert await ids(unread="true", limit=2, cursor=first["next"]) == ["2", "1"]
    marked = await client.post("/api/v1/inbox/read", json={"until": at_minute(3).isoformat()})
    assert await marked.json() == {"marked": 4}
    assert await ids(unread="true") == ["5"]
    assert await (await client.post("/api/v1/inbox/read", json={})).json() == {"marked": 1}
    assert (await ask(client, "/api/v1/inbox"))["unread"] == 0
    assert (await client.post("/api/v1/inbox/read", json={"until": "yesterday"})).status == 400


async def test_health_tells_the_newest_event_and_the_recorders_last_row(client: Client, pool: asyncpg.Pool) -> None:
    empty = await ask(client, "/api/v1/health")
    assert (empty["status"], empty["newest_event_at"], empty["recorded_at"]) == ("ok", None, None)
    await Writer(pool).write(Rows(executions=[row(completion())]))
    found = await ask(client, "/api/v1/health")
    assert found["newest_event_at"] == "2026-01-22T12:00:00Z"
    assert found["recorded_at"] is not None


async def test_w43_the_document_is_served_as_it_is_published(client: Client) -> None:
    published = yaml.safe_load((Path(__file__).parents[3] / "schemas" / "openapi.yaml").read_text("utf-8"))
    assert await ask(client, "/api/v1/openapi.json") == published


async def test_workflows_and_entities_carry_the_name_of_their_newest_event(client: Client, pool: asyncpg.Pool) -> None:
    states = [BaselineState(key=key, packed=b"", state="normal") for key in ("workflow:b1", "workflow:b2", "score:e1")]
    await Writer(pool).write(
        Rows(
            executions=[
                row(completion("1", "b1", workflow_name="Old name"), 1),
                row(completion("2", "b1", workflow_name="Nightly build", finished_at=at_minute(5)), 2),
                row(completion("3", "b2"), 3),
            ],
            scores=[row(score("e1", entity_name="Lido DAO"), 1)],
            baselines=[row(each, n) for n, each in enumerate(states)],
        )
    )

    async def names(path: str, **query: str) -> list[tuple[str, str]]:
        return [(each["entity_id"], each["entity_name"]) for each in (await ask(client, path, **query))["items"]]

    assert await names("/api/v1/workflows") == [("b1", "Nightly build"), ("b2", "b2")]
    assert await names("/api/v1/workflows", q="NIGHTLY") == [("b1", "Nightly build")]
    assert await names("/api/v1/workflows", q="old name") == []
    assert await names("/api/v1/entities", q="lido") == [("e1", "Lido DAO")]


async def test_ids_that_look_the_same_name_each_other_and_stay_what_they_are(
    client: Client, pool: asyncpg.Pool
) -> None:
    alike = ["nightly build", "nightly\u00a0build", "nightly\u200b build", "\uff4eightly build"]
    ids = [*alike, "caf\u00e9", "cafe\u0301", "\u591c\u9593", "plain", "Plain"]
    states = [BaselineState(key=f"workflow:{each}", packed=b"", state="normal") for each in ids]
    states.append(BaselineState(key="score:plain", packed=b"", state="normal"))
    await Writer(pool).write(Rows(baselines=[row(each, n) for n, each in enumerate(states)]))
    await pool.execute("UPDATE baselines SET recorded_at = now()")
    items = {each["entity_id"]: each for each in (await ask(client, "/api/v1/workflows"))["items"]}
    assert set(items) == set(ids)
    for each in alike:
        assert items[each]["looks_like"] == sorted(set(alike) - {each})
    assert items["caf\u00e9"]["looks_like"] == ["cafe\u0301"]
    assert not any(items[each]["looks_like"] for each in ("\u591c\u9593", "plain", "Plain"))
    await pool.execute(
        "UPDATE baselines SET recorded_at = now() - interval '8 days' WHERE entity_id <> 'nightly build'"
    )
    assert await stored_lookalikes(pool, "workflow") == []


async def test_workflows_are_found_by_a_part_of_their_id_and_by_state(client: Client, pool: asyncpg.Pool) -> None:
    states = [
        BaselineState(key="workflow:Nightly%Build", packed=b"", state="anomalous"),
        BaselineState(key="workflow:nightly", packed=b"", state="normal"),
        BaselineState(key="workflow:weekly", packed=b"", state="anomalous"),
    ]
    await Writer(pool).write(Rows(baselines=[row(each, n) for n, each in enumerate(states)]))
    for query, ids in (
        ({"q": "NIGHT"}, ["Nightly%Build", "nightly"]),
        ({"q": "%"}, ["Nightly%Build"]),
        ({"state": "anomalous"}, ["Nightly%Build", "weekly"]),
        ({"state": "normal", "q": "weekly"}, []),
    ):
        items = (await ask(client, "/api/v1/workflows", **query))["items"]
        assert [each["entity_id"] for each in items] == ids
