"""X21 in PostgreSQL: rows with and without a variant, and what a decision about a workflow or a variant means."""

from datetime import timedelta

import asyncpg
import pytest

from stream_detector.events import Completion
from stream_detector.events.variant import DEFAULT_BRANCH, key_parts, state_key, workflow_key
from stream_detector.store import anomalies, baselines, executions, incidents, overview, unique_ids
from stream_detector.store.connect import open_pool
from stream_detector.store.facets import facets
from stream_detector.store.filter import Filter
from stream_detector.store.lookalikes import stored_lookalikes
from stream_detector.store.migrate import migrate, migrations
from stream_detector.store.position import END
from stream_detector.store.rows import BaselineState, Rows
from stream_detector.store.sql_keys import sql_key
from stream_detector.store.state_records import ANOMALIES, EXECUTIONS, newest_epoch, partitions_of
from stream_detector.store.write import Writer
from tests.events_made import NOON, action, anomaly, at_minute, completion, row, uuid

ODD_IDS = ("app", "a:b", "workflow/x:app", "score:app", "50%/day", "ä b", "workflow:")
VARIANTS = (None, DEFAULT_BRANCH, "pull request", "child:a/b", "100 %", "~._-", "Ärger, naïve 中", "x")
EVERY = Filter()


def found(name: str, entity_id: str, variant: str | None, **given: object) -> object:
    return anomaly(name, entity_id=entity_id, entity_name=entity_id, variant=variant, **given)


async def test_x21_keys_in_a_statement_are_those_of_the_program(pool: asyncpg.Pool) -> None:
    pairs = [(entity_id, variant) for entity_id in ODD_IDS for variant in VARIANTS]
    key = sql_key("'workflow'", "i", "v")
    statement = f"SELECT {key} FROM unnest($1::text[], $2::text[]) AS t (i, v)"  # noqa: S608
    rows = await pool.fetch(statement, *zip(*pairs, strict=True))
    assert [row[0] for row in rows] == [workflow_key(*pair) for pair in pairs]


async def test_x21_lists_counts_and_lanes_by_workflow_and_by_variant(pool: asyncpg.Pool) -> None:
    pairs = [(entity_id, variant) for entity_id in ODD_IDS for variant in VARIANTS]
    made = [row(found(f"{pair}", *pair), n) for n, pair in enumerate(pairs)]
    assert await Writer(pool).write(Rows(anomalies=made)) == []
    for entity_id, variant in pairs:
        key = workflow_key(entity_id, variant)
        listed = await anomalies.find(pool, Filter(entity=key), limit=500)
        # As before, a workflow whose id looks like a key is found by it, too.
        expected = [
            pair for pair in pairs if pair[0] in (key, entity_id) and (pair[0] == key or variant in (None, pair[1]))
        ]
        assert len(listed.items) == len(expected), key
        stored = await incidents.entities_of(pool, [uuid(f"{(entity_id, variant)}")])
        assert list(stored.values()) == [key]
    assert len((await anomalies.find(pool, Filter(variant="x"), limit=500)).items) == len(ODD_IDS)
    assert len((await incidents.find(pool, Filter(variant="x", entity="app"), limit=500)).items) == 1
    counted = await facets(pool, Filter(entity="workflow:app", variant="x"))
    assert counted.total == 1 and counted.counts["variant"] == {one: 1 for one in VARIANTS if one is not None}
    lanes, entities = await overview.lanes(pool, NOON - timedelta(hours=1), NOON + timedelta(hours=1), 3600, 100)
    assert entities == len(pairs) and {lane["entity"] for lane in lanes} == {workflow_key(*pair) for pair in pairs}


async def test_x21_a_nul_in_a_key_finds_nothing_and_breaks_nothing(pool: asyncpg.Pool) -> None:
    for key in ("workflow/%00:app", "workflow/%FF:app", "workflow/:app", "workflow/x:"):
        assert (await anomalies.find(pool, Filter(entity=key), limit=5)).items == []


