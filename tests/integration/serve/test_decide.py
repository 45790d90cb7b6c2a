"""Incidents, what people decide about them, silences and the overview, on a real broker and a real database."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_detector.devstack.tansu import Tansu
from stream_detector.events.decode import decode_action
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.topics import ACTIONS, COMPLETIONS, owner_partition
from stream_detector.notify.links import Link, sign
from stream_detector.notify.message import RetryAfter
from stream_detector.notify.stages.matching import stored_silences
from stream_detector.serve.app_keys import BROKER, DATABASE
from stream_detector.serve.broker import Record
from stream_detector.settings import Settings
from stream_detector.store.rows import BaselineState, Rows
from stream_detector.store.write import Writer
from tests.events_made import action, anomaly, at_minute, completion, notification, row, score_change, uuid
from tests.integration.serve.conftest import Serve
from tests.servers.installation import wait_until
from tests.unit.notify.living import Notifier, only
from tests.unit.notify.subjects import slow

Client = TestClient[Any, Any]


@pytest.fixture
async def client(serve: Serve, tansu: Tansu, make_settings: Callable[..., Settings]) -> AsyncIterator[Client]:
    """The API with a broker that has our topics."""
    await make_topics(make_settings(broker=tansu.address))
    started = await serve(broker=tansu.address)
    await wait_until(lambda: started.app[BROKER].state == "ok", "the API has its broker")
    yield started


async def ask(client: Client, path: str, **query: Any) -> Any:
    async with client.get(path, params=query) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def do(client: Client, path: str, body: Any, status: int = 200) -> Any:
    async with client.post(path, json=body) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def published(client: Client, address: str) -> list[tuple[int, bytes | None, dict[str, Any]]]:
    """(partition, key, action) of everything on operator-actions."""
    name = client.app[BROKER].name(ACTIONS)
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(name, number) for number in range(4)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        found: list[Any] = []
        while more := await consumer.getmany(timeout_ms=500):
            found += [record for records in more.values() for record in records]
        return [(record.partition, record.key, json.loads(record.value)) for record in found]
    finally:
        await consumer.stop()


async def test_an_action_is_on_kafka_at_its_owner_and_visible_at_once(
    client: Client, pool: asyncpg.Pool, tansu: Tansu
) -> None:
    await Writer(pool).write(Rows(anomalies=[row(anomaly("a", state="opened")), row(score_change("lido"), 1)]))
    told = await do(
        client,
        "/api/v1/actions",
        {"kind": "acknowledge", "incident_ids": [uuid("a"), uuid("lido"), uuid("none")], "comment": "on it"},
    )
    assert told["stored"] is True and told["unknown"] == [uuid("none")]
    assert {(each["entity"], each["incident_id"]) for each in told["actions"]} == {
        ("workflow:nightly", uuid("a")),
        ("score:lido", uuid("lido")),
    }
    one = await ask(client, f"/api/v1/incidents/{uuid('a')}")
    assert one["acknowledged_by"] == "API_TOKEN" and one["acknowledged_at"]
    assert [each["comment"] for each in one["actions"]] == ["on it"]
    on_kafka = await published(client, tansu.address)
    assert {(partition, key) for partition, key, _ in on_kafka} == {
        (owner_partition("nightly", 4), b"workflow:nightly"),
        (owner_partition("lido", 4), b"score:lido"),
    }
    # The recorder's turn, with the same records, changes nothing.
    same = [decode_action(json.dumps(value).encode(), (), -1) for _, _, value in on_kafka]
    await Writer(pool).write(Rows(actions=[row(each, n) for n, each in enumerate(same)]))
    assert await ask(client, f"/api/v1/incidents/{uuid('a')}") == one
    assert len((await ask(client, "/api/v1/actions"))["items"]) == 2


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("resolve", "state", "resolved"),
        ("resolve", "resolved_by", "API_TOKEN"),
        ("expected", "verdict", "expected"),
        ("not_an_anomaly", "verdict", "not_an_anomaly"),
    ],
)
async def test_each_decision_shows_on_the_incident(
    client: Client, pool: asyncpg.Pool, kind: str, field: str, value: str
) -> None:
    await Writer(pool).write(Rows(anomalies=[row(anomaly("a"))]))
    await do(client, "/api/v1/actions", {"kind": kind, "incident_ids": [uuid("a")]})
    assert (await ask(client, f"/api/v1/incidents/{uuid('a')}"))[field] == value


async def test_comment_relearn_and_retire_are_kept_with_who_and_when(client: Client, pool: asyncpg.Pool) -> None:
    await Writer(pool).write(Rows(anomalies=[row(anomaly("a"))]))
    before = await ask(client, f"/api/v1/incidents/{uuid('a')}")
    await do(client, "/api/v1/actions", {"kind": "comment", "incident_ids": [uuid("a")], "comment": "disk is slow"})
    after = await ask(client, f"/api/v1/incidents/{uuid('a')}")
    assert {**after, "actions": []} == before
    for kind in ("relearn", "retire"):
        await do(client, "/api/v1/actions", {"kind": kind, "entity": "workflow:nightly"})
    found = (await ask(client, "/api/v1/actions", entity="workflow:nightly"))["items"]
    assert sorted(each["kind"] for each in found) == ["comment", "relearn", "retire"]
    assert {each["by"] for each in found} == {"API_TOKEN"}
    first = await ask(client, "/api/v1/actions", limit=2)
    rest = await ask(client, "/api/v1/actions", limit=2, cursor=first["next"])
    assert len(first["items"]) == 2 and len(rest["items"]) == 1 and rest["next"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "explode", "entity": "workflow:a"}, 400),
        ({"kind": "resolve"}, 400),
        ({"kind": "resolve", "entity": "nightly"}, 400),
        ({"kind": "resolve", "entity": "workflow:"}, 400),
        ({"kind": "resolve", "incident_ids": ["x"]}, 404),
        ({"kind": "resolve", "incident_ids": ["x"] * 201}, 400),
        ({"kind": "resolve", "incident_ids": [uuid("unknown")]}, 404),
        ({"kind": "comment", "entity": "workflow:a"}, 400),
        ({"kind": "comment", "entity": "workflow:a", "comment": " "}, 400),
        ({"kind": "resolve", "entity": "workflow:a", "for_s": 60}, 400),
        ({"kind": "silence", "entity": "workflow:a", "for_s": 0}, 400),
        ({"kind": "silence", "entity": "workflow:a", "for_s": 60, "until": "2030-01-01T00:00:00Z"}, 400),
        ({"kind": "silence", "entity": "workflow:a", "until": "2020-01-01T00:00:00Z"}, 400),
        ({"kind": "silence", "entity": "workflow:a", "until": "9999-12-31T23:59:59-12:00"}, 400),
        ({"kind": "silence", "entity": "workflow:a", "until": "2030-01-01T00:00:00"}, 400),
        ({"kind": "resolve", "entity": "workflow:a\x00"}, 400),
        ({"kind": "comment", "entity": "workflow:a", "comment": "x" * 2001}, 400),
        ({"kind": "resolve", "entity": "workflow:a", "by": "somebody else"}, 400),
    ],
    ids=repr,
)
async def test_a_decision_that_makes_no_sense_is_refused_and_published_nowhere(
    client: Client, tansu: Tansu, body: Any, status: int
) -> None:
    await do(client, "/api/v1/actions", body, status)
    assert await published(client, tansu.address) == []


async def test_silences_are_made_listed_replaced_and_lifted(client: Client, pool: asyncpg.Pool, tansu: Tansu) -> None:
    path = "/api/v1/silences"
    made = await do(client, path, {"matchers": {"severity": "info"}, "comment": "too many"})
    lasts = datetime.fromisoformat(made["until"]) - datetime.fromisoformat(made["at"])
    assert lasts == timedelta(hours=24) and made["active"] and made["entity"] == ""
    first = await do(client, path, {"entity": "workflow:nightly", "for_s": 3600})
    second = await do(client, path, {"entity": "workflow:nightly", "for_s": 7200})
    assert [each["id"] for each in (await ask(client, path))["items"]] == [second["id"], made["id"]]
    assert [each["id"] for each in (await ask(client, path, state="ended"))["items"]] == [first["id"]]
    async with client.delete(f"{path}/{second['id']}") as answer:
        assert answer.status == 204
    assert [each["id"] for each in (await ask(client, path))["items"]] == [made["id"]]
    listed = await ask(client, path, state="all", limit=2)
    rest = await ask(client, path, state="all", limit=2, cursor=listed["next"])
    assert [each["active"] for each in [*listed["items"], *rest["items"]]] == [False, False, True]
    async with client.delete(f"{path}/none") as answer:
        assert answer.status == 404
    on_kafka = await published(client, tansu.address)
    assert [partition for partition, key, _ in on_kafka if key is None] == [0]
    assert sum(key == b"workflow:nightly" for _, key, _ in on_kafka) == 3
    for body in (
        {},
        {"matchers": {}},
        {"matchers": {"a": 1}},
        {"entity": "x:y"},
        {"entity": ""},
        {"matchers": {"a": "\x00"}},
    ):
        await do(client, path, body, 400)


async def test_while_postgres_is_away_a_decision_is_on_kafka_and_nothing_is_lost(
    client: Client, pool: asyncpg.Pool, tansu: Tansu
) -> None:
    database = client.app[DATABASE]
    held, database.pool = database.pool, None
    try:
        body = {"kind": "acknowledge", "incident_ids": [uuid("a")]}
        await do(client, "/api/v1/actions", body, 503)
        told = await do(client, "/api/v1/actions", body | {"entity": "workflow:nightly"})
    finally:
        database.pool = held
    assert told["stored"] is False and len(told["actions"]) == 1
    assert [value["incident_id"] for _, _, value in await published(client, tansu.address)] == [uuid("a")]


async def test_while_kafka_is_away_a_decision_is_503_and_stored_nowhere(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(broker="127.0.0.1:1")
    await Writer(pool).write(Rows(anomalies=[row(anomaly("a"))]))
    async with client.post("/api/v1/actions", json={"kind": "resolve", "incident_ids": [uuid("a")]}) as answer:
        assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
        assert "Kafka" in (await answer.json())["detail"]
    assert await pool.fetchval("SELECT count(*) FROM actions") == 0
    health = await ask(client, "/api/v1/health")
    assert (health["status"], health["broker"]) == ("degraded", "away")


async def test_incidents_are_filtered_paged_and_shown_whole(client: Client, pool: asyncpg.Pool) -> None:
    found = [
        anomaly("1", incident="one", detected_at=at_minute(1)),
        anomaly("2", incident="one", state="ongoing", severity="critical", detected_at=at_minute(2)),
        anomaly("3", entity_id="weekly", entity_name="Weekly", detected_at=at_minute(3)),
        score_change("lido", detected_at=at_minute(4)),
    ]
    await Writer(pool).write(
        Rows(
            anomalies=[row(each, n) for n, each in enumerate(found)],
            notifications=[row(notification("n1", incident_id=uuid("one"), anomaly_id=uuid("1")))],
            actions=[row(action("a1", "acknowledge", incident_id=uuid("3"), entity="workflow:weekly"))],
        )
    )
    path = "/api/v1/incidents"

    async def ids(**query: Any) -> list[str]:
        return [each["id"] for each in (await ask(client, path, **query))["items"]]

    assert await ids() == [uuid("lido"), uuid("3"), uuid("one")]
    assert await ids(severity="critical") == [uuid("lido"), uuid("one")]
    assert await ids(state="ongoing") == [uuid("one")]
    assert await ids(acknowledged="true") == [uuid("3")]
    assert await ids(acknowledged="false", open="true", type="UnusualExecutionTime") == [uuid("one")]
    assert await ids(open="false") == []
    assert await ids(entity="score:lido") == await ids(run="r1") == await ids(q="LID") == [uuid("lido")]
    assert await ids(**{"from": at_minute(2).isoformat(), "to": at_minute(4).isoformat()}) == [uuid("3")]
    first = await ask(client, path, limit=2)
    rest = await ask(client, path, limit=2, cursor=first["next"])
    assert [each["id"] for each in rest["items"]] == [uuid("one")] and rest["next"] is None
    one = await ask(client, f"{path}/{uuid('one')}")
    assert (one["state"], one["severity"], one["records"]) == ("ongoing", "critical", 2)
    assert [each["id"] for each in one["anomalies"]] == [uuid("2"), uuid("1")]
    assert [each["id"] for each in one["notifications"]] == ["n1"] and one["actions"] == []
    for wrong in ({"open": "maybe"}, {"state": ""}, {"cursor": "x"}, {"cursor": "WzAsImEiXQ"}, {"range": "1y"}):
        async with client.get(path, params=wrong) as answer:
            assert answer.status == 400
    for unknown in ("x", uuid("unknown")):
        async with client.get(f"{path}/{unknown}") as answer:
            assert answer.status == 404


async def test_the_overview_counts_openings_where_they_were(client: Client, pool: asyncpg.Pool) -> None:
    now = datetime.now(UTC)
    found = [
        anomaly("1", detected_at=now - timedelta(minutes=5)),
        anomaly("2", detected_at=now - timedelta(minutes=5), severity="critical", incident="1"),
        anomaly("more", detected_at=now - timedelta(minutes=4), state="ongoing", incident="1"),
        score_change("lido", detected_at=now - timedelta(hours=20), severity="warning"),
        anomaly("week", detected_at=now - timedelta(days=3), severity="info"),
        anomaly("month", detected_at=now - timedelta(days=20), severity="info"),
        anomaly("older", detected_at=now - timedelta(days=40)),
    ]
    await Writer(pool).write(Rows(anomalies=[row(each, n) for n, each in enumerate(found)]))
    told = await ask(client, "/api/v1/overview")
    assert told["counts"] == {
        "24h": {"info": 0, "warning": 2, "critical": 1},
        "7d": {"info": 1, "warning": 2, "critical": 1},
        "30d": {"info": 2, "warning": 2, "critical": 1},
    }
    assert told["facets"]["severity"] == {"warning": 2, "critical": 1}
    assert told["facets"]["type"] == {"UnusualExecutionTime": 2, "SignificantScoreChange": 1}
    assert told["facets"]["state"] == {"ongoing": 2, "opened": 1}, "each opening by the state of its incident"
    nightly, lido = told["swimlane"]
    assert (nightly["entity"], nightly["worst"], nightly["count"]) == ("workflow:nightly", "critical", 2)
    assert nightly["entity_name"] == "Nightly" and lido["entity"] == "score:lido"
    begin = datetime.fromisoformat(told["from"])
    for lane, at in ((nightly, found[0].detected_at), (lido, found[3].detected_at)):
        expected = int((at - begin).total_seconds() // told["bucket_s"])
        assert [cell["bucket"] for cell in lane["cells"]] == [expected] and 0 <= expected < 24
    assert [each["id"] for each in told["latest"][2:]] == [uuid(name) for name in ("lido", "week", "month", "older")]
    assert told["unacknowledged"] == 5
    assert [sum(cell["count"] for cell in told["everything"]), told["entities"]] == [3, 2]
    assert [(cell["bucket"], cell["severity"]) for cell in told["everything"]] == [
        (lido["cells"][0]["bucket"], "warning"),
        (nightly["cells"][0]["bucket"], "critical"),
    ]
    month = await ask(client, "/api/v1/overview", range="30d", rows=1)
    assert (len(month["swimlane"]), month["entities"]) == (1, 2)
    assert sum(cell["count"] for cell in month["everything"]) == 5, "also of entities beyond the rows"
    for wrong in ({"range": "1y"}, {"rows": 0}, {"rows": 101}):
        async with client.get("/api/v1/overview", params=wrong) as answer:
            assert answer.status == 400


async def test_reads_go_on_while_the_detector_is_behind_and_health_says_so(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve()  # without a broker, by what is stored alone
    assert (await ask(client, "/api/v1/health"))["detector"] == "unknown"
    state = BaselineState(key="workflow:nightly", packed=b"x")
    await Writer(pool).write(Rows(executions=[row(completion("1"))], baselines=[row(state)]))
    health = await ask(client, "/api/v1/health")
    assert (health["status"], health["detector"], health["broker"]) == ("ok", "ok", "unset")
    await pool.execute("UPDATE recorder_progress SET baselines_at = now() - interval '2 minutes'")
    health = await ask(client, "/api/v1/health")
    assert (health["status"], health["detector"]) == ("degraded", "behind")
    assert "stale" in health["reasons"][0]
    # What is only sent again is no event that the detector would owe an answer to.
    await pool.execute("UPDATE recorder_progress SET events_at = now() - interval '2 minutes'")
    await Writer(pool).write(Rows(executions=[row(completion("1"))]))
    assert (await ask(client, "/api/v1/health"))["detector"] == "ok"


async def test_health_says_how_many_records_each_role_is_behind(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_detector.kafka.group_monitor.LOOK_EVERY_S", 0.05)

    async def behind() -> dict[str, int] | None:
        found: dict[str, int] | None = (await ask(client, "/api/v1/health"))["behind"]
        return found

    async def until(expected: dict[str, int]) -> None:
        deadline_s = asyncio.get_running_loop().time() + 30
        while await behind() != expected:
            assert asyncio.get_running_loop().time() < deadline_s, await behind()
            await asyncio.sleep(0.05)

    await until({"detector": 0, "recorder": 0, "notifier": 0})
    await client.app[BROKER].send([Record(COMPLETIONS, 0, b"nightly", b"{}")])
    await until({"detector": 1, "recorder": 1, "notifier": 0})


async def test_x3_a_role_without_a_process_is_away_and_a_channel_is_then_unknown(
    serve: Serve, pool: asyncpg.Pool, tansu: Tansu, make_settings: Callable[..., Settings]
) -> None:
    await make_topics(make_settings(broker=tansu.address))
    client = await serve(broker=tansu.address, slack_webhook_url="https://hooks.example.org/x")
    await Writer(pool).write(Rows(notifications=[row(notification("n1", channel="slack"))]))

    async def states() -> dict[str, str]:
        return {part["name"]: part["state"] for part in (await ask(client, "/api/v1/health"))["parts"]}

    expected = {"kafka": "ok", "postgresql": "ok", "detector": "away", "recorder": "away", "notifier": "away"}
    deadline_s = asyncio.get_running_loop().time() + 15
    while (found := await states()) != expected | {"slack": "unknown"}:
        assert asyncio.get_running_loop().time() < deadline_s, found
        await asyncio.sleep(0.1)
    health = await ask(client, "/api/v1/health")
    assert (health["status"], health["detector"]) == ("degraded", "away")
    assert "The recorder does not answer: its consumer group has no member" in health["reasons"]


async def test_x3_a_channel_goes_by_its_last_answer(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(slack_webhook_url="https://hooks.example.org/x")

    async def slack() -> tuple[str, str]:
        health = await ask(client, "/api/v1/health")
        (part,) = (part for part in health["parts"] if part["name"] == "slack")
        assert (part["state"] == "failing") == any("slack" in reason for reason in health["reasons"])
        return part["state"], part["reason"]

    assert await slack() == ("unknown", "")
    now, minutes = datetime.now(UTC), 30
    for number, (outcome, state) in enumerate(
        [("delivered", "ok"), ("retrying", "failing"), ("failed", "failing"), ("suppressed", "failing")]
    ):
        at = now - timedelta(minutes=minutes - 10 * number)
        found = notification(f"n{number}", channel="slack", outcome=outcome, at=at, reason=f"answer {number}")
        await Writer(pool).write(Rows(notifications=[row(found)]))
        assert (await slack())[0] == state
    assert await slack() == ("failing", "since 20 min, last answer 10 min ago: answer 2")
    await Writer(pool).write(Rows(notifications=[row(notification("n9", channel="slack", at=now))]))
    assert (await slack())[0] == "ok"
    await pool.execute("DELETE FROM notifications WHERE outcome = 'delivered'")
    await pool.execute("UPDATE notifications SET at = at - interval '2 days'")
    assert (await slack())[0] == "unknown", "what was known two days ago is not known now"


async def test_x13_a_channel_that_rests_is_shown_with_the_pause_that_it_asked_for(
    serve: Serve, pool: asyncpg.Pool
) -> None:
    client, notifier = await serve(slack_webhook_url="https://hooks.example.org/x"), Notifier(only("slack"))
    notifier.now_s = datetime.now(UTC).timestamp()
    notifier.take(slow("a")).deliver(RetryAfter(99_999_999.0, "Slack answered 429"))
    await Writer(pool).write(Rows(notifications=[row(one) for one in notifier.outcomes]))
    health = await ask(client, "/api/v1/health")
    (part,) = (part for part in health["parts"] if part["name"] == "slack")
    assert part["state"] == "failing"
    said = "Slack answered 429; it asked for a pause of 99,999,999 s, limited to 15 min; try 2 in 900 s"
    assert said in part["reason"] and any(said in reason for reason in health["reasons"])


async def test_x14_a_link_pressed_again_after_its_silence_was_lifted_changes_nothing(
    serve: Serve, tansu: Tansu, make_settings: Callable[..., Settings]
) -> None:
    await make_topics(make_settings(broker=tansu.address))
    key, expires_s = "k" * 40, int(datetime.now(UTC).timestamp()) + 60
    client = await serve(broker=tansu.address, secret_key=key)
    await wait_until(lambda: client.app[BROKER].state == "ok", "the API has its broker")
    hush = Link(purpose="silence", entity="workflow:nightly", channel="slack", about="Nightly", expires_s=expires_s)
    link = f"/links/{sign(key.encode(), hush)}"
    async with client.post(link) as answer:
        assert "Silenced for 24 h" in await answer.text()
    (silence,) = (await ask(client, "/api/v1/silences"))["items"]
    async with client.delete(f"/api/v1/silences/{silence['id']}") as answer:
        assert answer.status == 204, await answer.text()
    async with client.post(link) as answer:
        assert "Link already used" in await answer.text()
    assert (await ask(client, "/api/v1/silences"))["items"] == []
    values = [value for _, _, value in await published(client, tansu.address)]
    assert [value["kind"] for value in values] == ["silence", "silence"], "set and lifted"
    notifier = Notifier(only("slack"))
    # Another API, whose database was away, publishes it all the same.
    again = [values[0], values[1], {**values[0], "at": values[1]["at"], "until": None}]
    for value in again:
        notifier.take(decode_action(json.dumps(value).encode(), [], round(datetime.now(UTC).timestamp() * 1000)))
    assert stored_silences(notifier.state) == []


async def test_a_signed_link_of_a_message_acts_without_a_session(
    serve: Serve, pool: asyncpg.Pool, tansu: Tansu, make_settings: Callable[..., Settings]
) -> None:
    await make_topics(make_settings(broker=tansu.address))
    key = "k" * 40
    client = await serve(broker=tansu.address, secret_key=key, signed_in=False)
    await wait_until(lambda: client.app[BROKER].state == "ok", "the API has its broker")
    await Writer(pool).write(Rows(anomalies=[row(anomaly("a"))]))
    expires_s = datetime.now(UTC).timestamp() + 60
    link = sign(
        key.encode(),
        Link(
            purpose="acknowledge",
            incident_id=uuid("a"),
            entity="workflow:nightly",
            channel="email",
            about="Nightly",
            expires_s=int(expires_s),
        ),
    )
    async with client.get(f"/links/{link}") as answer:
        assert answer.status == 200
    assert await published(client, tansu.address) == []
    async with client.post(f"/links/{link}") as answer:
        assert answer.status == 200, await answer.text()
    assert [value["kind"] for _, _, value in await published(client, tansu.address)] == ["acknowledge"]
    assert await pool.fetchval("SELECT acknowledged_at IS NOT NULL FROM incidents")
