"""X2: a restart of `up` with the embedded broker: after a stop in order, after SIGKILL of everything at once, and after
one of the broker alone, which then holds nothing."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from stream_detector.kafka.end_offsets import EndOffsets, total_lag
from stream_detector.kafka.topics import COMPLETIONS, SCORE_RUNS, SCORES
from stream_detector.settings import Settings
from tests.drills.stage import until
from tests.e2e.test_up import Up
from tests.servers.slack import SlackServer

NOW = datetime.now(UTC).replace(microsecond=0)
SILENCED, BROKEN = "silenced", "broken"


DUE = "SELECT DISTINCT anomaly_id FROM notifications WHERE channel = 'slack' AND outcome = 'retrying'"
SENT = "SELECT DISTINCT anomaly_id FROM notifications WHERE channel = 'slack' AND outcome = 'delivered'"


class Installation:
    """`up` on one folder, started again and again."""

    def __init__(self, folder: Path, slack: SlackServer) -> None:
        self.folder, self.slack = folder, slack
        self.up: Up

    async def start(self) -> None:
        more = {"STREAM_DETECTOR_SLACK_WEBHOOK_URL": self.slack.url, "STREAM_DETECTOR_GROUP_WAIT_S": "0"}
        self.up = Up(self.folder, more=more)
        await asyncio.to_thread(self.up.wait_for, "press Ctrl-C")

    async def end_and_start(self, how: str) -> None:
        if how == "broker":
            (broker,) = [pid for pid, command in self.up.children().items() if "tansu" in command]
            os.kill(broker, signal.SIGKILL)
            await asyncio.to_thread(self.up.wait_for, "restored from the database")
            self.slack.forget_plans()
            return
        if how == "stop":
            assert await asyncio.to_thread(self.up.end) == 0, self.up.said
        else:
            assert await asyncio.to_thread(self.up.end, signal.SIGKILL) == -signal.SIGKILL
        assert not self.slack.accepted
        self.slack.forget_plans()
        await self.start()

    @property
    def running(self) -> dict[str, str]:
        return dict(json.loads((self.folder / "running.json").read_text()))

    async def put(self, topic: str, key: str, *events: dict[str, Any]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.running["broker"], acks="all")
        await producer.start()
        for event in events:
            await producer.send(topic, json.dumps(event).encode(), key=str(event[key]).encode())
        await producer.stop()

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        connection = await asyncpg.connect(self.running["database_url"])
        try:
            return [dict(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def post(self, path: str, body: dict[str, Any]) -> None:
        url = f"http://127.0.0.1:{self.up.api_port}/api/v1/{path}"
        headers = {"Authorization": f"Bearer {self.running['api_token']}"}
        async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as answer:
            assert answer.status < 300, await answer.text()

    async def at_rest(self) -> None:
        """Everything that was published is processed, and stored."""
        async with EndOffsets(Settings(broker=self.running["broker"])) as ends:

            async def done() -> bool:
                return not total_lag(await ends.lags())

            await until(done, "rest")

    async def incidents_of(self, entity: str) -> dict[str, bool]:
        """Incident -> whether it is acknowledged."""
        rows = await self.rows("SELECT id, acknowledged_at FROM incidents WHERE entity_id = $1", entity)
        return {str(row["id"]): row["acknowledged_at"] is not None for row in rows}

    async def until_stored(self, query: str, count: int = 1, *values: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []

        async def done() -> bool:
            found[:] = await self.rows(query, *values)
            return len(found) >= count

        await until(done, f"{count} rows of {query}")
        return found


@pytest.fixture
async def installation(open_folder: Path, slack: SlackServer) -> AsyncIterator[Installation]:
    made = Installation(open_folder, slack)
    await made.start()
    yield made
    if made.up.process.poll() is None:
        made.up.process.kill()
    made.up.process.communicate()


def execution(
    workflow: str, number: int, duration_s: float, minutes_ago: float, status: str = "success"
) -> dict[str, Any]:
    ended = NOW - timedelta(minutes=minutes_ago)
    return {
        "execution_id": f"{workflow}-{number}",
        "workflow_id": workflow,
        "status": status,
        "started_at": (ended - timedelta(seconds=duration_s)).isoformat(),
        "finished_at": ended.isoformat(),
        "duration_s": duration_s,
    }


def score(entity: str, run: str, value: float, minutes_ago: float, kind: str = "dao") -> dict[str, Any]:
    at = (NOW - timedelta(minutes=minutes_ago)).isoformat()
    return {
        "entity_id": entity, "entity_name": entity.title(), "score": value, "scored_at": at, "run_id": run,
        "entity_type": kind,
    }  # fmt: skip


def run_event(run: str, status: str, minutes_ago: float, expected: int) -> dict[str, Any]:
    at = (NOW - timedelta(minutes=minutes_ago)).isoformat()
    return {"run_id": run, "status": status, "at": at, "expected": expected}


async def make_state(on: Installation) -> tuple[set[str], set[str]]:
    """Everything that must be what it was. Returns the ids of the open incidents, which somebody has acknowledged, and
    the anomalies whose messages are due."""
    members = ("lido", "aave", "ens")
    await on.put(SCORE_RUNS, "run_id", run_event("before", "started", 300, 3))
    await on.put(SCORES, "entity_id", *(score(entity, "before", 6.2, 299) for entity in members))
    await on.put(SCORE_RUNS, "run_id", run_event("before", "completed", 298, 3))
    await on.put(SCORE_RUNS, "run_id", run_event("open", "started", 3, 4))
    await on.put(SCORES, "entity_id", *(score(f"poll{n}", "open", 5.0, 2, "poll") for n in range(2)))
    for workflow in ("nightly", SILENCED):
        runs = [execution(workflow, n, 100.0 + n % 3, 5_000 - 60 * n) for n in range(45)]
        await on.put(COMPLETIONS, "workflow_id", *runs)
    fails = [execution(BROKEN, n, 50.0 + n % 3, 5_000 - 60 * n) for n in range(40)]
    fails += [execution(BROKEN, 40 + n, 50.0, 100 - n, "failure") for n in range(6)]
    await on.put(COMPLETIONS, "workflow_id", *fails)
    await on.post("silences", {"entity": f"workflow:{SILENCED}", "for_s": 86_400})
    await on.until_stored("SELECT 1 FROM incidents WHERE entity_id = $1 AND state <> 'resolved'", 1, BROKEN)
    await on.at_rest()
    incidents = await on.incidents_of(BROKEN)
    await on.until_stored(DUE, 1)
    await on.post("actions", {"kind": "acknowledge", "incident_ids": sorted(incidents)})
    await on.at_rest()
    return set(incidents), {row["anomaly_id"] for row in await on.rows(DUE)}


async def after_restart(on: Installation) -> None:
    """What judges the restored state."""
    await on.put(SCORE_RUNS, "run_id", run_event("after", "started", 1, 2))
    await on.put(SCORES, "entity_id", score("lido", "after", 3.0, 0.9), score("aave", "after", 6.2, 0.9))
    await on.put(SCORES, "entity_id", *(score(f"poll{n}", "open", 5.0, 0.8, "poll") for n in (2, 3)))
    await on.until_stored("SELECT 1 FROM scores WHERE run_id IN ('after', 'open')", 6)
    await on.at_rest()
    await on.put(SCORE_RUNS, "run_id", run_event("after", "completed", 0.5, 2), run_event("open", "completed", 0.5, 4))
    for workflow in ("nightly", SILENCED):
        await on.put(COMPLETIONS, "workflow_id", execution(workflow, 99, 900.0, 0.4))
    await on.put(COMPLETIONS, "workflow_id", execution(BROKEN, 99, 50.0, 0.3, "failure"))


def texts(slack: SlackServer) -> Sequence[str]:
    return [payload["text"] for payload in slack.accepted]


@pytest.mark.parametrize("how", ["stop", pytest.param("kill", marks=pytest.mark.drill), "broker"])
async def test_x2_s6_w23_x14_what_was_there_before_a_restart_is_there_after_it(
    installation: Installation, slack: SlackServer, how: str
) -> None:
    on = installation
    for _ in range(1_000):
        slack.answer_next(503, "later")
    incidents, due = await make_state(on)
    if how == "stop":  # nothing of it is waited for: all of it is read and stored before the recorder ends
        await on.put(COMPLETIONS, "workflow_id", *(execution("late", n, 60.0, 900 - n) for n in range(800)))
    await on.end_and_start(how)
    late = 800 if how == "stop" else 0
    assert (await on.rows("SELECT count(*) AS n FROM executions WHERE workflow_id = 'late'"))[0]["n"] == late
    assert f"restored from the database: {8 + (late > 0)} baselines, 1 open run, 1 silence" in on.up.said, on.up.said
    assert ("was killed: what was published and not yet stored is lost" in on.up.said) == (how == "kill")
    await after_restart(on)
    anomalies = await on.until_stored(
        "SELECT anomaly_type, entity_id, current_value, baseline_value FROM anomalies WHERE detected_at > now() -"
        " interval '30 minutes' AND entity_id <> 'broken'",
        4,
    )
    found = {(row["anomaly_type"], row["entity_id"]): row for row in anomalies}
    assert found.keys() == {
        ("SignificantScoreChange", "lido"),
        ("UnusualExecutionTime", "nightly"),
        ("UnusualExecutionTime", SILENCED),
        ("PatternDeviation", "ens"),
    }
    lido = found["SignificantScoreChange", "lido"]
    assert (lido["baseline_value"], lido["current_value"]) == (6.2, 3.0)
    assert found["UnusualExecutionTime", "nightly"]["baseline_value"] == pytest.approx(101, abs=1)
    await on.until_stored(
        "SELECT 1 FROM notifications WHERE channel = 'slack' AND outcome = 'suppressed'"
        " AND convert_from(event, 'UTF8') LIKE '%silence%'"
    )
    runs = await on.until_stored("SELECT run_id, scored FROM runs WHERE run_id IN ('open', 'after') AND scored > 0", 2)
    assert {row["run_id"]: row["scored"] for row in runs} == {"open": 4, "after": 2}
    await on.until_stored("SELECT 1 FROM executions WHERE execution_id = 'broken-99'")
    await on.until_stored(f"{SENT} AND anomaly_id = ANY($1)", len(due), sorted(due))
    await on.at_rest()
    assert await on.incidents_of(BROKEN) == dict.fromkeys(incidents, True)
    about = [text for text in texts(slack) if BROKEN in text]
    assert len(about) == len(due), about  # each message that was due, once; their incidents are acknowledged
    assert not [text for text in texts(slack) if SILENCED in text]
    assert len([text for text in texts(slack) if "Lido: 6.2 → 3.0" in text]) == 1