@pytest.mark.parametrize("entity_id", ODD_IDS)
async def test_x21_what_a_decision_names_decides_which_incidents_it_ends(pool: asyncpg.Pool, entity_id: str) -> None:
    names = {None: "plain", DEFAULT_BRANCH: "main", "a:b %": "odd"}
    made = [row(found(name, entity_id, variant), n) for n, (variant, name) in enumerate(names.items())]
    made.append(row(found("other", entity_id + "2", "a:b %"), 9))
    await Writer(pool).write(Rows(anomalies=made))

    async def decided(kind: str, entity: str, number: int) -> set[str]:
        one = action(f"{number}", kind, entity=entity, incident_id=None, at=at_minute(number))
        assert await Writer(pool).write(Rows(actions=[row(one, number)])) == []
        rows = await pool.fetch(
            "SELECT id::text FROM incidents WHERE state = 'resolved' OR acknowledged_at IS NOT NULL"
        )
        return {name for name in (*names.values(), "other") if uuid(name) in {row["id"] for row in rows}}

    assert await decided("acknowledge", workflow_key(entity_id, "a:b %"), 1) == {"odd"}
    # What opened before there were variants goes on as the default branch: a decision about that means it.
    assert await decided("relearn", workflow_key(entity_id, DEFAULT_BRANCH), 2) == {"odd", "plain", "main"}
    made = [
        row(found(f"{name} again", entity_id, variant, detected_at=at_minute(9)), 20) for variant, name in names.items()
    ]
    await Writer(pool).write(Rows(anomalies=made))
    one = action("3", "retire", entity=workflow_key(entity_id), incident_id=None, at=at_minute(10))
    await Writer(pool).write(Rows(actions=[row(one, 30)]))
    rows = await pool.fetch("SELECT variant FROM incidents WHERE end_reason = 'retired' ORDER BY variant NULLS FIRST")
    assert [row["variant"] for row in rows] == [None, "a:b %", "a:b %", DEFAULT_BRANCH]


async def test_x21_an_incident_goes_on_under_the_variant_of_its_newest_record(pool: asyncpg.Pool) -> None:
    records = [
        row(found("first", "app", None, incident="i"), 1),
        row(found("second", "app", DEFAULT_BRANCH, incident="i", state="ongoing", detected_at=at_minute(5)), 2),
    ]
    for listed in ([records[1]], [records[0]]):  # whichever is stored first
        await Writer(pool).write(Rows(anomalies=listed))
    (one,) = await pool.fetch("SELECT id::text, variant, records FROM incidents")
    assert tuple(one) == (uuid("i"), DEFAULT_BRANCH, 2)
    assert await incidents.entities_of(pool, [uuid("i")]) == {uuid("i"): workflow_key("app", DEFAULT_BRANCH)}


async def test_x21_a_silence_of_a_variant_ends_with_the_workflow_and_no_other_one(pool: asyncpg.Pool) -> None:
    far = NOON + timedelta(days=36_500)

    async def active() -> set[str]:
        page = await incidents.silences(pool, active=True, limit=50)
        return {item.decode().split('"entity":"')[1].split('"')[0] for item in page.items}

    keys = [workflow_key("app"), workflow_key("app", "tag"), workflow_key("app2", "tag")]
    made = [action(key, "silence", entity=key, incident_id=None, at=NOON, until=far) for key in keys]
    await Writer(pool).write(Rows(actions=[row(one, n) for n, one in enumerate(made)]))
    assert await active() == {*keys}
    retired = action("r1", "retire", entity=workflow_key("app", "tag"), incident_id=None, at=at_minute(1))
    await Writer(pool).write(Rows(actions=[row(retired, 8)]))
    assert await active() == {keys[0], keys[2]}
    again = action("s2", "silence", entity=keys[1], incident_id=None, at=at_minute(2), until=far)
    whole = action("r2", "retire", entity=keys[0], incident_id=None, at=at_minute(3))
    await Writer(pool).write(Rows(actions=[row(again, 9), row(whole, 10)]))
    assert await active() == {keys[2]}
    about = await incidents.actions(pool, entity=keys[0], incident_id=None, limit=50)
    assert len(about.items) == 5
    assert len((await incidents.actions(pool, entity=keys[1], incident_id=None, limit=50)).items) == 5
    assert len((await incidents.actions(pool, entity=keys[2], incident_id=None, limit=50)).items) == 1


