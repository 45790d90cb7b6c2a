"""Explain why something was or was not notified; over HTTP and from a terminal."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient
from click.testing import CliRunner, Result

from stream_detector.cli import main
from stream_detector.detect import Baseline, Config, step
from stream_detector.devstack.tansu import Tansu
from stream_detector.events import Anomaly
from stream_detector.events.detector_settings import DetectorSettings
from stream_detector.kafka.create_topics import make_topics
from stream_detector.serve import judgement
from stream_detector.settings import Settings
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import NOON, action, anomaly, completion, notification, row, score, uuid
from tests.fixtures import API_TOKEN
from tests.integration.serve.conftest import Serve

Client = TestClient[Any, Any]


@pytest.fixture
async def client(
    serve: Serve, tansu: Tansu, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Client:
    """Profile classic, whose numbers can be worked out by hand. What is stored is of a former stream, so judged."""
    monkeypatch.setattr(judgement, "_WITHIN_S", 60.0)
    await make_topics(make_settings(broker=tansu.address))
    return await serve(profile="classic", broker=tansu.address)


async def ask(client: Client, **query: Any) -> Any:
    async with client.get("/api/v1/why", params=query) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


@pytest.fixture
async def slow(pool: asyncpg.Pool) -> list[Anomaly]:
    """Twelve usual executions, a slow one with its anomalies, a cancelled and a late one; messages about it."""
    usual = [completion(str(n), finished_at=NOON + timedelta(minutes=n), duration_s=100.0 + n % 3) for n in range(12)]
    slow = completion("slow", finished_at=NOON + timedelta(minutes=30), duration_s=300.0)
    cancelled = completion("cancelled", finished_at=NOON + timedelta(minutes=31), status="cancellation")
    late = completion("late", finished_at=NOON - timedelta(hours=5))
    baseline, found = Baseline.new("workflow:nightly"), list[Anomaly]()
    for event in [*usual, slow]:
        found += step(baseline, event, Config(profile="classic")).anomalies
    messages = [
        notification("n1", channel="slack", outcome="held", reason="5 messages in an hour", anomaly_id=found[0].id),
        notification("n2", anomaly_id=found[0].id, at=NOON + timedelta(minutes=31)),
        notification("n3", anomaly_id=uuid("another")),
    ]
    await Writer(pool).write(
        Rows(
            executions=[row(event, n) for n, event in enumerate([*usual, slow, cancelled, late])],
            anomalies=[row(each, n) for n, each in enumerate(found)],
            notifications=[row(each, n) for n, each in enumerate(messages)],
        )
    )
    return found


async def test_an_execution_has_every_decision_in_order_and_what_became_of_the_messages(
    client: Client, slow: list[Anomaly]
) -> None:
    told = await ask(client, execution="slow")
    assert told["outcome"] == "applied" and told["approximate"] is None and not told["computed_again"]
    assert {each["id"] for each in told["anomalies"]} == {each.id for each in slow}
    assert told["decisions"] == list(dict.fromkeys(gate for each in slow for gate in each.gates))
    assert all(f"Condition met: {gate}." in told["sentences"] for each in slow for gate in each.gates)
    assert [each["id"] for each in told["notifications"]] == ["n1", "n2"]
    assert "Execution slow of nightly ended" in told["sentences"][0]
    assert told["sentences"][-2].endswith("slack: held, 5 messages in an hour.")
    of_anomaly = await ask(client, anomaly=slow[0].id)
    assert [each["id"] for each in of_anomaly["anomalies"]] == [slow[0].id]
    assert of_anomaly["decisions"] == slow[0].gates
    assert any("rule unusual_execution_time in profile classic" in each for each in of_anomaly["sentences"])
    assert any(each.startswith("Values: current 300 s, baseline 101 s") for each in of_anomaly["sentences"])


async def test_w39_what_was_stored_is_told_under_other_settings_and_without_history(
    serve: Serve, client: Client, slow: list[Anomaly], pool: asyncpg.Pool, make_settings: Callable[..., Settings],
    tansu: Tansu,
) -> None:  # fmt: skip
    told = await ask(client, execution="slow")
    other = await serve(profile="robust", broker=tansu.address)
    assert await ask(other, execution="slow") == told
    await pool.execute("DELETE FROM executions WHERE execution_id <> 'slow'")
    assert await ask(other, execution="slow") == told


async def test_what_would_be_found_now_and_is_not_stored_is_said(
    client: Client, slow: list[Anomaly], pool: asyncpg.Pool
) -> None:
    await pool.execute("DELETE FROM anomalies")
    told = await ask(client, execution="slow")
    assert told["anomalies"] == [] and told["computed_again"]
    assert sum("the live detector did not store" in each for each in told["sentences"]) == len(slow)


async def delete(pool: asyncpg.Pool, *found: Anomaly) -> None:
    actions = [
        action(f"delete {one.id}", "delete_anomaly", anomaly_id=one.id, incident_id=one.incident_id, by="kim")
        for one in found
    ]
    assert await Writer(pool).write(Rows(actions=[row(each, n) for n, each in enumerate(actions)])) == []


async def test_w34_w39_a_deleted_anomaly_was_found_and_reported(
    client: Client, slow: list[Anomaly], pool: asyncpg.Pool
) -> None:
    before = await ask(client, execution="slow")
    assert before["deleted"] == [] and len(slow) == 2
    await delete(pool, slow[1])  # one of two
    told = await ask(client, execution="slow")
    assert [each["id"] for each in told["anomalies"]] == [slow[0].id]
    assert [(each["id"], each["by"]) for each in told["deleted"]] == [(slow[1].id, "kim")]
    await delete(pool, *slow)
    told = await ask(client, execution="slow")
    text = " ".join(told["sentences"])
    assert told["anomalies"] == [] and {each["id"] for each in told["deleted"]} == {each.id for each in slow}
    assert text.count("An anomaly was found, and deleted by an operator (kim) at ") == 2
    assert slow[0].description in text and "No anomaly was found" not in text and "would be" not in text
    assert [each["id"] for each in told["notifications"]] == ["n1", "n2"]
    assert "slack: held, 5 messages in an hour" in text and "not processed it yet" not in text
    # By its own id, where the link of the inbox leads; the API and `check` agree.
    own = await ask(client, anomaly=slow[0].id)
    assert [each["id"] for each in own["notifications"]] == ["n1", "n2"] and own["deleted"][0]["by"] == "kim"
    assert "It was evaluated" not in " ".join(own["sentences"])
    async with client.get(f"/api/v1/ai/anomalies/{slow[0].id}") as answer:
        problem = await answer.json()
        assert answer.status == 404 and "deleted by an operator (kim) at 20" in problem["detail"]
        assert problem["deleted_at"]
    async with client.get(f"/api/v1/ai/anomalies/{uuid('never')}") as answer:
        assert answer.status == 404 and "deleted_at" not in await answer.json()
    async with client.post("/api/v1/ai/check-anomalies", json={"workflow_execution_id": "slow"}) as answer:
        assert await answer.json() == []
        assert set(answer.headers["X-Deleted-Anomalies"].split(", ")) == {each.id for each in slow}
    async with client.post("/api/v1/ai/check-anomalies", json={"workflow_execution_id": "11"}) as answer:
        assert await answer.json() == [] and "X-Deleted-Anomalies" not in answer.headers


async def test_w34_w39_a_deleted_anomaly_of_a_score_or_with_a_subject_is_found(
    client: Client, pool: asyncpg.Pool
) -> None:
    scores = [score("lido", value, run_id=run) for value, run in (("7.5", "r1"), ("5.8", "r2"))]
    baseline, found = Baseline.new("score:lido"), list[Anomaly]()
    for each in scores:
        found += step(baseline, each, Config(profile="classic")).anomalies
    assert len(found) == 1
    await Writer(pool).write(Rows(scores=[row(each, n) for n, each in enumerate(scores)], anomalies=[row(found[0])]))
    await delete(pool, *found)
    told = await ask(client, score="lido", run="r2")
    assert [each["id"] for each in told["deleted"]] == [found[0].id] and told["anomalies"] == []
    assert (await ask(client, score="lido", run="r1"))["deleted"] == []


async def test_what_was_not_alerted_says_why(client: Client, slow: list[Anomaly]) -> None:
    normal = await ask(client, execution="11")
    assert normal["anomalies"] == [] and normal["sentences"][-1].startswith("No anomaly was found")
    assert normal["decisions"] and normal["computed_again"]
    assert any("Computed again" in each and "profile classic" in each for each in normal["sentences"])
    assert (await ask(client, execution="cancelled"))["outcome"] == "ignored"
    assert (await ask(client, execution="late"))["outcome"] == "late"


async def test_a_score_is_told_by_its_entity_and_run(client: Client, pool: asyncpg.Pool) -> None:
    scores = [score("lido", value, run_id=run) for value, run in (("7.5", "r1"), ("5.8", "r2"))]
    await Writer(pool).write(Rows(scores=[row(each, n) for n, each in enumerate(scores)]))
    first = await ask(client, score="lido", run="r1")
    assert first["decisions"] == ["no previous score: a first score is never an anomaly"]
    found = step_of(scores)
    messages = [
        notification("of the run", channel="slack", run_id="r2"),
        notification("its own", anomaly_id=found.id, run_id="r2", at=NOON + timedelta(minutes=31)),
        notification("another's", anomaly_id=uuid("another"), run_id="r2"),
    ]
    await Writer(pool).write(Rows(anomalies=[row(found)], notifications=[row(each) for each in messages]))
    told = await ask(client, anomaly=found.id)
    assert [each["id"] for each in told["notifications"]] == ["of the run", "its own"]
    assert told["anomalies"][0]["metrics"]["deviation"] == -1.7
    assert told["decisions"] == found.gates
    assert (await ask(client, score="lido", run="r2"))["decisions"] == found.gates


@pytest.mark.parametrize("entity_type", [None, "dao"])
async def test_w39_the_message_of_a_score_without_a_run_is_named(
    client: Client, pool: asyncpg.Pool, entity_type: str | None
) -> None:
    """Its Slack message is that of its minute, which holds no id of the anomaly."""
    kind = entity_type or ""
    late = NOON + timedelta(seconds=59)
    scores = [score("lido", value, scored_at=at, entity_type=kind or None) for value, at in (("7", NOON), ("5", late))]
    found = step_of(scores)
    window = f"window~{kind}~{NOON:%Y-%m-%dT%H:%MZ}"
    messages = [
        notification("n1", anomaly_id=found.id),
        notification("n2", channel="slack", run_id=window),
        notification("n3", channel="slack", run_id=f"window~other~{NOON:%Y-%m-%dT%H:%MZ}"),
        notification("n4", channel="slack", run_id=f"window~{kind}~{NOON + timedelta(minutes=1):%Y-%m-%dT%H:%MZ}"),
    ]
    await Writer(pool).write(
        Rows(
            scores=[row(each, n) for n, each in enumerate(scores)],
            anomalies=[row(found, 0)],
            notifications=[row(each, n) for n, each in enumerate(messages)],
        )
    )
    told = await ask(client, anomaly=found.id)
    assert [each["id"] for each in told["notifications"]] == ["n1", "n2"]
    assert any("slack: delivered" in each for each in told["sentences"])


async def test_w39_a_drift_of_a_score_is_not_in_the_message_of_its_minute(client: Client, pool: asyncpg.Pool) -> None:
    drift = anomaly("drift", anomaly_type="PatternDeviation", entity_id="lido", entity_kind="score", detected_at=NOON)
    messages = [
        notification("n1", anomaly_id=drift.id),
        notification("n2", channel="slack", run_id=f"window~~{NOON:%Y-%m-%dT%H:%MZ}"),
    ]
    stored = Rows(
        scores=[row(score("lido"), 0)],
        anomalies=[row(drift, 0)],
        notifications=[row(each, n) for n, each in enumerate(messages)],
    )
    await Writer(pool).write(stored)
    assert [each["id"] for each in (await ask(client, anomaly=drift.id))["notifications"]] == ["n1"]


def step_of(scores: list[Any]) -> Anomaly:
    baseline = Baseline.new("score:lido")
    return next(found for each in scores for found in step(baseline, each, Config()).anomalies)


async def test_an_anomaly_whose_execution_is_gone_says_what_it_carries(client: Client, pool: asyncpg.Pool) -> None:
    await Writer(pool).write(Rows(anomalies=[row(anomaly("a"))]))
    told = await ask(client, anomaly=uuid("a"))
    assert told["decisions"] == anomaly("a").gates and "no longer stored" in told["approximate"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"execution": "a", "anomaly": "b"}, 400),
        ({"score": "lido"}, 400),
        ({"execution": "unknown"}, 404),
        ({"anomaly": "unknown"}, 404),
        ({"anomaly": uuid("unknown")}, 404),
        ({"score": "unknown", "run": "r"}, 404),
        ({"execution": "a", "attempt": 0}, 400),
    ],
    ids=repr,
)
async def test_a_question_that_cannot_be_answered(client: Client, query: dict[str, Any], status: int) -> None:
    assert (await client.get("/api/v1/why", params=query)).status == status


async def run(client: Client, *words: str) -> Result:
    """The program in a thread of its own, so that the server can answer it."""
    env = {"STREAM_DETECTOR_API_PORT": str(client.port), "STREAM_DETECTOR_API_TOKEN": API_TOKEN}
    return await asyncio.to_thread(CliRunner().invoke, main, list(words), env=env)


async def test_the_terminal_says_the_same(client: Client, slow: list[Anomaly]) -> None:
    found = await run(client, "check", "slow")
    assert found.exit_code == 1 and slow[0].id in found.output
    assert json.loads((await run(client, "check", "slow", "--json")).stdout)[0]["id"] == slow[0].id
    usual = await run(client, "check", "11")
    assert (usual.exit_code, usual.output) == (0, "11: no anomalies\n")
    assert (await run(client, "check", "unknown")).exit_code == 1
    told = await run(client, "why", "slow")
    assert told.exit_code == 0 and told.stdout.splitlines() == (await ask(client, execution="slow"))["sentences"]
    assert slow[0].description in (await run(client, "why", slow[0].id)).stdout
    unknown = await run(client, "why", uuid("unknown"))
    assert unknown.exit_code == 1 and "no anomaly and no execution" in unknown.output
    listed = await run(client, "anomalies", "--hours", "87600")
    assert listed.stdout.count(slow[0].id) == 1 and "nightly" in listed.stdout
    assert "no anomalies in the last 24 hours" in (await run(client, "anomalies")).output
    refused = await run(client, "anomalies", "--api-port", "1")
    assert refused.exit_code == 1 and "does not answer" in refused.output


async def test_x12_anomalies_of_a_later_version_are_listed_by_their_type_and_severity(
    client: Client, pool: asyncpg.Pool
) -> None:
    later = anomaly("later", anomaly_type="QueueGrowth", severity="urgent")
    assert await Writer(pool).write(Rows(anomalies=[row(later, 0)])) == []
    listed = await run(client, "anomalies", "--hours", "87600", "--type", "QueueGrowth", "--severity", "urgent")
    assert listed.exit_code == 0 and later.id in listed.stdout
    none = await run(client, "anomalies", "--type", "PaternDeviation", "--severity", "warning")
    assert none.stderr == "no anomalies in the last 24 hours; not known to this version: PaternDeviation\n"


async def store_revisions(pool: asyncpg.Pool, *given: tuple[str, int]) -> None:
    """Revisions from 1 on: (profile, the offset of partition 0 from which it holds)."""
    made = [
        DetectorSettings(
            schema_version=1, kind="in_force", revision=number, settings={"profile": profile},
            offsets={"workflow-completions": {0: offset}}, at=NOON,
        )
        for number, (profile, offset) in enumerate(given, 1)
    ]  # fmt: skip
    assert await Writer(pool).write(Rows(settings=[row(each, n) for n, each in enumerate(made)])) == []


async def test_w39_what_is_computed_again_is_under_the_settings_that_were_in_force_at_its_offset(
    client: Client, slow: list[Anomaly], pool: asyncpg.Pool
) -> None:
    before = await ask(client, execution="11")
    assert any("the detector had published none by then" in each for each in before["sentences"])
    await store_revisions(pool, ("robust", 3), ("classic", 13))
    told = {name: await ask(client, execution=name) for name in ("1", "11", "cancelled")}
    assert any("settings of the API" in each for each in told["1"]["sentences"])
    assert any("revision 1, profile robust" in each for each in told["11"]["sentences"])
    assert any("revision 2, profile classic" in each for each in told["cancelled"]["sentences"])
    assert told["11"]["decisions"] != before["decisions"]
    assert all(each["computed_again"] for each in told.values())


async def test_w39_a_revision_that_no_event_was_judged_under_changes_nothing(
    client: Client, slow: list[Anomaly], pool: asyncpg.Pool
) -> None:
    await store_revisions(pool, ("classic", 0), ("robust", 5), ("classic", 5))
    assert any("revision 3, profile classic" in each for each in (await ask(client, execution="11"))["sentences"])
    assert any("revision 1, profile classic" in each for each in (await ask(client, execution="4"))["sentences"])


async def test_w39_charts_and_the_settings_page_have_the_settings_of_the_detector(
    serve: Serve, client: Client, slow: list[Anomaly], pool: asyncpg.Pool
) -> None:
    """The profile of the API alone does not matter any more."""
    await store_revisions(pool, ("classic", 0))
    other = await serve(profile="robust")
    answers = []
    for each in (client, other):
        async with each.get("/api/v1/series", params={"entity": "workflow:nightly"}) as answer:
            answers.append(await answer.json())
    assert answers[0] == answers[1] and any(point["anomalous"] for point in answers[0]["points"])
    async with other.get("/api/v1/settings") as answer:
        shown = {each["name"]: each for each in (await answer.json())["items"]}
    profile = shown["STREAM_DETECTOR_PROFILE"]
    assert (profile["value"], profile["origin"]) == ("classic", "detector")
    assert shown["STREAM_DETECTOR_SCORE_THRESHOLD"]["origin"] == "default"
