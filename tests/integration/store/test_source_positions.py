"""X16: up to where the recorder has stored each partition, what a database of an older dump lacks, and rows of a
log that is another one now."""

from typing import Any

import asyncpg
import msgspec
import pytest

from stream_detector.events import Completion
from stream_detector.store import epochs
from stream_detector.store.rows import Row, Rows
from stream_detector.store.source_positions import (
    Gap,
    Reached,
    find_gaps,
    forget_gap,
    move_below,
    move_letters_below,
    set_position,
    stored_positions,
)
from stream_detector.store.write import Writer
from tests.events_made import NOON

TOPIC = "workflow-completions"


@pytest.fixture
async def epoch(pool: asyncpg.Pool) -> int:
    return await epochs.epoch_of(pool, "cluster/")


def row(offset: int, epoch: int, partition: int = 0) -> Row[Any]:
    event = Completion(
        execution_id=f"x{partition}-{offset}",
        workflow_id="nightly",
        status="success",
        started_at=NOON,
        finished_at=NOON,
        duration_s=None,
    )
    return Row(event, TOPIC, partition, offset, 0, epoch=epoch)


async def store(pool: asyncpg.Pool, epoch: int, first: int | None, end: int, *offsets: int) -> list[Gap]:
    writer = Writer(pool)
    rows = Rows(executions=[row(offset, epoch) for offset in offsets])
    assert await writer.write(rows, Reached(epoch, TOPIC, 0, first, end)) == []
    return writer.gaps


async def missing(pool: asyncpg.Pool, epoch: int | None, committed: int) -> list[tuple[int, int]]:
    return [(gap.first, gap.end) for gap in await find_gaps(pool, epoch, {(TOPIC, 0): committed})]


async def test_x16_batches_that_follow_each_other_leave_no_gap(pool: asyncpg.Pool, epoch: int) -> None:
    assert await store(pool, epoch, None, 105, 100, 101) == [], "the first start, on a topic with a past"
    assert await store(pool, epoch, 105, 110, 107) == []
    assert await store(pool, epoch, 105, 110, 107) == [], "read again after a crash before the commit"
    assert await store(pool, epoch, 110, 112) == [], "nothing to store, as with records that are refused"
    assert await stored_positions(pool, epoch) == {(TOPIC, 0): 112}
    assert await missing(pool, epoch, 112) == []


async def test_x16_a_database_of_an_older_dump_is_found_also_after_the_recorder_has_stored_on(
    pool: asyncpg.Pool, epoch: int
) -> None:
    await store(pool, epoch, None, 300, 299)
    assert await missing(pool, epoch, 500) == [(300, 500)], "the recorder has committed more"
    assert await store(pool, epoch, 500, 505, 500) == [Gap(TOPIC, 0, 300, 500)]
    assert await missing(pool, epoch, 505) == [(300, 500)]
    assert await store(pool, epoch, 505, 510, 505) == [], "it is noted once"
    await forget_gap(pool, epoch, Gap(TOPIC, 0, 300, 500))
    assert await missing(pool, epoch, 510) == []


async def test_x16_a_new_database_lacks_everything_that_was_committed(pool: asyncpg.Pool, epoch: int) -> None:
    assert await missing(pool, None, 500) == [(0, 500)], "the store has never seen the stream"
    assert await missing(pool, epoch, 500) == [(0, 500)]
    assert await missing(pool, epoch, -1) == [], "the recorder has never run"
    assert await store(pool, epoch, 500, 505, 500) == [Gap(TOPIC, 0, 0, 500)]


async def test_x16_a_database_of_an_earlier_version_lacks_nothing(pool: asyncpg.Pool) -> None:
    old = await pool.fetchval("INSERT INTO stream_epochs (identity) VALUES ('old/') RETURNING epoch")
    assert await missing(pool, old, 500) == []
    assert await store(pool, old, 500, 505, 500) == []
    assert await missing(pool, old, 505) == []


