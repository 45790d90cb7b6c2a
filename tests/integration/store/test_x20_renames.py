"""X20: rows of a renamed workflow are under the id that holds, in whichever order events and actions are stored."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from stream_detector.events import Action
from stream_detector.store.anomalies import of_execution
from stream_detector.store.executions import completions_in_order, execution, newest_completions
from stream_detector.store.renames import Rename, former_id, ids_that_begin, is_known, naming, note_number, renames
from stream_detector.store.rows import BaselineState, Rows
from stream_detector.store.write import Writer
from tests.events_made import NOON, anomaly, completion, row
from tests.servers.installation import wait_until


def renamed(old: str, new: str, minute: int, **more: Any) -> Any:
    action = Action(
        action_id=f"{old}-{new}-{minute}",
        kind="rename",
        by="ops",
        at=NOON + timedelta(minutes=minute),
        entity=f"workflow:{old}",
        new_id=new,
    )
    return row(msgspec.structs.replace(action, **more), epoch=1)


async def ids_of(pool: Any, table: str, column: str) -> list[str]:
    found = await pool.fetch(f"SELECT DISTINCT {column} AS id FROM {table} ORDER BY 1")  # noqa: S608 - names of ours
    return [each["id"] for each in found]


async def test_x20_rows_that_are_there_and_rows_that_come_later(pool: Any) -> None:
    writer = Writer(pool)
    first = Rows(
        executions=[row(completion("1", "old"), 1)],
        anomalies=[row(anomaly("x", entity_id="old", execution_id="1"), 1)],
        actions=[row(Action(action_id="a", kind="acknowledge", by="ops", at=NOON, entity="workflow/tag:old"), epoch=1)],
    )
    assert await writer.write(first) == []
    assert await writer.write(Rows(actions=[renamed("old", "new", 1)])) == []
    later = anomaly("y", entity_id="old", execution_id="2")
    await writer.write(Rows(executions=[row(completion("2", "old"), 2)], anomalies=[row(later, 2)]))
    assert await ids_of(pool, "executions", "workflow_id") == ["new"]
    assert await ids_of(pool, "anomalies", "entity_id") == await ids_of(pool, "incidents", "entity_id") == ["new"]
    assert await ids_of(pool, "actions", "entity") == ["workflow/tag:new", "workflow:old"], "the rename itself stays"
    (stored,) = await of_execution(pool, "new", "2", 1)
    assert msgspec.json.decode(stored)["entity_id"] == "new"
    assert {k: v for k, v in msgspec.json.decode(stored).items() if k != "entity_id"} == {
        k: v for k, v in msgspec.json.decode(msgspec.json.encode(later)).items() if k != "entity_id"
    }
    one = await execution(pool, "1")
    assert one is not None and one.event == completion("1", "new")
    assert [each.event.workflow_id async for each in completions_in_order(pool, "new")] == ["new", "new"]
    assert {each.workflow_id for each in await newest_completions(pool, "new")} == {"new"}
    assert await is_known(pool, "new") and not await is_known(pool, "old")


CHAINS = [
    ([("a", "b", 1), ("b", "c", 2)], {"a": "c", "b": "c"}),
    ([("a", "b", 1), ("b", "a", 2)], {"b": "a"}),
    ([("a", "b", 1), ("b", "a", 2), ("a", "c", 3)], {"a": "c", "b": "c"}),
    ([("b", "c", 1), ("a", "b", 2)], {"a": "b"}),
    ([("a", "b", 1), ("a", "b", 2)], {"a": "b"}),
    ([("a", "a", 1)], {}),
]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("chain", "wanted"), CHAINS, ids=repr)
async def test_x20_chains_and_repetitions_in_any_order(
    pool: Any, chain: list[tuple[str, str, int]], wanted: dict[str, str], backwards: bool
) -> None:
    writer = Writer(pool)
    for step in [*reversed(chain)] if backwards else chain:
        await writer.write(Rows(actions=[renamed(*step)]))
        await writer.write(Rows(actions=[renamed(*step)]))
    assert {each.old_id: each.new_id for each in await renames(pool)} == wanted


async def test_x20_a_retired_former_id_is_one_of_its_own(pool: Any) -> None:
    writer = Writer(pool)
    await writer.write(Rows(actions=[renamed("old", "new", 1)]))
    assert await renames(pool) == [Rename("old", "new", NOON + timedelta(minutes=1), "ops")]
    await writer.write(Rows(actions=[renamed("old", "", 2, kind="retire", new_id=None)]))
    await writer.write(Rows(executions=[row(completion("1", "old"))]))
    assert await renames(pool) == [] and await ids_of(pool, "executions", "workflow_id") == ["old"]


async def test_x20_what_is_being_stored_meanwhile_is_not_missed(pool: Any) -> None:
    """A recorder that has inserted rows of the former id and has not committed: the rename waits for it."""
    writer = Writer(pool)
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM renames")
        await other.execute(
            "INSERT INTO executions (execution_id, attempt, workflow_id, status, finished_at, stream_epoch,"
            " source_partition, source_offset, backfill, record_at, event)"
            " VALUES ('9', 1, 'old', 'success', now(), 1, 0, 9, false, now(), '{}')"
        )
        moving = asyncio.create_task(writer.write(Rows(actions=[renamed("old", "new", 1)])))
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'renames'::regclass"
        await wait_until(lambda: pool.fetchval(waits), "the rename waits for the other transaction")
    await moving
    assert await ids_of(pool, "executions", "workflow_id") == ["new"]


async def test_x20_the_api_notes_the_action_and_moves_no_rows(pool: Any) -> None:
    writer = Writer(pool)
    await writer.write(Rows(executions=[row(completion("1", "old"))]))
    action = renamed("old", "new", 1)
    await writer.write(Rows(actions=[row(action.event)]))
    assert await ids_of(pool, "executions", "workflow_id") == ["old"]


async def test_x20_what_else_names_a_workflow(pool: Any) -> None:
    silence = Action(action_id="s", kind="silence", by="ops", at=NOON, entity="workflow/tag:old")
    await Writer(pool).write(Rows(actions=[row(silence)]))
    await pool.execute(
        "INSERT INTO tokens (name, role, token_hash, workflow_id) VALUES ('cron', 'producer', 'x', 'old')"
    )
    assert await naming(pool, "old", NOON) == (["s"], ["cron"])
    assert await naming(pool, "old", NOON + timedelta(days=2)) == ([], ["cron"])
    assert await naming(pool, "new", NOON) == ([], [])


async def test_x20_a_number_of_a_source_leads_to_its_former_id_once(pool: Any) -> None:
    def at(minute: int) -> datetime:
        return NOON + timedelta(minutes=minute)

    async def shown(name: str, minute: int) -> str | None:
        found = await former_id(pool, "github", "1/2", name, at(minute))
        await note_number(pool, "github", "1/2", name, at(minute))
        return found

    assert await shown("github:a/x:ci.yml", 1) is None
    assert await shown("github:a/x:ci.yml", 2) is None
    assert await shown("github:a/y:ci.yml", 3) == "github:a/x:ci.yml"
    assert await shown("github:a/x:ci.yml", 2) is None, "an older delivery, sent again"
    assert await shown("github:a/y:ci.yml", 4) is None


async def test_x20_the_workflows_of_a_repository(pool: Any) -> None:
    states = [
        row(BaselineState(key=f"workflow:{name}", packed=b"\x04", state="normal"), number)
        for number, name in enumerate(("github:a/x:ci.yml", "github:a/x:cd.yml", "github:a/xy:ci.yml"))
    ]
    await Writer(pool).write(Rows(baselines=states))
    assert await ids_that_begin(pool, "github:a/x:") == ["github:a/x:cd.yml", "github:a/x:ci.yml"]
