"""Pings over HTTP, with the real database and a broker: what is on the topic, and who may."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from stream_detector.devstack.tansu import Tansu
from stream_detector.kafka.create_topics import make_topics
from stream_detector.serve.app_keys import BROKER, DATABASE
from stream_detector.settings import Settings
from stream_detector.store import credentials
from tests.integration.serve.asking import Client
from tests.integration.serve.conftest import Serve
from tests.integration.serve.test_intake import on
from tests.servers.installation import wait_until

WORKFLOW = "nightly-backup"


@pytest.fixture
async def client(serve: Serve, tansu: Tansu, make_settings: Callable[..., Settings]) -> AsyncIterator[Client]:
    """The API with a broker that has our topics."""
    await make_topics(make_settings(broker=tansu.address))
    started = await serve(broker=tansu.address)
    await wait_until(lambda: started.app[BROKER].state == "ok", "the API has its broker")
    yield started


async def key_for(pool: asyncpg.Pool, workflow: str = WORKFLOW) -> tuple[str, UUID]:
    key, stored = await credentials.create_token(
        pool, name=workflow, role="producer", expires_at=None, workflow_id=workflow
    )
    return key, UUID(stored.id)


async def ping(client: Client, path: str, body: bytes | str = b"", status: int = 204, **query: str) -> str:
    """The execution's id, "" of a start or a refusal."""
    async with client.post(f"/ping/{path}", data=body, params=query) as answer:
        assert answer.status == status, await answer.text()
        return answer.headers.get("X-Execution-Id", "")


async def later(pool: asyncpg.Pool, seconds: float) -> None:
    """As if so much time had passed since what is stored."""
    moved = ", ".join(f"{name} = {name} - $1::interval" for name in ("started_at", "ended_at", "last_end_at"))
    await pool.execute(f"UPDATE ping_starts SET {moved}", timedelta(seconds=seconds))  # noqa: S608


async def published(client: Client, tansu: Tansu) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in await on(client, tansu.address, "workflow-completions")]


async def executions(client: Client, tansu: Tansu) -> list[dict[str, Any]]:
    """The ends."""
    return [each for each in await published(client, tansu) if "status" in each]


async def test_x24_a_start_and_an_end_are_one_execution_with_duration_and_excerpt(
    client: Client, pool: asyncpg.Pool, tansu: Tansu
) -> None:
    key, _ = await key_for(pool)
    assert await ping(client, f"{key}/start") == ""
    await later(pool, 90)
    output = "copying\n" * 4000 + "mysql://root:hunter2@db: access denied\r\n\x1b[31mfailed\x1b[0m\n"
    first = await ping(client, f"{key}/1", output)
    assert await ping(client, f"{key}/1", output) == first  # curl did not get the answer
    sent, again = await executions(client, tansu)
    assert (sent["execution_id"], sent["workflow_id"], sent["status"]) == (first, WORKFLOW, "failure")
    assert sent["duration_s"] == pytest.approx(90, abs=5) and again["duration_s"] == sent["duration_s"]
    lasted = datetime.fromisoformat(sent["finished_at"]) - datetime.fromisoformat(sent["started_at"])
    assert lasted.total_seconds() == pytest.approx(sent["duration_s"], abs=0.01)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(sent["finished_at"])) < timedelta(seconds=30)
    assert sent["excerpt"].endswith("copying\nmysql://root:***@db: access denied\nfailed")
    assert 9_900 < len(sent["excerpt"]) <= 10_000 and again["execution_id"] == first


@pytest.mark.parametrize(
    ("outcome", "status", "excerpt"),
    [
        ("", "success", None),
        ("/0", "success", None),
        ("/fail", "failure", None),
        ("/1", "failure", "Exit code 1"),
        ("/137", "failure", "Exit code 137"),
        ("/124", "timeout", "Exit code 124"),
        ("/130", "cancellation", "Exit code 130"),
        ("/143", "cancellation", "Exit code 143"),
        ("/-1073741510", "failure", "Exit code -1073741510"),
    ],
)
async def test_x24_each_form_of_an_end(
    client: Client, pool: asyncpg.Pool, tansu: Tansu, outcome: str, status: str, excerpt: str | None
) -> None:
    key, _ = await key_for(pool)
    await ping(client, f"{key}{outcome}", cb="17")  # a parameter that is not ours loses nothing
    (sent,) = await executions(client, tansu)
    assert (sent["status"], sent.get("excerpt"), sent["duration_s"]) == (status, excerpt, None)
    assert sent["started_at"] == sent["finished_at"]


