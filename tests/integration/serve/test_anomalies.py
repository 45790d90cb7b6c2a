"""W35, W36, W40 to W42, S12, S13: what was found can be asked for."""

from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest

from stream_detector.events import Anomaly, Movement
from stream_detector.events.anomaly_types import TYPES
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import NOON, anomaly, at_minute, row, run_event, score, score_change, summary, uuid
from tests.integration.serve.asking import LIST, Client, ask, descriptions, store


@pytest.fixture
async def stored(pool: asyncpg.Pool) -> None:
    await store(
        pool,
        anomaly("a", detected_at=at_minute(0)),
        anomaly("b", detected_at=at_minute(1), severity="critical", state="ongoing"),
        anomaly(
            "c", detected_at=at_minute(2), anomaly_type="SpikeInFailures", entity_id="weekly", entity_name="We%kly"
        ),
        score_change("d", detected_at=at_minute(3)),
    )


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "dcba"),
        ({"from": "2026-01-22T12:01:00Z"}, "dcb"),
        ({"to": "2026-01-22T12:01:00Z"}, "a"),
        ({"from": "2026-01-22T12:01:00Z", "to": "2026-01-22T12:03:00Z"}, "cb"),
        ({"from": "2026-01-22T14:01:00+02:00", "to": "2026-01-22T12:02:00Z"}, "b"),
        ({"type": "SpikeInFailures"}, "c"),
        ({"type": "SpikeInFailures,SignificantScoreChange"}, "dc"),
        ({"severity": "critical"}, "db"),
        ({"severity": "info"}, ""),
        ({"state": "ongoing"}, "b"),
        ({"entity": "weekly"}, "c"),
        ({"entity": "workflow:nightly"}, "ba"),
        ({"entity": "score:nightly"}, ""),
        ({"run": "r1"}, "d"),
        ({"q": "we%k"}, "c"),
        ({"q": "e%y"}, ""),
        ({"q": "null"}, ""),
        ({"entity": "null"}, ""),
        ({"severity": "critical", "type": "UnusualExecutionTime", "from": "2026-01-22T12:00:00Z"}, "b"),
        ({"severity": "warning", "type": "SignificantScoreChange"}, ""),
    ],
)
async def test_w35_w40_filters_by_range_type_severity_entity_state_run_and_all_together(
    client: Client, query: dict[str, str], expected: str
) -> None:
    assert "".join(await descriptions(client, **query)) == expected


@pytest.mark.usefixtures("stored")
async def test_a_repeated_parameter_means_any_of_its_values(client: Client) -> None:
    assert (await client.get(f"{LIST}?severity=critical&severity=warning")).status == 200
    answer = await (await client.get(f"{LIST}?type=SpikeInFailures&type=SignificantScoreChange")).json()
    assert len(answer["items"]) == 2


async def test_a_zone_with_an_unescaped_plus_is_understood(client: Client) -> None:
    assert (await client.get(LIST + "?from=2026-01-22T14:01:00+02:00")).status == 200


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"range": "24h"}, "a"),
        ({"range": "7d"}, "ab"),
        ({"range": "30d"}, "abc"),
        ({"hours": "30"}, "ab"),
        ({"hours": "1"}, ""),
    ],
)
async def test_s12_w49_recent_anomalies_of_the_last_hours_and_days(
    client: Client, pool: asyncpg.Pool, query: dict[str, str], expected: str
) -> None:
    now = datetime.now(UTC)
    await store(
        pool,
        *(
            anomaly(name, detected_at=now - timedelta(hours=hours))
            for name, hours in zip("abcd", (2, 29, 24 * 29, 24 * 31), strict=True)
        ),
    )
    assert "".join(await descriptions(client, **query)) == expected


