"""W34: anomalies created, read, changed and deleted by id over HTTP, each edit audited on `operator-actions`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient

from stream_detector.detect import Baseline, Config, step
from stream_detector.devstack.tansu import Tansu
from stream_detector.events import Action, Anomaly
from stream_detector.events.decode import decode_action
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import ACTIONS, owner_partition
from stream_detector.serve.app_keys import BROKER
from stream_detector.settings import Settings
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import anomaly, at_minute, completion, row, score_change, uuid
from tests.integration.serve.conftest import Serve
from tests.servers.installation import wait_until

Client = TestClient[Any, Any]
LIST = "/api/v1/ai/anomalies"
NUMBERS = {"current_value": 30.0, "baseline_value": 10.0, "deviation": 20.0, "z_score": None, "confidence": 0.5}
GIVEN: dict[str, Any] = {
    "id": uuid("by hand"),
    "anomaly_type": "UnusualExecutionTime",
    "severity": "warning",
    "description": "It took three times as long",
    "entity_kind": "workflow",
    "entity_id": "nightly",
    "execution_id": "run-7",
    "metrics": {**NUMBERS, "unit": "s", "direction": "up"},
}


@pytest.fixture
def settings(make_settings: Callable[..., Settings], tansu: Tansu) -> Settings:
    return make_settings(broker=tansu.address)


@pytest.fixture
async def client(serve: Serve, settings: Settings) -> AsyncIterator[Client]:
    """The API with a broker that has our topics."""
    await make_topics(settings)
    started = await serve(broker=settings.broker)
    await wait_until(lambda: started.app[BROKER].state == "ok", "the API has its broker")
    yield started


async def send(client: Client, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    async with client.request(method, path, json=body) as answer:
        assert answer.status == status, await answer.text()
        return None if answer.status == 204 else await answer.json()


async def audited(settings: Settings) -> list[tuple[int, Action]]:
    """(partition, action) of everything on `operator-actions`."""
    found = [record async for record in read_topic(settings, ACTIONS)]
    return [(record.partition, decode_action(record.value, (), -1)) for record in found]


async def test_w34_an_anomaly_is_created_read_changed_and_deleted_by_id(
    client: Client, settings: Settings, pool: asyncpg.Pool
) -> None:
    one = f"{LIST}/{GIVEN['id']}"
    made = await send(client, "POST", LIST, GIVEN)
    assert made == await send(client, "GET", one)
    assert made["detector"] == made["profile"] == "manual" and made["state"] == "opened"
    assert made["investigation_steps"] and [each["kind"] for each in made["affected_entities"]] == [
        "workflow",
        "execution",
    ]
    changed = await send(client, "PATCH", one, {"severity": "critical", "labels": {"team": "core"}})
    assert changed | {"severity": "warning", "labels": {}} == made | {"labels": {}}
    assert (await send(client, "GET", f"{LIST}?severity=critical"))["items"][0]["id"] == GIVEN["id"]
    assert await pool.fetchval("SELECT severity FROM incidents") == "critical"
    await send(client, "DELETE", one, status=204)
    await send(client, "GET", one, status=404)
    await send(client, "DELETE", one, status=404)
    assert await pool.fetchval("SELECT count(*) FROM incidents") == 0
    actions = await audited(settings)
    assert [each.kind for _, each in actions] == ["create_anomaly", "update_anomaly", "delete_anomaly"]
    assert {(number, each.by, each.anomaly_id, each.entity) for number, each in actions} == {
        (owner_partition("nightly", 4), "API_TOKEN", GIVEN["id"], "workflow:nightly")
    }
    # The recorder's turn, with the same records, changes nothing.
    again = [row(each, n) for n, (_, each) in enumerate(actions)]
    assert await Writer(pool).write(Rows(actions=again)) == []
    await send(client, "GET", one, status=404)


async def test_w34_a_deleted_anomaly_does_not_come_back_when_the_topic_is_read_again(
    client: Client, pool: asyncpg.Pool
) -> None:
    both = [row(anomaly("a")), row(score_change())]
    await Writer(pool).write(Rows(anomalies=both))
    await send(client, "DELETE", f"{LIST}/{uuid('a')}", status=204)
    await Writer(pool).write(Rows(anomalies=both))
    assert [each["id"] for each in (await send(client, "GET", LIST))["items"]] == [uuid("lido")]
    conflict = await send(client, "POST", LIST, GIVEN | {"id": uuid("a")}, status=409)
    assert "deleted" in conflict["detail"]


async def test_a_chart_marks_no_deleted_anomaly(serve: Serve, settings: Settings, pool: asyncpg.Pool) -> None:
    await make_topics(settings)
    client = await serve(broker=settings.broker, profile="classic")
    await wait_until(lambda: client.app[BROKER].state == "ok", "the API has its broker")  # type: ignore[attr-defined]
    events = [completion(str(n), finished_at=at_minute(n), duration_s=100.0 + n % 3) for n in range(12)]
    events.append(completion("slow", finished_at=at_minute(30), duration_s=300.0))
    baseline, found = Baseline.new("workflow:nightly"), list[Anomaly]()
    for event in events:
        found += step(baseline, event, Config(profile="classic")).anomalies
    rows = Rows(executions=[row(each, n) for n, each in enumerate(events)], anomalies=[row(each) for each in found])
    await Writer(pool).write(rows)

    async def marked() -> list[str]:
        points = (await send(client, "GET", "/api/v1/series?entity=workflow:nightly"))["points"]
        return [point["anomaly"] for point in points if point["anomalous"]]

    assert len(found) == 2
    for each in found:
        assert await marked() == [each.id]
        await send(client, "DELETE", f"{LIST}/{each.id}", status=204)
    assert await marked() == []


async def test_w34_the_same_request_twice_leaves_one_row_and_another_content_is_a_conflict(
    client: Client, settings: Settings, pool: asyncpg.Pool
) -> None:
    first = await send(client, "POST", LIST, GIVEN)
    assert await send(client, "POST", LIST, GIVEN) == first
    await send(client, "POST", LIST, GIVEN | {"severity": "info"}, status=409)
    await send(client, "PATCH", f"{LIST}/{GIVEN['id']}", {"severity": "warning"})
    assert len(await audited(settings)) == 1
    assert await pool.fetchval("SELECT count(*) FROM anomalies") == 1
    without_id = {name: value for name, value in GIVEN.items() if name != "id"}
    await send(client, "POST", LIST, without_id)
    assert await pool.fetchval("SELECT count(*) FROM anomalies") == 2


async def test_w34_changes_at_the_same_time_are_all_kept(client: Client) -> None:
    one = f"{LIST}/{GIVEN['id']}"
    await send(client, "POST", LIST, GIVEN)
    changes = [{"severity": "critical"}, {"description": "another"}, {"labels": {"team": "core"}}, {"state": "ongoing"}]
    await asyncio.gather(*(send(client, "PATCH", one, change) for change in changes))
    left = await send(client, "GET", one)
    for change in changes:
        assert left | change == left


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("POST", GIVEN | {"id": "no uuid"}, 400),
        ("POST", GIVEN | {"id": "1065829a-cfbd-5714-97f3-df5ca44f53zz"}, 400),
        ("POST", GIVEN | {"severity": "terrible"}, 400),
        ("POST", GIVEN | {"colour": "red"}, 400),
        ("POST", GIVEN | {"detected_at": "2026-01-22T00:00:00"}, 400),
        ("POST", GIVEN | {"detected_at": "1970-01-22T00:00:00Z"}, 400),
        ("POST", GIVEN | {"investigation_steps": []}, 400),
        ("POST", GIVEN | {"metrics": GIVEN["metrics"] | {"confidence": 1.5}}, 400),
        ("POST", {name: GIVEN[name] for name in GIVEN if name != "metrics"}, 400),
        ("PATCH", {}, 400),
        ("PATCH", {"entity_id": "weekly"}, 400),
        ("PATCH", {"description": "a\x00b"}, 400),
        ("PATCH", {"url": "javascript:alert(1)"}, 400),
        ("PATCH", {"severity": None}, 400),
        ("PATCH", {"severity": "info"}, 404),
        ("DELETE", None, 404),
    ],
    ids=repr,
)
async def test_an_edit_that_cannot_be_made_changes_nothing(
    client: Client, settings: Settings, method: str, body: Any, status: int
) -> None:
    path = LIST if method == "POST" else f"{LIST}/{uuid('none')}"
    await send(client, method, path, body, status=status)
    assert await audited(settings) == []


async def test_without_kafka_nothing_is_changed(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve()
    await Writer(pool).write(Rows(anomalies=[row(anomaly("a"))]))
    for method, body in (("PATCH", {"severity": "critical"}), ("DELETE", None)):
        await send(client, method, f"{LIST}/{uuid('a')}", body, status=503)
    assert (await send(client, "GET", f"{LIST}/{uuid('a')}"))["severity"] == "warning"


@pytest.mark.parametrize("name", ["trends", "facets", "export"])
async def test_w42_a_name_beside_an_id_is_never_taken_for_one(client: Client, name: str) -> None:
    for method in ("DELETE", "PATCH"):
        async with client.request(method, f"{LIST}/{name}", json={"severity": "info"}) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET")
