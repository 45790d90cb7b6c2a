"""W36: what is counted is the same on the overview, in trends, on the list, in its facets and in its file."""

import csv
import html
import io
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest

from stream_detector.events import Action
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.stages.old_events import LULL_S
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import action, anomaly, row, uuid
from tests.integration.serve.asking import LIST, Client, ask
from tests.unit.notify.living import Notifier

SPANS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}


@pytest.fixture
async def stored(pool: asyncpg.Pool) -> None:
    """Incidents that opened, went on and ended, over 40 days, also just within and without each span."""
    now, records = datetime.now(UTC), []
    ages = [timedelta(hours=6 * n) for n in range(160)]
    ages += [each + late for each in SPANS.values() for late in (timedelta(minutes=-2), timedelta(minutes=2))]
    for number, age in enumerate(ages):
        severity = ("info", "warning", "critical")[number % 3]
        kind = ("SpikeInFailures", "UnusualExecutionTime")[number % 2]
        given = {"incident": str(number), "severity": severity, "anomaly_type": kind}
        for state, later_s in (("opened", 0), ("ongoing", 20), ("resolved", 40)):
            at = now - age + timedelta(seconds=later_s)
            records.append(anomaly(f"{number} {state}", state=state, detected_at=at, **given))
    assert await Writer(pool).write(Rows(anomalies=[row(each, n) for n, each in enumerate(records)])) == []


@pytest.mark.parametrize("span", SPANS)
async def test_w36_page_api_and_file_count_the_same_openings(client: Client, stored: None, span: str) -> None:
    overview = await ask(client, "/api/v1/overview", range=span)
    trends = await ask(client, f"{LIST}/trends", range=span)
    facets = await ask(client, f"{LIST}/facets", range=span, state="opened")
    async with client.get(f"{LIST}/export", params={"format": "csv", "range": span, "state": "opened"}) as answer:
        lines = list(csv.DictReader(io.StringIO(await answer.text())))
    by_severity = trends["by_severity"]
    assert sum(by_severity.values()) == sum(day["count"] for day in trends["days"]) > 0
    assert overview["counts"][span] == by_severity
    assert overview["facets"]["severity"] == facets["severity"] == by_severity
    assert overview["facets"]["type"] == facets["type"] == {k: n for k, n in trends["by_type"].items() if n}
    assert len(lines) == facets["total"] == sum(by_severity.values())


async def test_w36_the_sums_of_the_overview_agree_after_openings_are_deleted(
    client: Client, stored: None, pool: asyncpg.Pool
) -> None:
    """The further records of an incident stay when its opening is deleted, and so does the incident."""
    found = [row(deletion(f"{number} opened"), number) for number in range(0, 20, 3)]
    assert await Writer(pool).write(Rows(actions=found)) == []
    for span in SPANS:
        facets = (await ask(client, "/api/v1/overview", range=span))["facets"]
        assert sum(facets["state"].values()) == sum(facets["severity"].values()) == sum(facets["type"].values()) > 0


def deletion(name: str) -> Action:
    return action(f"delete {name}", "delete_anomaly", anomaly_id=uuid(name), incident_id=None, at=datetime.now(UTC))


async def test_w36_a_list_its_facets_and_its_file_have_the_same_records(client: Client, stored: None) -> None:
    query = {"range": "7d", "severity": "critical"}
    listed, cursor = 0, None
    while True:
        page = await ask(client, LIST, **query, limit=50, **({"cursor": cursor} if cursor else {}))
        listed, cursor = listed + len(page["items"]), page["next"]
        if cursor is None:
            break
    async with client.get(f"{LIST}/export", params={"format": "csv", **query}) as answer:
        lines = list(csv.DictReader(io.StringIO(await answer.text())))
    assert listed == len(lines) == (await ask(client, f"{LIST}/facets", **query))["total"] > 20


async def test_x9_w36_the_message_about_a_history_counts_what_the_list_behind_its_link_has(
    client: Client, pool: asyncpg.Pool
) -> None:
    published, records = datetime(2026, 11, 30, 9, 0, tzinfo=UTC), []
    for number in range(15):
        severity = ("info", "warning", "critical")[number % 3]
        given = {"incident": str(number), "published_at": published, "entity_id": f"w{number}"}
        for state, days in (("opened", 20), ("ongoing", 19), ("resolved", 18)):
            at = published - timedelta(days=days, minutes=number)
            worse = {"opened": severity, "ongoing": "critical", "resolved": "info"}[state]
            records.append(anomaly(f"{number} {state}", state=state, severity=worse, detected_at=at, **given))
    assert await Writer(pool).write(Rows(anomalies=[row(each, n) for n, each in enumerate(records)])) == []
    config = NotifyConfig(channels={"inbox": True, "slack": True}, base_url="https://gvs.example.org")
    notifier = Notifier(config)
    notifier.now_s = published.timestamp()
    (text,) = notifier.take(*records).after(LULL_S).got("slack")
    link = html.unescape(text.rpartition("Dashboard: ")[2])
    facets = await ask(client, f"{LIST}/facets?{urlsplit(link).query}")
    assert text.startswith("🔵 10 anomalies of ") and "5 critical, 5 warning" in text
    listed = await ask(client, f"{LIST}?{urlsplit(link).query}")
    assert facets["total"] == len(listed["items"]) == 10
