"""X20: a workflow goes on under another id, asked for by a person or noticed in GitHub's deliveries."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient

from stream_detector.devstack.tansu import Tansu
from stream_detector.events import Action
from stream_detector.events.decode import decode_action
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.topics import ACTIONS, COMPLETIONS, owner_partition
from stream_detector.serve.app_keys import BROKER
from stream_detector.settings import Settings
from stream_detector.store.rows import BaselineState, Rows
from stream_detector.store.write import Writer
from tests.events_made import NOON, anomaly, completion, row
from tests.integration.serve.conftest import Serve
from tests.integration.serve.test_intake import PAYLOADS, SECRET, on, signed
from tests.servers.installation import wait_until

Client = TestClient[Any, Any]
GITHUB = "/api/v1/webhooks/github"


@pytest.fixture
async def client(serve: Serve, tansu: Tansu, make_settings: Callable[..., Settings]) -> AsyncIterator[Client]:
    await make_topics(make_settings(broker=tansu.address))
    started = await serve(broker=tansu.address, github_webhook_secret=SECRET)
    await wait_until(lambda: started.app[BROKER].state == "ok", "the API has its broker")
    yield started


async def post(client: Client, body: Any, status: int = 200, path: str = "/api/v1/renames", **headers: str) -> Any:
    async with client.post(path, data=body, headers={"Content-Type": "application/json"} | headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def rename(client: Client, old_id: str, new_id: str, status: int = 200) -> Any:
    return await post(client, json.dumps({"old_id": old_id, "new_id": new_id}), status)


async def get(client: Client, path: str, **query: str) -> Any:
    async with client.get(f"/api/v1/{path}", params=query) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def actions(client: Client, tansu: Tansu) -> list[tuple[int, Action]]:
    records = await on(client, tansu.address, ACTIONS)
    return [(record.partition, decode_action(record.value, (), record.timestamp)) for record in records]


async def has(pool: asyncpg.Pool, *ids: str) -> None:
    packed = b"\x04"
    states = [
        row(BaselineState(key=f"workflow:{each}", packed=packed, state="normal"), n) for n, each in enumerate(ids)
    ]
    await Writer(pool).write(Rows(baselines=states))


async def recorded(pool: asyncpg.Pool, done: list[tuple[int, Action]]) -> None:
    """As the recorder stores them."""
    await Writer(pool).write(Rows(actions=[row(action, n, epoch=1) for n, (_, action) in enumerate(done)]))


async def test_x20_a_rename_reaches_the_owner_and_old_ids_lead_to_the_new_one(
    client: Client, tansu: Tansu, pool: asyncpg.Pool
) -> None:
    await has(pool, "old", "used")
    rows = Rows(executions=[row(completion("e1", "old"))], anomalies=[row(anomaly(entity_id="old", execution_id="e1"))])
    await Writer(pool).write(rows)
    silence = Action(action_id="s1", kind="silence", by="ops", at=NOON.replace(year=2098), entity="workflow:old")
    await Writer(pool).write(Rows(actions=[row(silence)]))
    assert "in use" in (await rename(client, "old", "used", 409))["detail"]
    assert "is the id" in (await rename(client, "old", "old", 400))["detail"]
    assert "no workflow" in (await rename(client, "other", "new", 404))["detail"]
    variant = "中" * 22
    await pool.execute("UPDATE baselines SET variant = $1 WHERE entity_id = 'old'", variant)
    assert "too long" in (await rename(client, "old", "n" * 256, 400))["detail"]
    done = await rename(client, "old", "new")
    assert (done["has_baseline"], done["silences"], done["ping_keys"]) == (True, ["s1"], [])
    ((partition, action),) = await actions(client, tansu)
    assert (action.kind, action.entity, action.new_id) == ("rename", "workflow:old", "new")
    assert partition == owner_partition("old", 4)
    await recorded(pool, [(partition, action)])
    await pool.execute("UPDATE baselines SET key = 'workflow:new', entity_id = 'new' WHERE entity_id = 'old'")
    assert (await get(client, "renames"))["items"][0]["new_id"] == "new"
    assert "was renamed to new" in (await rename(client, "old", "newer", 404))["detail"]

    async def follows() -> bool:
        return bool((await get(client, "workflows", id="old"))["items"])

    await wait_until(follows, "the former id leads to the new one")
    for named in ("old", "new", "workflow:old"):
        (found,) = (await get(client, "ai/anomalies", entity=named, hours="87600"))["items"]
        assert found["entity_id"] == "new"
    assert (await get(client, "series", entity="workflow:old"))["entity"] == "workflow:new"
    for named in ("old", "new"):
        (one,) = (await get(client, "executions", workflow=named, hours="87600"))["items"]
        assert one["workflow_id"] == "new"


async def test_x20_a_rename_needs_an_operator(client: Client, serve: Serve) -> None:
    visitor = await serve(api_token="t" * 32, signed_in=False)
    async with visitor.post("/api/v1/renames", json={"old_id": "a", "new_id": "b"}) as answer:
        assert answer.status == 401


def headers(body: bytes, kind: str) -> dict[str, str]:
    return {"Authorization": "", "X-GitHub-Event": kind, "X-Hub-Signature-256": signed(body)}


CHANGES = [
    ("repository", {"action": "renamed", "changes": {"repository": {"name": {"from": "stove"}}}}, "bakery/stove:"),
    (
        "repository",
        {"action": "transferred", "changes": {"owner": {"from": {"user": {"login": "somebody"}}}}},
        "somebody/oven:",
    ),
    (
        "repository",
        {"action": "transferred", "changes": {"owner": {"from": {"organization": {"login": "mill"}}}}},
        "mill/oven:",
    ),
    (
        "organization",
        {
            "action": "renamed",
            "changes": {"login": {"from": "mill"}},
            "organization": {"login": "bakery"},
            "repository": None,
        },
        "mill/oven:",
    ),
]


@pytest.mark.parametrize(("kind", "change", "before"), CHANGES, ids=lambda each: str(each)[:30])
async def test_x20_github_renames_all_workflows_of_a_repository(
    client: Client, tansu: Tansu, pool: asyncpg.Pool, kind: str, change: dict[str, Any], before: str
) -> None:
    await has(
        pool, f"github:{before}ci.yml", f"github:{before}cd.yml", "github:bakery/oven:cd.yml", "github:x/y:ci.yml"
    )
    payload = {"repository": {"id": 7, "name": "oven", "full_name": "bakery/oven"}, "sender": {}} | change
    if payload["repository"] is None:
        del payload["repository"]
    body = json.dumps(payload).encode()
    told = await post(client, body, path=GITHUB, **headers(body, kind))
    assert told["message"] == "renamed 1 workflows, left 1 whose new id is in use or too long"
    ((_, action),) = await actions(client, tansu)
    assert (action.entity, action.new_id) == (f"workflow:github:{before}ci.yml", "github:bakery/oven:ci.yml")
    assert action.by == "webhook github"


async def test_x20_other_changes_of_a_repository_rename_nothing(client: Client, tansu: Tansu) -> None:
    for action in ("edited", "privatized", None):
        body = json.dumps({"action": action, "changes": {}, "repository": {}, "sender": {}}).encode()
        told = await post(client, body, path=GITHUB, **headers(body, "repository"))
        assert told["message"] == "ignored: nothing was renamed"
    body = b'{"action": "renamed", "changes": {}, "repository": {"full_name": "a/b"}, "sender": {}}'
    told = await post(client, body, 400, path=GITHUB, **headers(body, "repository"))
    assert "$.changes.repository.name.from" in told["detail"]
    assert await actions(client, tansu) == []


async def test_x20_githubs_numbers_show_another_name(client: Client, tansu: Tansu, pool: asyncpg.Pool) -> None:
    delivery = json.loads((PAYLOADS / "github_workflow_run.json").read_text("utf-8"))

    async def deliver(name: str, run: int, minute: int) -> None:
        delivery["repository"]["full_name"] = name
        delivery["workflow_run"] |= {"id": run, "updated_at": f"2026-01-22T12:{minute:02}:00Z"}
        delivery["workflow_run"]["run_started_at"] = "2026-01-22T11:59:00Z"
        body = json.dumps(delivery).encode()
        await post(client, body, path=GITHUB, **headers(body, "workflow_run"))

    path = delivery["workflow_run"]["path"].partition("@")[0]
    old_id, new_id = f"github:bakery/oven:{path}", f"github:bakery/range:{path}"
    await deliver("bakery/oven", 1, 1)
    await has(pool, old_id)
    await deliver("bakery/range", 2, 5)
    await deliver("bakery/oven", 1, 1)  # an older delivery, sent again
    ((_, action),) = await actions(client, tansu)
    assert (action.entity, action.new_id) == (f"workflow:{old_id}", new_id)
    records = await on(client, tansu.address, COMPLETIONS)
    ids = sorted((json.loads(one.value)["execution_id"], json.loads(one.value)["workflow_id"]) for one in records)
    assert ids == [("github:1", old_id), ("github:1", old_id), ("github:2", old_id)], "it comes behind the baseline"
