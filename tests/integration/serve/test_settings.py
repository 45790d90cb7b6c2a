"""Effective settings, what others would have given, and the schemas."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from aiohttp.test_utils import TestClient

from stream_detector.events.times import epoch_ms
from stream_detector.settings import PREFIX, SPECS
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import completion, row, score
from tests.fixtures import API_TOKEN
from tests.integration.serve.conftest import Serve

Client = TestClient[Any, Any]


async def ask(client: Client, path: str, **query: Any) -> Any:
    async with client.get(f"/api/v1/{path}", params=query) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_every_setting_is_shown_and_no_secret(serve: Serve) -> None:
    client = await serve(slack_webhook_url="https://hooks.example/secret", secret_key="k" * 40)
    async with client.get("/api/v1/settings") as answer:
        text = await answer.text()
        found = {each["name"]: each for each in (await answer.json())["items"]}
    assert set(found) == {PREFIX + name.upper() for name in SPECS}
    assert found[PREFIX + "API_TOKEN"]["value"] == "(set)"
    assert "hooks.example" not in text and API_TOKEN not in text and "kkkk" not in text


async def test_a_preview_counts_what_would_have_been_sent(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(profile="classic")
    now = datetime.now(UTC)
    values = ["7.5", "7.1", "6.8", "6.0"]
    scores = [
        score("lido", value, run_id=f"r{n}", scored_at=now - timedelta(days=9 - n)) for n, value in enumerate(values)
    ]
    old = [score("old", value, run_id=f"r{n}", scored_at=now - timedelta(days=60 - n)) for n, value in enumerate("59")]
    failing = [completion(str(n), status="failure", finished_at=now - timedelta(hours=9 - n)) for n in range(4)]
    await Writer(pool).write(
        Rows(
            scores=[row(each, n) for n, each in enumerate([*scores, *old])],
            executions=[row(each, n) for n, each in enumerate(failing)],
        )
    )
    told = await ask(client, "settings/preview", score_threshold=0.25)
    assert told["events"] == 10 and told["whole"] is True and told["days"] == 30
    assert told["now"]["by_type"] == {"SignificantScoreChange": 1, "ConsecutiveFailures": 1}
    assert told["then"]["by_type"] == {"SignificantScoreChange": 3, "ConsecutiveFailures": 1}
    same = await ask(client, "settings/preview")
    assert same["now"] == same["then"]
    assert (await ask(client, "settings/preview", days=90))["now"]["alerts"] == 3
    for wrong in ({"score_threshold": 0}, {"score_threshold": "nan"}, {"profile": "bold"}, {"days": 91}):
        assert (await client.get("/api/v1/settings/preview", params=wrong)).status == 400
    assert await pool.fetchval("SELECT count(*) FROM anomalies") == 0


async def test_x31_a_preview_counts_runs_that_did_not_come_by_the_newest_event(
    serve: Serve, pool: asyncpg.Pool
) -> None:
    client, now = await serve(profile="robust"), datetime.now(UTC)
    ends = [(f"n{day}", "nightly", now - timedelta(days=22 - day)) for day in range(20)]
    ends += [(f"q{n}", "quarterly", now - timedelta(minutes=15 * n)) for n in range(3)]
    events = [completion(name, workflow_id, finished_at=at) for name, workflow_id, at in ends]
    rows = [row(each, n, record_ms=epoch_ms(each.finished_at)) for n, each in enumerate(events)]
    await Writer(pool).write(Rows(executions=rows))
    told = await ask(client, "settings/preview", profile="classic")
    assert told["now"]["by_type"] == {"PatternDeviation": 1} and told["then"]["alerts"] == 0
    assert (await ask(client, "settings/preview", days=1))["now"]["alerts"] == 0


async def test_the_schemas_are_served(client: Client) -> None:
    names = (await ask(client, "schemas"))["items"]
    assert "workflow-completion.v1.json" in names
    for name in names:
        assert (await ask(client, f"schemas/{name}"))["$schema"].endswith("2020-12/schema")
    assert (await client.get("/api/v1/schemas/none")).status == 404
