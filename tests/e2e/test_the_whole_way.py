"""From an event on Kafka to an alert, a row, a page, an inbox and two messages: every part is the real one."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from stream_detector.devstack.apache import Apache
from stream_detector.devstack.tansu import Tansu
from stream_detector.settings import Settings
from tests.servers.browser import a_page
from tests.servers.installation import Installation, wait_until
from tests.servers.slack import SlackServer
from tests.servers.smtp import MailServer

ROOT = Path(__file__).parents[2]
BASE_URL = "https://watch.example"
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)


def at(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


def minute_of(minutes: float) -> str:
    return f"{START + timedelta(minutes=minutes):%Y-%m-%d %H:%M} UTC"


def failure(number: int) -> dict[str, Any]:
    return {
        "execution_id": f"nightly-{number}",
        "workflow_id": "nightly",
        "workflow_name": "Nightly build",
        "status": "failure",
        "started_at": at(number * 10),
        "finished_at": at(number * 10 + 2),
    }


def score(run: str, value: float, minutes: float) -> dict[str, Any]:
    return {"entity_id": "lido", "entity_name": "Lido", "score": value, "scored_at": at(minutes), "run_id": run}


LIDO_METRICS = {
    "current_value": 5.8,
    "baseline_value": 7.5,
    "deviation": -1.7,
    "z_score": None,
    "confidence": 0.5,
    "unit": "points",
    "direction": "down",
    "threshold": 0.5,
}

NIGHTLY_TEXT = f"""🟠 Warning: Consecutive failures in Nightly build

Nightly build has failed 3 times in a row

Type: ConsecutiveFailures
Severity: warning
Current: 3 runs
Baseline: 0 runs
Deviation: +3 runs
Z-score: none for this rule
Detected: {minute_of(32)}

What to look at:
1. There is no good execution to compare with yet: look at how this workflow was set up
2. Open execution nightly-3 and read its log

Details: https://watch.example/anomalies/{{id}}"""

LIDO_MAIL = f"""Lido: 7.5 → 5.8 (-1.7) ⚠️ SIGNIFICANT CHANGE

⚠️ GVS Anomaly Alert

Significant score changes detected:

• Lido: 7.5 → 5.8 (-1.7) ⬇️

Threshold: ±0.5 | Detected: {minute_of(65)}
Dashboard: https://watch.example/anomalies?run=run-2"""

EVENTS: list[tuple[str, str, dict[str, Any]]] = [
    ("score-runs", "run-1", {"run_id": "run-1", "status": "started", "at": at(0), "expected": 1}),
    ("scores", "lido", score("run-1", 7.5, 1)),
    ("score-runs", "run-1", {"run_id": "run-1", "status": "completed", "at": at(5), "expected": 1}),
    ("score-runs", "run-2", {"run_id": "run-2", "status": "started", "at": at(60), "expected": 1}),
    ("scores", "lido", score("run-2", 5.8, 61)),
    ("score-runs", "run-2", {"run_id": "run-2", "status": "completed", "at": at(65), "expected": 1}),
    *(("workflow-completions", "nightly", failure(number)) for number in (1, 2, 3)),
]


