"""Every anomaly as a file: whole, streamed, harmless in a spreadsheet."""

import csv
import io

import asyncpg
import pytest

from stream_detector.serve.resources import anomaly_export
from tests.events_made import anomaly, at_minute, score_change, uuid
from tests.integration.serve.asking import Client, store

EXPORT = "/api/v1/ai/anomalies/export"


@pytest.mark.parametrize("count", [0, 1, 6, 7])
async def test_both_forms_hold_every_anomaly_newest_first(
    client: Client, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(anomaly_export, "_CHUNK", 3)
    await store(pool, *(anomaly(str(n), detected_at=at_minute(n)) for n in range(count)))
    expected = [uuid(str(n)) for n in reversed(range(count))]
    answer = await client.get(EXPORT)
    assert answer.content_type == "application/json"
    assert [each["id"] for each in await answer.json()] == expected
    answer = await client.get(EXPORT, params={"format": "csv"})
    assert (answer.content_type, answer.charset) == ("text/csv", "utf-8")
    assert "anomalies.csv" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert [each["id"] for each in rows] == expected


async def test_filters_hold_and_wrong_ones_are_400(client: Client, pool: asyncpg.Pool) -> None:
    await store(pool, anomaly("a"), score_change("b"))
    answer = await client.get(EXPORT, params={"type": "SignificantScoreChange"})
    assert [each["id"] for each in await answer.json()] == [uuid("b")]
    assert (await client.get(EXPORT, params={"format": "xml"})).status == 400
    assert (await client.get(EXPORT, params={"limit": "3"})).status == 400


@pytest.mark.parametrize(
    "name",
    [
        "=cmd|'/C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1",
        "\uff20A1", "\u3000\uff1d1", "\xa0=1", "\u200b=1", "\ufeff=1", "\u2028=1", "\u207a1", "\ufe661", "\ufe631",
        "\ufe6bA1",
    ],
    ids=ascii,
)  # fmt: skip
async def test_text_that_a_spreadsheet_would_run_is_quoted(client: Client, pool: asyncpg.Pool, name: str) -> None:
    await store(pool, score_change("a", entity_name=name, description='two\n"lines", one cell'))
    (found,) = csv.DictReader(
        io.StringIO(await (await client.get(EXPORT, params={"format": "csv"})).text(), newline="")
    )
    assert found["entity_name"] == "'" + name
    assert found["description"] == 'two\n"lines", one cell'
    assert (found["deviation"], found["z_score"]) == ("-1.7", "")
