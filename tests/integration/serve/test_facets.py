"""Counts of what each filter would find, and how the incident of each anomaly stands."""

import asyncpg
import pytest

from stream_detector.store import facets
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import NOON, action, anomaly, at_minute, row, uuid
from tests.integration.serve.asking import LIST, Client, ask, descriptions


@pytest.fixture
async def stored(pool: asyncpg.Pool) -> None:
    """Four incidents: one waits, one is acknowledged, one is over by itself (two records), one a person resolved."""
    found = [
        anomaly("waits", detected_at=at_minute(1), severity="critical"),
        anomaly("acknowledged", detected_at=at_minute(2), anomaly_type="SpikeInFailures"),
        anomaly("over", detected_at=at_minute(3)),
        anomaly("over too", incident="over", state="resolved", detected_at=at_minute(4), severity="info"),
        anomaly("resolved", detected_at=at_minute(5), entity_id="weekly"),
    ]
    decided = [
        action("1", "acknowledge", incident_id=uuid("acknowledged"), at=at_minute(6)),
        action("2", "resolve", incident_id=uuid("resolved"), at=at_minute(6)),
    ]
    rows = Rows(
        anomalies=[row(each, n) for n, each in enumerate(found)],
        actions=[row(each, n) for n, each in enumerate(decided)],
    )
    assert await Writer(pool).write(rows) == []


@pytest.mark.usefixtures("stored")
async def test_facets_count_records_by_every_filter(client: Client) -> None:
    assert await ask(client, f"{LIST}/facets") == {
        "severity": {"critical": 1, "warning": 3, "info": 1},
        "type": {"UnusualExecutionTime": 4, "SpikeInFailures": 1},
        "state": {"opened": 4, "resolved": 1},
        "variant": {},
        "incident": {"unacknowledged": 1, "acknowledged": 1, "resolved": 3},
        "total": 5,
        "whole": True,
    }


QUERIES: list[dict[str, str]] = [
    {},
    {"severity": "warning"},
    {"severity": "warning,info", "state": "resolved"},
    {"type": "SpikeInFailures"},
    {"open": "true"},
    {"open": "true", "acknowledged": "false"},
    {"open": "false", "severity": "warning"},
    {"acknowledged": "true"},
    {"entity": "weekly"},
    {"q": "night", "from": at_minute(2).isoformat()},
]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("query", QUERIES, ids=str)
async def test_each_count_is_what_the_list_finds_with_that_value_instead(client: Client, query: dict[str, str]) -> None:
    counted = await ask(client, f"{LIST}/facets", **query)
    assert counted["total"] == len((await ask(client, LIST, **query))["items"])
    stands = {
        "unacknowledged": {"open": "true", "acknowledged": "false"},
        "acknowledged": {"open": "true", "acknowledged": "true"},
        "resolved": {"open": "false"},
    }
    for name in ("severity", "type", "state"):
        for value, count in counted[name].items():
            assert len((await ask(client, LIST, **query | {name: value}))["items"]) == count, (name, value)
    others = {name: value for name, value in query.items() if name not in ("open", "acknowledged")}
    for value, count in counted["incident"].items():
        assert len((await ask(client, LIST, **others | stands[value]))["items"]) == count, value


@pytest.mark.usefixtures("stored")
async def test_where_there_are_too_many_the_incidents_of_the_newest_are_counted(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facets, "MOST", 3)
    found = await ask(client, f"{LIST}/facets")
    assert (found["total"], found["whole"]) == (5, False)
    assert found["severity"] == {"critical": 1, "warning": 3, "info": 1}
    assert found["incident"] == {"resolved": 3}
    assert (await ask(client, f"{LIST}/facets", open="false"))["total"] == 3


@pytest.mark.usefixtures("stored")
async def test_each_anomaly_of_the_list_says_how_its_incident_stands(client: Client) -> None:
    items = (await ask(client, LIST))["items"]
    stands = {item["id"]: item["incident"] for item in items}
    nobody = {"acknowledged_at": None, "acknowledged_by": None, "verdict": None, "end_reason": None}
    assert stands[uuid("waits")] == {"state": "opened", **nobody}
    assert stands[uuid("over")] == stands[uuid("over too")] == {"state": "resolved", **nobody}
    assert stands[uuid("resolved")]["state"] == "resolved"
    acknowledged = stands[uuid("acknowledged")]
    assert (acknowledged["acknowledged_by"], acknowledged["acknowledged_at"]) == ("ann", "2026-01-22T12:06:00Z")


@pytest.mark.usefixtures("stored")
async def test_the_list_is_filtered_by_how_incidents_stand(client: Client) -> None:
    assert await descriptions(client, open="true", acknowledged="false") == ["waits"]
    assert await descriptions(client, open="true", acknowledged="true") == ["acknowledged"]
    assert await descriptions(client, open="false") == ["resolved", "over too", "over"]
    assert (await client.get(LIST, params={"open": "perhaps"})).status == 400
    trends = await ask(client, f"{LIST}/trends", open="true", **{"from": NOON.isoformat()})
    assert trends["by_severity"] == {"critical": 1, "warning": 1, "info": 0}