@pytest.fixture
async def installation(
    broker: Tansu | Apache,
    postgres_url: str,
    slack: SlackServer,
    mail_server: MailServer,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> AsyncIterator[Installation]:
    settings = make_settings(
        broker=broker.address,
        database_url=postgres_url,
        slack_webhook_url=slack.url,
        smtp_url=mail_server.url,
        email_from="watch@example.org",
        email_to="team@example.org",
        base_url=BASE_URL,
    )
    async with Installation(settings, tmp_path / "data") as running:
        yield running


async def publish(installation: Installation) -> None:
    async with AIOKafkaProducer(bootstrap_servers=installation.settings.broker, acks="all") as producer:
        for topic, key, event in EVENTS:
            name = installation.settings.topic(topic)
            await producer.send_and_wait(name, json.dumps(event).encode(), key=key.encode())


@pytest.mark.drill
async def test_the_whole_way(
    installation: Installation, postgres_url: str, slack: SlackServer, mail_server: MailServer
) -> None:
    await publish(installation)

    await wait_until(lambda: len(slack.accepted) >= 2 and len(mail_server.mails) >= 2, "two messages on each channel")

    alerts = {a["anomaly_type"]: a for a in await found(installation)}
    assert sorted(alerts) == ["ConsecutiveFailures", "SignificantScoreChange"]
    lido, nightly = alerts["SignificantScoreChange"], alerts["ConsecutiveFailures"]
    assert lido["metrics"] == LIDO_METRICS
    assert (nightly["severity"], nightly["state"], nightly["execution_id"]) == ("warning", "opened", "nightly-3")
    assert nightly["description"] == "Nightly build has failed 3 times in a row"

    await stored(postgres_url, alerts)
    await served(installation, alerts)
    await shown(installation, alerts)
    sent(slack, mail_server, nightly["id"])
    await examples_run(installation)


async def found(installation: Installation) -> list[dict[str, Any]]:
    """What is on `alerts`; every id once."""
    records = await installation.records("alerts")
    anomalies = [json.loads(record.value) for record in records]
    assert len({anomaly["id"] for anomaly in anomalies}) == len(anomalies)
    assert [dict(r.headers)["ce_id"].decode() for r in records] == [a["id"] for a in anomalies]
    return anomalies


async def stored(postgres_url: str, alerts: dict[str, Any]) -> None:
    """Executions, scores, runs, anomalies and the inbox are rows."""
    connection = await asyncpg.connect(postgres_url)
    try:
        ids = {anomaly["id"] for anomaly in alerts.values()}

        async def rows_are_there() -> bool:
            inbox = await connection.fetch("SELECT anomaly_id FROM notifications WHERE channel = 'inbox'")
            rows = await connection.fetch("SELECT id FROM anomalies")
            return {str(r["id"]) for r in rows} == ids == {str(r["anomaly_id"]) for r in inbox}

        await wait_until(rows_are_there, "both anomalies in the store and in the inbox")
        for table, count in (("executions", 3), ("scores", 2), ("runs", 2)):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == count  # noqa: S608
    finally:
        await connection.close()


async def served(installation: Installation, alerts: dict[str, Any]) -> None:
    """The API answers what is on the topic, and the check says the same as the live detector."""
    status, listed = installation.api("/api/v1/ai/anomalies")
    assert status == 200
    assert {item["id"] for item in listed["items"]} == {anomaly["id"] for anomaly in alerts.values()}
    for anomaly in alerts.values():
        status, answer = installation.api(f"/api/v1/ai/anomalies/{anomaly['id']}")
        assert status == 200
        assert {name: answer[name] for name in anomaly} == anomaly
    check = {"workflow_execution_id": "nightly-3"}
    assert installation.api("/api/v1/ai/check-anomalies", check) == (200, [alerts["ConsecutiveFailures"]])
    assert installation.api("/api/v1/ai/check-anomalies", {"workflow_execution_id": "nightly-2"}) == (200, [])
    assert installation.api("/api/v1/ai/check-anomalies", {"workflow_execution_id": "who"})[0] == 404
    status, trends = installation.api("/api/v1/ai/anomalies/trends?range=7d")
    assert (status, trends["by_severity"]) == (200, {"info": 0, "warning": 1, "critical": 1})


async def shown(installation: Installation, alerts: dict[str, Any]) -> None:
    """A real browser lists both and opens one."""
    root = f"http://127.0.0.1:{installation.settings.api_port}"
    async with a_page() as page:
        await page.goto(f"{root}/anomalies")
        await page.get_by_text("Nightly build").first.wait_for()
        await page.get_by_text("Lido").first.wait_for()
        await page.goto(f"{root}/anomalies/{alerts['ConsecutiveFailures']['id']}")
        await page.locator(".lead", has_text="has failed 3 times in a row").wait_for()
        await page.get_by_text("Open execution nightly-3 and read its log").first.wait_for()


def sent(slack: SlackServer, mail_server: MailServer, nightly: str) -> None:
    """One message each for the run and for the workflow, texts compared whole."""
    texts = sorted((payload["text"] for payload in slack.accepted), key=len)
    assert texts == ["Lido: 7.5 → 5.8 (-1.7) ⚠️ SIGNIFICANT CHANGE", NIGHTLY_TEXT.format(id=nightly)]
    mails = {str(mail["Subject"]): mail for mail in mail_server.mails}
    assert sorted(mails) == [
        "GVS Anomaly Alert: Lido 7.5 → 5.8 (-1.7)",
        "GVS: Warning: Consecutive failures in Nightly build",
    ]
    plain = {
        subject: mail.get_body(("plain",)).get_content().replace("\r\n", "\n").strip()
        for subject, mail in mails.items()
    }
    assert plain["GVS Anomaly Alert: Lido 7.5 → 5.8 (-1.7)"] == LIDO_MAIL
    assert plain["GVS: Warning: Consecutive failures in Nightly build"] == NIGHTLY_TEXT.format(id=nightly)
    assert all(mail["To"] == "team@example.org" and mail["From"] == "watch@example.org" for mail in mails.values())


async def examples_run(installation: Installation) -> None:
    """The two examples as they stand: the producer run twice counts once, the subscriber prints each anomaly once."""
    environment = {**os.environ, "STREAM_DETECTOR_TOPIC_PREFIX": installation.settings.topic_prefix}
    for _ in range(2):
        producer = await asyncio.create_subprocess_exec(
            sys.executable, ROOT / "examples/producer.py", installation.settings.broker, env=environment
        )
        assert await producer.wait() == 0

    async def four() -> bool:
        return len(await found(installation)) == 4  # the nightly's end, and Lido once more

    await wait_until(four, "the success resolves the streak, the score is an anomaly of its own")
    subscriber = await asyncio.create_subprocess_exec(
        sys.executable,
        ROOT / "examples/subscriber.py",
        installation.settings.broker,
        installation.folder.path / "seen.txt",
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert subscriber.stdout
        lines = [(await asyncio.wait_for(subscriber.stdout.readline(), 60)).decode() for _ in range(4)]
    finally:
        subscriber.kill()
        await subscriber.wait()
    assert sorted(line.split()[:2] for line in lines) == [
        ["critical", "SignificantScoreChange"],
        ["critical", "SignificantScoreChange"],
        ["info", "ConsecutiveFailures"],
        ["warning", "ConsecutiveFailures"],
    ]