async def test_x16_what_a_recorder_of_an_earlier_version_stored_meanwhile_is_no_gap(
    pool: asyncpg.Pool, epoch: int
) -> None:
    await store(pool, epoch, None, 300, 299)
    await Writer(pool).write(Rows(executions=[row(350, epoch)]))
    assert await store(pool, epoch, 400, 405, 400) == []


async def test_x16_a_rewind_moves_the_position_back_and_keeps_what_is_still_missing(
    pool: asyncpg.Pool, epoch: int
) -> None:
    await store(pool, epoch, None, 300, 299)
    await store(pool, epoch, 500, 505, 500)
    await set_position(pool, epoch, TOPIC, 0, 350, Gap(TOPIC, 0, 300, 350))
    assert await missing(pool, epoch, 350) == [(300, 350)]
    assert await store(pool, epoch, 350, 505, 350) == []
    await set_position(pool, epoch, TOPIC, 0, 300)
    assert await missing(pool, epoch, 300) == []


async def offsets(pool: asyncpg.Pool, partition: int = 0) -> list[int]:
    rows = await pool.fetch(
        "SELECT source_offset FROM executions WHERE source_partition = $1 ORDER BY source_offset", partition
    )
    return [row[0] for row in rows]


async def test_x16_rows_of_a_truncated_log_lie_below_the_new_one_in_their_order(pool: asyncpg.Pool, epoch: int) -> None:
    rows = [row(offset, epoch) for offset in (497, 499, 519)] + [row(7, epoch, partition=1)]
    await Writer(pool).write(Rows(executions=rows))
    assert await move_below(pool, epoch, "executions", 0, 520) == 0, "they lie below"
    assert await move_below(pool, epoch, "executions", 0, 500) == 3
    assert await offsets(pool) == [477, 479, 499] and await offsets(pool, 1) == [7]
    assert await pool.fetchval("SELECT source_offset FROM executions WHERE execution_id = 'x0-519'") == 499


async def test_x16_dead_letters_name_no_offset_of_the_new_log(pool: asyncpg.Pool, epoch: int) -> None:
    for number, original in enumerate((3, 20)):
        await pool.execute(
            "INSERT INTO dead_letters (stream_epoch, source_partition, source_offset, original_topic,"
            " original_partition, original_offset, stage, reason, message, record_at)"
            " VALUES ($1, 0, $2, $3, 0, $4, 'decode', 'not_json', '', now())",
            epoch, number, TOPIC, original,
        )  # fmt: skip
    await move_letters_below(pool, epoch, TOPIC, 0, 10)
    await move_letters_below(pool, epoch, TOPIC, 1, 0)
    rows = await pool.fetch("SELECT original_offset FROM dead_letters ORDER BY source_offset")
    assert [row[0] for row in rows] == [-8, 9]
    assert await move_below(pool, epoch, "dead_letters", 0, 0) == 2, "also where the offset is the key"


async def test_x16_rows_that_the_recorder_has_of_the_new_log_stay(pool: asyncpg.Pool, epoch: int) -> None:
    """A topic that was made anew; the recorder was quicker than whoever noticed."""
    old, new = [row(offset, epoch) for offset in range(5)], [row(0, epoch, partition=0), row(1, epoch, partition=0)]
    new = [
        msgspec.structs.replace(each, event=_named(each.event, f"new-{n}"), record_ms=9000)
        for n, each in enumerate(new)
    ]
    await Writer(pool).write(Rows(executions=old + new))
    assert await move_below(pool, epoch, "executions", 0, 0, (0, 9000)) == 5
    assert await offsets(pool) == [-5, -4, -3, -2, -1, 0, 1]
    assert await move_below(pool, epoch, "executions", 0, 0, (0, 9000)) == 0, "again"


def _named(event: Completion, execution_id: str) -> Completion:
    return msgspec.structs.replace(event, execution_id=execution_id)