async def test_x24_what_a_start_and_an_end_mean_when_one_is_lost_or_repeated(
    client: Client, serve: Serve, pool: asyncpg.Pool, tansu: Tansu
) -> None:
    key, _ = await key_for(pool)
    runs: list[tuple[str, float | None]] = []

    async def end(outcome: str = "", api: Client = client) -> str:
        own_id = await ping(api, key + outcome)
        runs.append((own_id, None))
        return own_id

    # 1. The start of the second run is lost: its end does not take that of the first.
    await ping(client, f"{key}/start")
    await later(pool, 20)
    first = await end()
    await later(pool, 3600)
    assert (second := await end()) != first
    # 2. A run dies without an end: the newest start counts. 3. That start is repeated 11 s later: it is the same.
    await ping(client, f"{key}/start")
    await later(pool, 5000)
    await ping(client, f"{key}/start")
    await later(pool, 11)
    await ping(client, f"{key}/start")
    await later(pool, 100)
    third = await end()
    # 4. `job && curl KEY || curl KEY/fail`, where the first curl did not get its answers: the first end counts.
    await later(pool, 26)
    assert await end() == third
    await later(pool, 26)
    assert await end("/fail") == third
    # 5. Another API takes the end, and both take it at once.
    other = await serve(broker=tansu.address)
    await wait_until(lambda: other.app[BROKER].state == "ok", "the other API has its broker")
    await ping(client, f"{key}/start")
    await later(pool, 40)
    fourth, same = await asyncio.gather(end("/3", client), end("/3", other))
    assert fourth == same not in (first, second, third)
    # Without any start: a repetition is the same end, another outcome or a minute later is another run.
    await later(pool, 60)
    fifth = await end()
    await later(pool, 26)
    assert await end() == fifth
    assert (sixth := await end("/fail")) != fifth
    await later(pool, 60)
    assert (seventh := await end("/fail")) != sixth
    sent = await executions(client, tansu)
    found = {each["execution_id"]: (each["status"], each["duration_s"]) for each in reversed(sent)}
    assert {each["execution_id"] for each in sent if each["status"] != found[each["execution_id"]][0]} == set()
    near = {
        own_id: (status, None if took is None else round(took / 10) * 10) for own_id, (status, took) in found.items()
    }
    assert near == {
        first: ("success", 20),
        second: ("success", None),
        third: ("success", 110),
        fourth: ("failure", 40),
        fifth: ("success", None),
        sixth: ("failure", None),
        seventh: ("failure", None),
    }


async def test_x24_a_client_that_identifies_its_runs_is_not_guessed_about(
    client: Client, pool: asyncpg.Pool, tansu: Tansu
) -> None:
    key, token_id = await key_for(pool)
    other, _ = await key_for(pool, "another")
    await ping(client, f"{key}/start", execution_id="a")
    await ping(client, f"{key}/start", execution_id="b")  # two at the same time, and no repetition
    await later(pool, 30)
    a = await ping(client, key, execution_id="a", duration_s="61.5")
    b = await ping(client, key, execution_id="b")
    await later(pool, 3000)
    assert await ping(client, key, execution_id="b") == b  # however late
    await ping(client, f"{key}/start", execution_id="b")  # a start that comes after its end begins nothing
    assert (await pool.fetchval("SELECT ended_at FROM ping_starts WHERE token_id = $1", token_id)) is not None
    foreign = await ping(client, other, execution_id="a")
    found = {each["execution_id"]: each["duration_s"] for each in await executions(client, tansu)}
    assert found == {a: 61.5, b: pytest.approx(30, abs=5), foreign: None} and len({a, b, foreign, "a", "b"}) == 5


async def test_x24_a_key_opens_nothing_else_and_ends_as_other_tokens(client: Client, pool: asyncpg.Pool) -> None:
    key, token_id = await key_for(pool)
    bearer = {"Authorization": f"Bearer {key}"}
    plain, _ = await credentials.create_token(pool, name="ci", role="producer", expires_at=None)
    for method, path in (("POST", "/api/v1/events"), ("GET", "/api/v1/session"), ("POST", "/api/v1/session")):
        async with client.request(method, path, headers=bearer, json={}) as answer:
            assert answer.status == 401
    for wrong in (plain, key[:-1], f"{key}x", "sd_ping_", "%00", "KEY"):
        await ping(client, f"{wrong}/start", status=401)
    await ping(client, f"{key}/start")
    (listed,) = [each for each in await credentials.tokens(pool) if each.workflow_id is not None]
    assert (listed.workflow_id, listed.role, listed.used_at is not None) == (WORKFLOW, "producer", True)
    await credentials.revoke_token(pool, token_id)
    await ping(client, f"{key}/start", status=401)
    key, _ = await key_for(pool)
    await pool.execute("UPDATE tokens SET expires_at = now() - interval '1 second'")
    await ping(client, key, status=401)


