"""X30: what runs now, over HTTP: with its usual time, without what has ended, page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from stream_detector.store.rows import BaselineState, NamedValue, Rows
from stream_detector.store.write import Writer
from tests.events_made import anomaly, completion, row, start, uuid
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
    assert 1.5 <= first.pop("elapsed_ratio") < 1.7 and found["items"][2]["elapsed_ratio"] is None
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


async def test_x30_what_has_probably_ended_without_notice_is_counted_and_does_not_crowd_the_list(
    client: Client, pool: asyncpg.Pool
) -> None:
    """A cron job that is killed each night; one of 1 s whose end is on its way; one that may take a day; an unknown."""
    usual = {"execution_time": NamedValue(100.0, 9.5, 30)}
    await write(
        pool,
        starts=[
            *(start(f"killed {day}", started_at=ago(day * 86_400)) for day in range(1, 4)),
            start("now", started_at=ago(60)),
            start("quick", "poll", started_at=ago(600)),
            start("long", started_at=ago(86_400), limit_s=86_400.0),
            start("limited", "other", started_at=ago(1_000), limit_s=10.0),
            start("unknown", "other", started_at=ago(20 * 86_400)),
            start("killed variant", started_at=ago(86_400), variant="a b"),
        ],
        baselines=[
            BaselineState(key="workflow:nightly", packed=b"x", named=usual),
            BaselineState(key="workflow/a%20b:nightly", packed=b"x", named=usual),
            BaselineState(key="workflow:poll", packed=b"x", named={"execution_time": NamedValue(1.0, 0.0, 30)}),
        ],
    )
    found = await ask(client, RUNNING)
    assert [each["execution_id"] for each in found["items"]] == ["unknown", "long", "quick", "now"]
    assert found["probably_ended"] == 5 and not any(each["probably_ended"] for each in found["items"])
    ended = await ask(client, RUNNING, probably_ended="true", workflow="nightly")
    assert [each["execution_id"] for each in ended["items"]][:2] == ["killed 3", "killed 2"]
    assert ended["probably_ended"] == 4 and all(each["probably_ended"] for each in ended["items"])
    assert (await ask(client, RUNNING, workflow="nightly", variant="a b"))["probably_ended"] == 1
    lost = await ask(client, "/api/v1/why", execution="killed 2")
    assert "It has probably ended without notice" in " ".join(lost["sentences"])


async def test_x30_why_and_check_answer_of_an_execution_that_runs(client: Client, pool: asyncpg.Pool) -> None:
    """Before its end is stored; with what was found in it; an earlier attempt has ended."""
    usual = {"execution_time": NamedValue(600.0, 9.5, 30)}
    began = start("n-1", started_at=ago(900), limit_s=1200.0, workflow_name="Nightly", variant="schedule")
    stuck = anomaly("stuck", execution_id="n-2", detector="still_running", entity_id="weekly", gates=["limit 5 m"])
    await write(
        pool,
        starts=[began, start("n-2", "weekly", started_at=ago(60)), start("n-3", started_at=ago(60), attempt=2)],
        executions=[completion("n-3", attempt=1)],
        anomalies=[stuck],
        baselines=[BaselineState(key="workflow/schedule:nightly", packed=b"x", named=usual)],
    )
    why = await ask(client, "/api/v1/why", execution="n-1")
    assert (why["outcome"], why["anomalies"], why["computed_again"]) == ("running", [], False)
    assert why["subject"].startswith("Execution n-1 of Nightly (schedule) is running since ")
    assert (
        why["sentences"][2] == "It has run for 15 m; its workflow usually takes 10 m; limit 20 m, given with its start."
    )
    assert "attempt 2," in (await ask(client, "/api/v1/why", execution="n-3"))["subject"]
    unknown = await ask(client, "/api/v1/why", execution="n-2")
    assert [each["id"] for each in unknown["anomalies"]] == [stuck.id] and unknown["decisions"] == ["limit 5 m"]
    assert "has no usual duration yet; it has no limit" in unknown["sentences"][2]
    about = await ask(client, "/api/v1/why", anomaly=stuck.id)
    assert about["subject"].startswith("Execution n-2 of weekly is running since ")
    check = await client.post("/api/v1/ai/check-anomalies", json={"workflow_execution_id": "n-1"})
    assert check.status == 202 and "it is running since" in (await check.json())["detail"]
    check = await client.post("/api/v1/ai/check-anomalies", json={"workflow_execution_id": "n-2"})
    assert [each["id"] for each in await check.json()] == [stuck.id]


async def test_x31_why_of_a_missed_run_is_not_about_the_last_one_that_came(client: Client, pool: asyncpg.Pool) -> None:
    gate = "usually starts on weekdays 02:00 to 02:04 UTC; 31 of 31; due by 02:20"
    missed = anomaly("missed", anomaly_type="PatternDeviation", detector="missed_run", execution_id="1", gates=[gate])
    late = msgspec.structs.replace(
        missed, id=uuid("end"), state="resolved", severity="info", execution_id="2", end_reason="recovered"
    )
    await write(pool, executions=[completion("1"), completion("2")], anomalies=[missed, late])
    found = await ask(client, "/api/v1/why", anomaly=missed.id)
    assert (found["subject"], found["outcome"]) == ("A run of Nightly did not come.", "missed")
    assert f"Condition met: {gate}." in found["sentences"] and "The last one that came is 1." in found["sentences"]
    assert "Execution 2 of nightly ended" in (await ask(client, "/api/v1/why", anomaly=late.id))["subject"]
    check = await client.post("/api/v1/ai/check-anomalies", json={"workflow_execution_id": "1"})
    assert check.status == 503, "without a broker it is not known whether there is one; the missed run is none of it"
    check = await client.post("/api/v1/ai/check-anomalies", json={"workflow_execution_id": "2"})
    assert [each["id"] for each in await check.json()] == [late.id]
    of_last = await ask(client, "/api/v1/why", execution="1")
    assert of_last["anomalies"] == [] and any("After it, a run did not come: " in each for each in of_last["sentences"])
