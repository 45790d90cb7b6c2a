"""Several events of one record are rows at one offset: in order, page by page, moved and explained by their index."""

import random
from datetime import timedelta

import asyncpg
import msgspec
import pytest

from stream_detector.delivery.state import changelog_record
from stream_detector.events.encode import encode
from stream_detector.kafka import topics
from stream_detector.roles.restore.missing import Heads
from stream_detector.store import dead_letters, executions, scores, state_records
from stream_detector.store.position import Position
from stream_detector.store.rows import DeadLetterNote, Rows
from stream_detector.store.state_records import EXECUTIONS, SCORE_RUNS, Candidate, Place
from stream_detector.store.write import Writer
from tests.events_made import NOON, completion, row, run_event, score


async def test_x20_history_is_read_by_offset_and_index_page_by_page(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (executions, scores):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 3)
    places = [(offset, index) for offset in range(4) for index in range(5)]
    mixed = random.Random(1).sample(places, len(places))
    await Writer(pool).write(
        Rows(
            executions=[row(completion(f"{at}"), at[0], index=at[1]) for at in mixed],
            scores=[
                row(score(scored_at=NOON + timedelta(seconds=10 * at[0] + at[1])), at[0], index=at[1]) for at in mixed
            ],
        )
    )
    found = [each async for each in executions.completions_in_order(pool, "nightly", Position(0, 0, 2, 3))]
    assert [each.position[2:] for each in found] == [at for at in places if at <= (2, 3)]
    assert [each.event.execution_id for each in found] == [f"{at}" for at in places if at <= (2, 3)]
    scored = [each.position[2:] async for each in scores.scores_in_order(pool, "lido", NOON + timedelta(days=1))]
    assert scored == places
    complete = await executions.completeness(pool, "nightly", None, Position(0, 0, 2, 3), NOON)
    assert (complete.epochs, complete.partitions) == (1, 1)


async def test_x20_the_refusal_of_a_neighbour_is_not_that_of_an_event(pool: asyncpg.Pool) -> None:
    note = DeadLetterNote(
        topic="scores", partition=0, offset=7, timestamp_ms=None, stage="decode", reason="not_json", message="x"
    )
    indexed = msgspec.structs.replace(note, index=3)
    await Writer(pool).write(Rows(dead_letters=[row(indexed, 1)]))
    assert await dead_letters.refusal(pool, "scores", Position(0, 0, 7, 2)) is None
    assert await dead_letters.refusal(pool, "scores", Position(0, 0, 7, 3)) is not None
    await Writer(pool).write(Rows(dead_letters=[row(note, 2)]))
    assert await dead_letters.refusal(pool, "scores", Position(0, 0, 7, 2)) is not None, "the record as a whole"


async def test_x20_events_of_one_record_are_published_again_and_moved_each_for_itself(pool: asyncpg.Pool) -> None:
    given = [row(completion(f"e{index}", f"flow-{index % 3}"), 7, index=index, epoch=1) for index in range(6)]
    runs = [row(run_event("started", f"r{index}"), 7, index=index, epoch=1) for index in range(2)]
    await Writer(pool).write(Rows(executions=given, score_runs=runs))
    found = await state_records.candidates(pool, EXECUTIONS, 1, 0, 0)
    assert [each.place for each in found] == [Place(1, 0, 7, index) for index in range(6)]
    wanted = [Place(1, 0, 7, index) for index in (1, 4)]
    events = await state_records.events_at(pool, EXECUTIONS, wanted)
    assert [each.place for each in events] == wanted
    assert all(f'"e{each.place.event_index}"'.encode() in each.event for each in events)
    assert await state_records.n_bytes_at(pool, EXECUTIONS, wanted) == sum(len(each.event) for each in events)
    async with pool.acquire() as connection:
        moved = [(place, Place(2, index, 10 + index)) for index, place in enumerate(wanted)]
        await state_records.move(connection, EXECUTIONS, moved)
        await state_records.move(connection, SCORE_RUNS, [(Place(1, 0, 7, 1), Place(2, 0, 0))])
    stored = await pool.fetch(
        "SELECT execution_id, stream_epoch, source_partition, source_offset, source_index FROM executions"
    )
    assert {each[0]: tuple(each)[1:] for each in stored} == {
        **{f"e{index}": (1, 0, 7, index) for index in (0, 2, 3, 5)},
        "e1": (2, 0, 10, 0),
        "e4": (2, 1, 11, 0),
    }
    again = await state_records.run_events(pool, 1)
    assert [each.place for each in again] == [Place(1, 0, 7, 0)]


@pytest.mark.parametrize(
    ("marks", "lacking"),
    [
        ({"workflow-completions/0": 7}, [0, 1, 2]),
        ({"workflow-completions/0": 7, "workflow-completions/0/index": 2}, [2]),
        ({"workflow-completions/0": 8}, []),
    ],
)
def test_x20_what_was_forwarded_of_a_record_and_not_applied_is_missing(
    marks: dict[str, int], lacking: list[int]
) -> None:
    head = changelog_record.encode_header(1, {topics.REKEYED: 5})
    heads = Heads(1, {}, {1: (1, head + changelog_record.encode_watermarks(marks))})
    found = [
        index
        for index in range(3)
        if heads.lacks(Candidate(Place(1, 0, 7, index), None, False, 1, 1, head), topics.COMPLETIONS)
    ]
    assert found == lacking


async def test_x20_a_recorder_of_before_stores_rows_without_an_index(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "INSERT INTO executions (execution_id, attempt, workflow_id, status, finished_at, stream_epoch,"
        " source_partition, source_offset, backfill, record_at, event)"
        " VALUES ('old', 1, 'nightly', 'success', now(), 1, 0, 5, false, now(), $1)",
        encode(completion("old")),
    )
    (found,) = [each async for each in executions.completions_in_order(pool, "nightly")]
    assert found.position == Position(1, 0, 5, 0)
