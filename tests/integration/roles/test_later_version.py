"""X12: what a detector of a later version writes, seen by today's recorder, notifier and API, as processes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from stream_detector.delivery.repartition import Origin
from stream_detector.delivery.state import changelog_record
from stream_detector.devstack.ports import free_port
from stream_detector.devstack.tansu import Tansu
from stream_detector.events.dead_letter import read_dead_letter
from stream_detector.events.encode import encode
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import (
    ALERTS,
    BASELINES,
    DEAD_LETTERS,
    NOTIFICATIONS,
    NOTIFIER_IN,
    RUN_SUMMARIES,
)
from tests.drills.roles import Role
from tests.drills.stage import Play, until
from tests.events_made import anomaly, notification
from tests.fixtures import API_TOKEN
from tests.servers.slack import SlackServer, slack

__all__ = ["slack"]
WORDS = {"anomaly_type": "memory_leak", "severity": "urgent", "state": "snoozed", "profile": "next"}
LIST = "/api/v1/ai/anomalies"


def later(name: str, **changes: Any) -> bytes:
    """An anomaly of a later version: its words, and a field that nobody knows today."""
    found = json.loads(encode(anomaly(name))) | WORDS | {"a_field_of_later": {"depth": 3}} | changes
    return json.dumps(found).encode()


@pytest.fixture
def broker(tansu: Tansu) -> Tansu:
    """What is tested lies on our side of it: one kind is enough."""
    return tansu


@dataclass
class Running:
    play: Play
    roles: list[Role]
    get: Callable[..., Awaitable[Any]]

    async def settled(self) -> None:
        """Recorder and notifier have read everything."""
        await self.play.drained("recorder", "notifier", alive=lambda: all(role.alive for role in self.roles))


@pytest.fixture
async def running(play: Play, pool: asyncpg.Pool, postgres_url: str, slack: SlackServer) -> AsyncIterator[Running]:
    """Recorder, notifier and API, each a process."""
    port = free_port()
    play.settings = replace(
        play.settings, database_url=postgres_url, api_port=port, api_token=API_TOKEN, slack_webhook_url=slack.url
    )
    roles = [play.start(name) for name in ("recorder", "notifier", "api")]
    headers = {"Authorization": f"Bearer {API_TOKEN}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:

        async def get(path: str, **query: str) -> Any:
            async with session.get(path, params=query) as answer:
                assert answer.status == 200, await answer.text()
                return await answer.json()

        async def up() -> bool:
            return all(await asyncio.gather(*(asyncio.to_thread(lambda role=role: role.ready) for role in roles)))

        await until(up, "the roles", play.last_words)
        yield Running(play, roles, get)


async def test_x12_words_of_a_later_version_are_stored_listed_filtered_shown_and_sent(
    running: Running, producer: AIOKafkaProducer, pool: asyncpg.Pool, slack: SlackServer
) -> None:
    play, get = running.play, running.get
    await producer.send_and_wait(play.settings.topic(ALERTS), later("new"), partition=0)

    def notified() -> Any:
        return [each for each in slack.accepted if "memory_leak" in json.dumps(each)]

    async def is_notified() -> bool:
        return bool(notified())

    await until(is_notified, "the message", play.last_words)
    assert "Urgent: Memory leak in Nightly" in notified()[0]["text"] and "snoozed" in json.dumps(notified()[0])
    await producer.send_and_wait(play.settings.topic(ALERTS), encode(anomaly("today")), partition=0)
    await running.settled()
    assert not [record async for record in read_topic(play.settings, DEAD_LETTERS)]
    known = anomaly("new")
    shown = await get(f"{LIST}/{known.id}")
    assert {name: shown[name] for name in WORDS} == WORDS
    assert shown["a_field_of_later"] == {"depth": 3} and shown["recorded_at"]
    for query in ({}, {"type": "memory_leak"}, {"severity": "urgent"}, {"state": "snoozed"}):
        items = (await get(LIST, **query))["items"]
        assert known.id in [each["id"] for each in items] and len(items) == (1 if query else 2), query
        assert next(each for each in items if each["id"] == known.id)["a_field_of_later"] == {"depth": 3}
    assert (await get(LIST, type="not_there_yet"))["items"] == []
    facets = await get(f"{LIST}/facets")
    assert (facets["type"]["memory_leak"], facets["severity"]["urgent"], facets["state"]["snoozed"]) == (1, 1, 1)
    incident = await get(f"/api/v1/incidents/{known.incident_id}")
    assert (incident["severity"], incident["state"], incident["profile"]) == ("urgent", "snoozed", "next")
    assert incident["anomalies"][0]["a_field_of_later"] == {"depth": 3}

    async def messages() -> bool:
        inbox = await get("/api/v1/inbox", severity="urgent")
        return [each["anomaly_id"] for each in inbox["items"]] == [known.id]

    await until(messages, "the inbox", play.last_words)
    assert (await get("/api/v1/why", anomaly=known.id))["anomalies"][0]["severity"] == "urgent"
    assert (await get("/api/v1/overview"))["pipeline"]["database"] == "ok"


@pytest.mark.drill
async def test_x12_openings_of_an_unknown_severity_count_and_lead_the_overview(
    running: Running, producer: AIOKafkaProducer, pool: asyncpg.Pool
) -> None:
    now = (await pool.fetchval("SELECT now()")).isoformat()
    values = [later("a", state="opened", detected_at=now, entity_id="one")]
    values.append(later("b", state="opened", severity="critical", detected_at=now, entity_id="two"))
    values.append(later("c", state="ongoing", severity="critical", detected_at=now, incident_id=anomaly("a").id))
    for value in values:
        await producer.send_and_wait(running.play.settings.topic(ALERTS), value, partition=0)
    await running.settled()
    overview = await running.get("/api/v1/overview")
    assert overview["counts"]["24h"] == {"info": 0, "warning": 0, "critical": 1, "urgent": 1}
    assert [(lane["entity_id"], lane["worst"]) for lane in overview["swimlane"]] == [
        ("one", "urgent"),
        ("two", "critical"),
    ]
    assert [cell["severity"] for cell in overview["everything"]] == ["urgent"]
    trends = await running.get(f"{LIST}/trends", range="24h")
    assert trends["by_type"]["memory_leak"] == 2 and trends["by_severity"]["urgent"] == 1
    incident = await running.get(f"/api/v1/incidents/{anomaly('a').id}")
    assert (incident["severity"], incident["state"], incident["records"]) == ("urgent", "ongoing", 2)


async def test_x12_what_cannot_be_stored_is_on_dead_letters_with_its_reason(
    running: Running, producer: AIOKafkaProducer, pool: asyncpg.Pool, slack: SlackServer
) -> None:
    topic = running.play.settings.topic
    refused: list[tuple[str, bytes | None, str]] = [
        (ALERTS, later("nul", description="a\x00b"), "nul_character"),
        (ALERTS, later("long", entity_id="x" * 257), "too_long"),
        (ALERTS, later("v2", schema_version=2), "unknown_value"),
        (ALERTS, later("id", id="not a uuid"), "rejected_by_store"),
        (ALERTS, b"\xff\xfe", "not_utf8"),
        (ALERTS, None, "null_value"),
        (RUN_SUMMARIES, b"{}", "missing_field"),
        (NOTIFICATIONS, b"[]", "wrong_type"),
    ]
    for name, value, _ in refused:
        await producer.send_and_wait(topic(name), value, key=b"k", partition=0)
    await producer.send_and_wait(topic(BASELINES), b"\x09 of later", key=b"\xff", partition=0)
    await producer.send_and_wait(topic(ALERTS), encode(anomaly("after")), partition=0)
    await running.settled()
    letters = [record async for record in read_topic(running.play.settings, DEAD_LETTERS)]
    found = {(read_dead_letter(record.headers).topic, record.value): record for record in letters}
    assert {(*key, read_dead_letter(record.headers).reason) for key, record in found.items()} == {
        *refused,
        (BASELINES, b"\x09 of later", "not_utf8"),
    }
    assert await pool.fetchval("SELECT count(*) FROM anomalies") == 1
    (notifier,) = [role for role in running.roles if role.name == "notifier"]
    ignored = [line for line in notifier.child.last_lines(40).splitlines() if " ignored alerts-0@" in line]
    assert len(ignored) == 5, "what the notifier cannot read it logs too: there may be no recorder"
    listed = await running.get("/api/v1/dead-letters", reason="nul_character")
    assert [each["topic"] for each in listed["items"]] == [topic(ALERTS)] or listed["items"][0]["topic"] == ALERTS
    assert (await running.get("/api/v1/dead-letters", reason="a_reason_of_later"))["items"] == []


@pytest.mark.drill
async def test_x12_a_baseline_in_a_layout_of_later_is_stored_as_it_is(
    running: Running, producer: AIOKafkaProducer, pool: asyncpg.Pool
) -> None:
    name = running.play.settings.topic(BASELINES)
    newer = changelog_record.encode_header(1, {}) + b"\xfa a layout of later"
    await producer.send_and_wait(name, newer, key=b"workflow:nightly", partition=0)
    await producer.send_and_wait(name, b"\x09 a frame of later", key=b"pipeline:x", partition=0)
    await running.settled()
    rows = await pool.fetch("SELECT key, state, packed FROM baselines ORDER BY key")
    assert [tuple(row) for row in rows] == [
        ("pipeline:x", "unknown", b"\x09 a frame of later"),
        ("workflow:nightly", "unknown", newer),
    ]
    (listed,) = (await running.get("/api/v1/workflows"))["items"]
    assert (listed["state"], listed["baselines"]) == ("unknown", {})


@pytest.mark.drill
async def test_x12_a_notification_with_words_of_later_is_stored_with_all_its_fields(
    running: Running, producer: AIOKafkaProducer, pool: asyncpg.Pool
) -> None:
    value = json.loads(encode(notification("n", severity="warning"))) | {"severity": "urgent", "later": [1]}
    await producer.send_and_wait(
        running.play.settings.topic(NOTIFICATIONS), json.dumps(value, indent=1).encode(), partition=0
    )
    await producer.send_and_wait(running.play.settings.topic(NOTIFIER_IN), b"from elsewhere", partition=0)
    later_origin = [Origin("a-topic-of-later", 0, 7, 0).header()]
    await producer.send_and_wait(running.play.settings.topic(NOTIFIER_IN), b"{}", partition=0, headers=later_origin)
    await running.settled()
    (shown,) = (await running.get("/api/v1/inbox"))["items"]
    assert (shown["severity"], shown["later"], shown["read"]) == ("urgent", [1], False)
    (notifier,) = [role for role in running.roles if role.name == "notifier"]
    for offset in (0, 1):
        assert f"ignored notifier-in-0@{offset}: it was not written by a notifier" in notifier.child.last_lines(20)