async def test_pages_stay_right_while_rows_are_added(client: Client, pool: asyncpg.Pool) -> None:
    await store(pool, *(anomaly(str(n), detected_at=at_minute(n // 3)) for n in range(20)))
    whole = await descriptions(client)
    first = await ask(client, LIST, limit=7)
    await store(pool, anomaly("newer", detected_at=at_minute(60)))
    seen, cursor = [item["id"] for item in first["items"]], first["next"]
    while cursor:
        page = await ask(client, LIST, limit=7, cursor=cursor)
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert seen == [uuid(name) for name in whole]


async def test_a_large_answer_is_gzipped_where_that_is_accepted_and_says_the_same(
    client: Client, pool: asyncpg.Pool
) -> None:
    await store(pool, *(anomaly(str(n), detected_at=at_minute(n)) for n in range(20)))
    plain = await client.get(LIST, headers={"Accept-Encoding": "identity"})
    small = await client.get(LIST, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert int(small.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 4
    assert await small.json() == await plain.json()


async def test_w41_one_by_id_with_every_field(client: Client, pool: asyncpg.Pool) -> None:
    given = score_change(url="https://example.org/r1", duration_s=2.5)
    await store(pool, given)
    found = await ask(client, f"{LIST}/{given.id}")
    assert abs(datetime.fromisoformat(found.pop("recorded_at")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert found == msgspec.to_builtins(given)
    assert {
        "id",
        "detected_at",
        "anomaly_type",
        "severity",
        "description",
        "metrics",
        "affected_entities",
        "investigation_steps",
    } <= set(found)
    assert {"current_value", "baseline_value", "deviation", "z_score", "confidence"} <= set(found["metrics"])


@pytest.mark.parametrize("id_", [uuid("unknown"), "not-a-uuid", "1", "%00", "x" * 5000, uuid("lido").replace("-", "")])
async def test_w41_unknown_or_no_uuid_is_404(client: Client, pool: asyncpg.Pool, id_: str) -> None:
    await store(pool, score_change())
    answer = await client.get(f"{LIST}/{id_}")
    assert (answer.status, answer.content_type) == (404, "application/problem+json")


@pytest.mark.usefixtures("stored")
async def test_w36_w42_trends_count_openings_by_utc_date_and_are_never_an_id(
    client: Client, pool: asyncpg.Pool
) -> None:
    await store(
        pool,
        anomaly("late", detected_at=NOON + timedelta(hours=11, minutes=59)),
        anomaly("next", detected_at=NOON + timedelta(hours=12)),
    )
    found = await ask(client, f"{LIST}/trends", **{"from": "2026-01-21T00:00:00Z", "to": "2026-01-25T00:00:00Z"})
    assert found["days"] == [
        {"date": "2026-01-21", "count": 0},
        {"date": "2026-01-22", "count": 4},
        {"date": "2026-01-23", "count": 1},
        {"date": "2026-01-24", "count": 0},
    ]
    assert found["by_severity"] == {"info": 0, "warning": 4, "critical": 1}
    assert {name: count for name, count in found["by_type"].items() if count} == {
        "UnusualExecutionTime": 3, "SpikeInFailures": 1, "SignificantScoreChange": 1,
    }  # fmt: skip
    assert set(found["by_type"]) == set(TYPES)
    narrowed = await ask(client, f"{LIST}/trends", severity="critical")
    assert narrowed["days"] == [{"date": "2026-01-22", "count": 1}]


@pytest.mark.parametrize(
    ("query", "parameter", "said"),
    [
        ("type=" + "x" * 65, "type", "<= 64"),
        ("severity=", "severity", ">= 1"),
        ("state=a%00b", "state", "U+0000"),
        ("range=1y", "range", "24h, 7d, 30d"),
        ("hours=0", "hours", ">= 1"),
        ("hours=-1", "hours", ">= 1"),
        ("hours=x", "hours", "int"),
        ("limit=0", "limit", ">= 1"),
        ("limit=-1", "limit", ">= 1"),
        ("limit=1000000000", "limit", "<= 500"),
        ("limit=99999999999999999999999999", "limit", ""),
        ("from=yesterday", "from", "RFC3339"),
        ("to=null", "to", "RFC3339"),
        ("to=0.5", "to", "RFC3339"),
        ("from=1769040000", "from", "RFC3339"),
        ("from=2026-01-22T00:00:00", "from", "timezone"),
        ("from=10000-01-01T00:00:00Z", "from", "RFC3339"),
        ("from=0001-01-01T00:00:00%2B14:00", "from", "1970"),
        ("from=9999-12-31T23:59:59-14:00", "from", "1970"),
        ("from=2026-01-23T00:00:00Z&to=2026-01-22T00:00:00Z", "from", "before to"),
        ("range=24h&hours=3", None, "exclude each other"),
        ("range=24h&from=2026-01-22T00:00:00Z", None, "exclude each other"),
        ("cursor=nonsense", "cursor", "cursor"),
        ("cursor=WzEsImEiXQ", "cursor", "cursor"),
        ("cursor=" + "A" * 1999, "cursor", "cursor"),
        ("entity=a%00b", "entity", "U+0000"),
        ("entity=", "entity", ">= 1"),
        ("limit=1&limit=2", "limit", "must not be repeated"),
        ("serverity=info", "serverity", "unknown parameter"),
    ],
)  # fmt: skip
async def test_w40_what_is_unknown_or_absurd_is_400_and_says_what_is_allowed(
    client: Client, query: str, parameter: str | None, said: str
) -> None:
    answer = await client.get(f"{LIST}?{query}")
    problem = await answer.json()
    assert (answer.status, answer.content_type) == (400, "application/problem+json")
    assert problem.get("parameter") == parameter
    assert said in problem["detail"]
    assert "Traceback" not in problem["detail"]


async def test_a_query_of_a_megabyte_is_refused(client: Client) -> None:
    answer = await client.get(f"{LIST}?entity={'x' * 1_000_000}")
    assert 400 <= answer.status < 500
    assert "Traceback" not in await answer.text()


async def evidence(client: Client, found: Anomaly) -> str | None:
    """What the detail and `why` have, which must be the same."""
    shown: str | None = (await ask(client, f"{LIST}/{found.id}")).get("run_evidence")
    sentences = (await ask(client, "/api/v1/why", anomaly=found.id))["sentences"]
    assert [each for each in sentences if each.startswith("Its score run: ")] == (
        [] if shown is None else [f"Its score run: {shown}."]
    )
    return shown


async def test_x7_a_score_has_how_many_entities_of_its_run_moved_the_same_way(
    client: Client, pool: asyncpg.Pool
) -> None:
    """So far by the anomalies found; once the run has ended by what its newest summary counts."""
    lido, others = score_change(), [score_change(name, entity_id=name) for name in "abc"]
    await store(pool, lido)
    assert await evidence(client, lido) is None, "nothing else of the run is stored yet"
    await Writer(pool).write(Rows(scores=[row(score("lido", "5.8", run_id="r1"))]))
    assert await evidence(client, lido) == "So far it alone moved by its threshold or more; the run has not ended"
    await Writer(pool).write(Rows(score_runs=[row(run_event("started", expected=12))]))
    await store(pool, lido, *others)
    assert await evidence(client, lido) == "So far 4 of the 12 expected fell: look at the run first"
    first = summary(movement=Movement(fell=41, rose=2, unchanged=40))
    await Writer(pool).write(Rows(summaries=[row(first)]))
    assert await evidence(client, lido) == "41 of 83 fell: look at the run first"
    second = summary(id=uuid("second"), revision=2, movement=Movement(fell=1, unchanged=90))
    await Writer(pool).write(Rows(summaries=[row(second, 1)]))
    assert (await evidence(client, lido) or "").startswith("Of the 91 entities of the run it alone moved: ")


async def test_x7_what_has_no_run_or_one_of_an_older_version_has_no_evidence(
    client: Client, pool: asyncpg.Pool
) -> None:
    workflow, lido = anomaly("a"), score_change()
    drift = score_change("drift", anomaly_type="PatternDeviation", run_id="other")
    alone = score_change("alone", run_id=None)
    await store(pool, workflow, lido, drift, alone)
    await Writer(pool).write(Rows(summaries=[row(summary())]))
    assert [await evidence(client, each) for each in (workflow, lido, drift, alone)] == [None] * 4


async def test_x7_scores_without_a_run_are_compared_with_those_of_their_minute(
    client: Client, pool: asyncpg.Pool
) -> None:
    found = score_change("dao", run_id=None, entity_id="dao")
    window = summary("window~dao~2026-01-22T12:00Z", movement=Movement(fell=3, unchanged=1))
    await Writer(pool).write(Rows(scores=[row(score("dao", entity_type="dao"))], summaries=[row(window)]))
    await store(pool, found)
    assert await evidence(client, found) == "3 of 4 fell: look at the run first"