async def test_x24_what_is_no_ping_gets_the_four_forms_and_records_nothing(
    client: Client, pool: asyncpg.Pool, tansu: Tansu
) -> None:
    key, _ = await key_for(pool)
    for path in ("/failed", "/START", "/", "/1/2", "/0x1", "/start/", "/٣", "/1.0", "/99999999999"):
        async with client.post(f"/ping/{key}{path}") as answer:
            text = await answer.text()
            assert answer.status == 404, path
            assert all(
                form in text for form in ("/ping/KEY/start", "/ping/KEY when", "/ping/KEY/fail", "/ping/KEY/EXITCODE")
            )
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        for path in ("", "/start", "/fail", "/0", "/nothing"):
            async with client.request(method, f"/ping/{key}{path}") as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "POST"), (method, path)
                assert method == "HEAD" or "curl -fsS -X POST" in await answer.text()
    async with client.post(f"/ping/{key}", data=b"x" * (5 * 1024 * 1024 + 1)) as answer:
        assert answer.status == 413
    for wrong in ({"execution_id": ""}, {"execution_id": "a\x00"}):
        await ping(client, key, status=400, **wrong)
    assert await executions(client, tansu) == [] and await pool.fetchval("SELECT count(*) FROM ping_starts") == 0


async def test_x24_a_run_is_not_lost_for_a_duration_that_cannot_be_read(
    client: Client, pool: asyncpg.Pool, tansu: Tansu
) -> None:
    key, _ = await key_for(pool)
    given = ("", "-1", "nan", "1:30", "4e8")
    for duration_s in given:
        async with client.post(
            f"/ping/{key}", params={"duration_s": duration_s, "execution_id": "a" + duration_s}
        ) as answer:
            assert (answer.status, answer.headers["X-Left-Out"]) == (204, "duration_s"), duration_s
    async with client.post(f"/ping/{key}/start", params={"limit_s": "soon"}) as answer:
        assert (answer.status, answer.headers["X-Left-Out"]) == (204, "limit_s")
    ends = [each for each in await executions(client, tansu) if "status" in each]
    assert [each["duration_s"] for each in ends] == [None] * len(given)


async def test_x24_rate_limit_and_an_outage(
    serve: Serve, pool: asyncpg.Pool, capfd: pytest.CaptureFixture[str]
) -> None:
    key, _ = await key_for(pool)
    client = await serve(broker="127.0.0.1:1", intake_rate_limit=1)
    async with client.post(f"/ping/{key}") as answer:
        assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
    statuses = {(await client.post(f"/ping/{key}/start")).status for _ in range(12)}
    assert statuses == {204, 429}
    assert key not in "".join(capfd.readouterr())


async def test_x24_while_the_database_is_away_ends_are_accepted_and_starts_are_not(
    client: Client, pool: asyncpg.Pool, tansu: Tansu
) -> None:
    key, _ = await key_for(pool)
    await ping(client, f"{key}/start")
    held, client.app[DATABASE].pool = client.app[DATABASE].pool, None
    try:
        await ping(client, f"{key}/start", status=503)
        await ping(client, f"{(await key_for(pool))[0]}/fail", status=503)  # a key that is not known yet
        failed = await ping(client, f"{key}/fail", "disk full")
        own = await ping(client, f"{key}/fail", execution_id="a")
        assert await ping(client, f"{key}/fail", execution_id="a") == own
    finally:
        client.app[DATABASE].pool = held
    assert await ping(client, f"{key}/fail", execution_id="a") == own
    sent = await executions(client, tansu)
    assert {each["execution_id"]: each["duration_s"] for each in sent} == {failed: None, own: None}
    assert [each["excerpt"] for each in sent if each["execution_id"] == failed] == ["disk full"]


async def test_x30_a_start_is_published_under_the_id_of_its_end_and_a_repeated_one_is_the_same(
    client: Client, pool: asyncpg.Pool, tansu: Tansu
) -> None:
    key, _ = await key_for(pool)
    await ping(client, f"{key}/start", limit_s="3600")
    await later(pool, 11)
    await ping(client, f"{key}/start", limit_s="3600")
    await later(pool, 100)
    ended = await ping(client, key)
    first, again, end = await published(client, tansu)
    for each in (first, again):
        assert (each["state"], each["execution_id"], each["workflow_id"]) == ("started", ended, WORKFLOW)
        assert (each["limit_s"], each["source"]) == (3600.0, "api")
    began = [datetime.fromisoformat(each["started_at"]) for each in (first, again)]
    assert (began[0] - began[1]).total_seconds() == pytest.approx(11, abs=5)
    assert (end["execution_id"], end["source"]) == (ended, "api")


async def test_x30_a_start_that_comes_after_its_end_is_not_published(
    client: Client, pool: asyncpg.Pool, tansu: Tansu
) -> None:
    key, _ = await key_for(pool)
    await ping(client, key, execution_id="17")
    await ping(client, f"{key}/start", execution_id="17")
    assert ["status" in each for each in await published(client, tansu)] == [True]
    await ping(client, f"{key}/start", execution_id="18")
    start = (await published(client, tansu))[-1]
    assert start["execution_id"] == await ping(client, key, execution_id="18")