async def test_x21_baselines_are_listed_by_workflow_and_variant_page_by_page(pool: asyncpg.Pool) -> None:
    keys = [workflow_key(entity_id, variant) for entity_id in ODD_IDS for variant in VARIANTS]
    made = [row(BaselineState(key=key, packed=b"x", state="normal"), n, record_ms=0) for n, key in enumerate(keys)]
    # As a former recorder would have stored it.
    await pool.execute(
        "INSERT INTO baselines (key, entity_kind, entity_id, state, named, packed, stream_epoch, source_partition,"
        " source_offset, record_at) VALUES ($1, 'workflow/tag', 'app', 'normal', '{}', 'x', 0, 0, 0, now())",
        "workflow/tag:app",
    )
    tag = row(BaselineState(key="workflow/tag:app", packed=b"y", state="normal"), 1_000)
    assert await Writer(pool).write(Rows(baselines=[*made, tag])) == []
    listed: list[str] = []
    after = ("", "")
    while found := await baselines.baselines(pool, "workflow", limit=5, after=after):
        listed += [each["key"] for each in found]
        after = found[-1]["entity_id"], found[-1]["variant"] or ""
    assert len(listed) == len(keys) + 1 and {*listed} == {*keys, "workflow/tag:app"}
    of_app = await baselines.baselines(pool, "workflow", limit=50, entity_id="app")
    assert [each["variant"] for each in of_app] == sorted([*VARIANTS, "tag"], key=lambda one: (one or "").encode())
    assert [
        each["key"] for each in await baselines.baselines(pool, "workflow", limit=50, entity_id="app", variant="x")
    ] == ["workflow/x:app"]
    assert await stored_lookalikes(pool, "workflow") == []
    assert await unique_ids.ids_that_look_unique(pool) == {}
    gone = row(BaselineState(key="workflow/tag:app", packed=None), 2_000)
    await Writer(pool).write(Rows(baselines=[gone]))
    assert len(await baselines.baselines(pool, "workflow", limit=50, entity_id="app")) == len(VARIANTS)


async def test_x21_executions_have_the_variant_that_they_name_or_that_variant_by_gives(pool: asyncpg.Pool) -> None:
    def one(name: str, **given: object) -> Completion:
        return completion(name, "app", labels={"trigger": "push"}, **given)

    made = [
        row(one("1"), 1),
        row(one("2", variant="tag"), 2, variant_by=("trigger",)),
        row(one("3"), 3, variant_by=("trigger",)),
    ]
    assert await Writer(pool).write(Rows(executions=made)) == []
    stored = [each.event.variant async for each in executions.completions_in_order(pool, "app")]
    assert stored == [None, "tag", "push"]
    newest = await executions.newest_completions(pool, "app", variant="push")
    assert [(each.execution_id, each.variant) for each in newest] == [("3", "push")]
    assert len(await executions.newest_completions(pool, "app")) == 3
    await Writer(pool).write(
        Rows(actions=[row(action("a", "relearn", entity="workflow:app", incident_id=None, at=NOON), 1)])
    )
    complete = await executions.completeness(pool, "app", "push", END, at_minute(1))
    assert complete.actions == 1
    assert await newest_epoch(pool, EXECUTIONS) == 0 and await partitions_of(pool, EXECUTIONS, 0) == [0]
    keys = await pool.fetch(f"SELECT {EXECUTIONS.state_key} FROM executions ORDER BY execution_id")  # noqa: S608
    assert [row[0] for row in keys] == ["workflow:app", "workflow/tag:app", "workflow/push:app"]


_OLD_ANOMALY = """
    INSERT INTO anomalies (id, incident_id, state, detected_at, anomaly_type, severity, description, entity_kind,
        entity_id, entity_name, current_value, baseline_value, deviation, direction, detector, profile, event)
    VALUES ($1::text::uuid, $1::text::uuid, 'opened', now(), 'SpikeInFailures', 'info', 'd', 'workflow', 'w', 'w', 3, 1,
        2, 'up', 'd', 'classic', '{}');
"""


async def test_x21_rows_of_before_have_none_and_a_former_program_runs_on(postgres_url: str) -> None:
    pool = await open_pool(postgres_url, name="test", size=2)
    try:
        await migrate(pool, [each for each in migrations() if each.name < "0015"])
        await pool.execute(_OLD_ANOMALY, uuid("old"))
        assert await migrate(pool) == [each.name for each in migrations() if each.name >= "0015"]
        compatible = await pool.fetchval(
            "SELECT compatible_from FROM schema_migrations WHERE name LIKE '%_variants.sql'"
        )
        assert compatible == 1
        await pool.execute(_OLD_ANOMALY, uuid("by a former recorder"))
        assert await pool.fetchval("SELECT count(*) FROM anomalies WHERE variant IS NULL") == 2
        key = await pool.fetchval(f"SELECT {ANOMALIES.key} FROM anomalies LIMIT 1")  # noqa: S608
        assert key == "workflow:w"
        assert key_parts(state_key("workflow", "w")) == ("workflow", "w", None)
    finally:
        await pool.close()
