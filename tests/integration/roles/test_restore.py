"""X2: state from the database onto topics without any, and the events that it lacks once more."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.errors import KafkaError

from stream_detector.delivery.state import changelog_record
from stream_detector.detect import Config, step
from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.events.decode import decode_completion
from stream_detector.events.encode import encode
from stream_detector.events.headers import is_restored
from stream_detector.kafka.client import client_options
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import EndOffsets, read_topic
from stream_detector.kafka.preflight import SetupError, TopicMismatchError
from stream_detector.kafka.topics import ACTIONS, BASELINES, COMPLETIONS, SCORE_RUNS, SCORES, owner_partition
from stream_detector.roles.restore import new_broker as new_broker_module
from stream_detector.roles.restore.new_broker import Restored, RestoreError, restore_new_broker
from stream_detector.roles.restore.same_topics import restore_same_topics
from stream_detector.store.connect import StoreAwayError
from tests.drills.stage import Play, until
from tests.events_made import action

NOW = datetime.now(UTC).replace(microsecond=0)
Put = Callable[..., Awaitable[None]]
NewBroker = Callable[..., Awaitable[Restored | None]]


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Any:
    """What is restored lies on our side of it; to delete a topic and to keep offsets, Kafka itself is needed."""
    return request.getfixturevalue("apache" if request.node.get_closest_marker("apache") else "tansu")


@pytest.fixture
def play(play: Play, pool: asyncpg.Pool, postgres_url: str) -> Play:
    play.settings = replace(play.settings, database_url=postgres_url)
    return play


@pytest.fixture
def put(play: Play, producer: Any) -> Put:
    """Publishes, on the owner's partition unless another one is named."""

    async def send(topic: str, owner: str, *values: dict[str, Any] | bytes, partition: int | None = None) -> None:
        place = owner_partition(owner, play.settings.partitions) if partition is None else partition
        for value in values:
            raw = value if isinstance(value, bytes) else json.dumps(value).encode()
            await producer.send(play.settings.topic(topic), raw, key=owner.encode(), partition=place)
        await producer.flush()

    return send


@pytest.fixture
def new_broker(play: Play, pool: asyncpg.Pool) -> NewBroker:
    """Everything at once is gone but the database; topics of another prefix are another stream, as on a new broker."""

    async def renew(**how: Any) -> Restored | None:
        for role in play.roles:
            role.kill()
        play.settings = replace(play.settings, topic_prefix=f"{play.settings.topic_prefix}n.")
        await make_topics(play.settings)
        return await restore_new_broker(play.settings, pool, **how)

    return renew


async def running(play: Play, *roles: str) -> None:
    """Start them, and wait until they have processed what there is."""
    started = [play.start(role) for role in roles]
    await play.drained(*roles, alive=lambda: all(role.alive for role in started))


def execution(number: int, duration_s: float, workflow: str = "nightly") -> dict[str, Any]:
    ended = NOW - timedelta(minutes=30 * (100 - number))
    return {
        "execution_id": f"{workflow}-{number}",
        "workflow_id": workflow,
        "status": "success",
        "started_at": (ended - timedelta(seconds=duration_s)).isoformat(),
        "finished_at": ended.isoformat(),
        "duration_s": duration_s,
    }


def score(value: float, number: int, entity: str = "lido") -> dict[str, Any]:
    at = (NOW - timedelta(minutes=30 * (100 - number))).isoformat()
    return {"entity_id": entity, "entity_name": entity.title(), "score": value, "scored_at": at, "run_id": f"r{number}"}


async def anomalies(pool: asyncpg.Pool) -> list[tuple[str, float, float]]:
    rows = await pool.fetch("SELECT entity_id, baseline_value, current_value FROM anomalies ORDER BY detected_at")
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("partition", [pytest.param(None, marks=pytest.mark.drill), 3])
async def test_x2_an_event_that_is_stored_and_not_in_the_stored_state_is_judged_after_the_restore(
    play: Play, put: Put, pool: asyncpg.Pool, new_broker: NewBroker, partition: int | None
) -> None:
    """Also where a producer does not key by the id, so that it was passed on to its owner."""
    await put(SCORES, "lido", score(6.2, 1), partition=partition)
    await running(play, "detector", "recorder")
    play.roles[0].kill()
    await put(SCORES, "lido", score(3.0, 2), partition=partition)
    await play.drained("recorder")
    assert not await anomalies(pool)
    restored = await new_broker()
    assert restored and (restored.baselines, restored.published_again) == (1, 1)
    await running(play, "detector", "recorder")
    assert await anomalies(pool) == [("lido", 6.2, 3.0)]
    again = [record async for record in read_topic(play.settings, SCORES)]
    assert len(again) == 1 and is_restored(again[0].headers)
    restored = await new_broker()  # nothing is lacking now, whatever lies where
    assert restored and (restored.baselines, restored.published_again) == (1, 0)


@pytest.mark.drill
async def test_x2_a_crash_right_after_a_restore_is_followed_by_the_same_restore(
    play: Play, put: Put, pool: asyncpg.Pool, new_broker: NewBroker
) -> None:
    await put(SCORES, "lido", score(6.2, 1))
    await running(play, "detector", "recorder")
    play.roles[0].kill()
    await put(SCORES, "lido", score(3.0, 2))
    await play.drained("recorder")
    for _ in range(3):
        restored = await new_broker()
        assert restored and (restored.baselines, restored.published_again) == (1, 1)
        await running(play, "recorder")  # it stores what was restored; the detector never comes to it
    restored = await new_broker()
    await running(play, "detector", "recorder")
    assert await anomalies(pool) == [("lido", 6.2, 3.0)]


async def test_x2_a_value_whose_old_position_was_5000_meets_event_0(
    play: Play, put: Put, pool: asyncpg.Pool, new_broker: NewBroker
) -> None:
    await put(COMPLETIONS, "nightly", *(execution(n % 40, 100.0 + n % 3) for n in range(5_000)))
    await running(play, "detector", "recorder")
    value = await pool.fetchval("SELECT value FROM state_records WHERE key = 'workflow:nightly'::bytea")
    assert changelog_record.positions_of(value)[COMPLETIONS] == 5_000
    assert await new_broker()
    (record,) = [record async for record in read_topic(play.settings, BASELINES)]
    assert record.value == changelog_record.encode_header(1, {}) + changelog_record.payload_of(value)
    await put(COMPLETIONS, "nightly", execution(99, 900.0))
    await running(play, "detector", "recorder")
    assert [each[2] for each in await anomalies(pool)] == [900.0]


async def test_x14_a_silence_that_is_on_the_list_is_in_force_though_no_notifier_had_read_it(
    play: Play, put: Put, pool: asyncpg.Pool, new_broker: NewBroker
) -> None:
    await put(COMPLETIONS, "nightly", *(execution(n, 100.0 + n % 3) for n in range(45)))
    await running(play, "detector", "notifier", "recorder")
    play.roles[1].kill()
    until_at = NOW + timedelta(days=1)
    await put(ACTIONS, "nightly", encode(action("1", "silence", entity="workflow:nightly", at=NOW, until=until_at)))
    await play.drained("recorder")
    restored = await new_broker()
    assert restored and restored.silences == 0 and restored.published_again == 1
    await put(COMPLETIONS, "nightly", execution(99, 900.0))
    await running(play, "detector", "notifier", "recorder")
    rows = await pool.fetch("SELECT outcome, convert_from(event, 'UTF8') AS event FROM notifications")
    assert rows and all("silence" in row["event"] for row in rows if row["outcome"] != "held"), rows


async def test_x2_the_parts_and_the_end_of_a_run_that_its_stored_state_lacks_are_published_again(
    play: Play, put: Put, pool: asyncpg.Pool, new_broker: NewBroker
) -> None:
    at = NOW.isoformat()
    await put(SCORE_RUNS, "r2", {"run_id": "r2", "status": "started", "at": at, "expected": 3})
    await put(SCORES, "lido", score(6.2, 1), score(3.0, 2))
    await put(SCORES, "aave", score(5.0, 2, "aave"))
    await running(play, "detector", "recorder")
    play.roles[0].kill()
    await put(SCORES, "ens", score(5.0, 2, "ens"))
    await put(SCORE_RUNS, "r2", {"run_id": "r2", "status": "completed", "at": at, "expected": 3})
    await play.drained("recorder")
    await pool.execute("DELETE FROM state_records WHERE topic = 'runs-state' AND key = 'r2'::bytea")  # as before it
    restored = await new_broker()
    # the score of ens, two events of the run, and the parts of lido and aave
    assert restored and (restored.baselines, restored.published_again) == (2, 5)
    await running(play, "detector", "recorder")

    async def summed_up() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM run_summaries WHERE run_id = 'r2'"))

    await until(summed_up, "the summary", play.last_words)
    await play.drained("detector", "recorder")
    run = await pool.fetchrow("SELECT scored, anomaly_count, status FROM runs WHERE run_id = 'r2'")
    assert tuple(run) == (3, 1, "completed")


async def test_x2_a_broker_that_has_state_is_left_as_it_is(
    play: Play, put: Put, pool: asyncpg.Pool, new_broker: NewBroker
) -> None:
    await put(SCORES, "lido", score(6.2, 1))
    await running(play, "detector", "recorder")
    assert await restore_new_broker(play.settings, pool) is None
    assert await new_broker()
    assert await restore_new_broker(play.settings, pool) is None


@pytest.mark.drill
async def test_x2_a_restore_that_was_interrupted_is_done_again(
    play: Play, put: Put, pool: asyncpg.Pool, new_broker: NewBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(SCORES, "lido", score(6.2, 1))
    await running(play, "detector", "recorder")

    async def away(*_: Any) -> None:
        raise StoreAwayError("gone")

    with monkeypatch.context() as harm:
        harm.setattr(new_broker_module, "_note_moved", away)
        with pytest.raises(StoreAwayError):
            await new_broker()
    assert len([record async for record in read_topic(play.settings, BASELINES)]) == 1
    restored = await restore_new_broker(play.settings, pool)
    assert restored and restored.baselines == 1
    await put(SCORES, "lido", score(3.0, 2))
    await running(play, "detector", "recorder")
    assert await anomalies(pool) == [("lido", 6.2, 3.0)]


async def test_x2_what_does_not_fit_is_refused_before_anything_is_written(
    play: Play, put: Put, pool: asyncpg.Pool, new_broker: NewBroker
) -> None:
    await put(SCORES, "lido", score(6.2, 1))
    await running(play, "detector", "recorder")
    with pytest.raises(RestoreError, match=r"MB of state and events to restore.*--broker apache"):
        await new_broker(room_bytes=10)
    assert not [record async for record in read_topic(play.settings, BASELINES)]
    await pool.execute("UPDATE state_records SET value = set_byte(value, 0, 9) WHERE key = 'score:lido'::bytea")
    with pytest.raises(RestoreError, match="a later version wrote 1 of the stored values: start that version"):
        await restore_new_broker(play.settings, pool)
    assert not [record async for record in read_topic(play.settings, BASELINES)]
    await pool.execute("UPDATE state_records SET value = set_byte(value, 0, 1)")
    assert await restore_new_broker(play.settings, pool)


async def delete_topic(play: Play, name: str) -> None:
    """As an operator does by mistake; `setup` makes it again."""
    admin = AIOKafkaAdminClient(**client_options(play.settings))
    await admin.start()
    try:
        await admin.delete_topics([play.settings.topic(name)])
    finally:
        await admin.close()

    async def gone() -> bool:
        try:
            return bool(await make_topics(play.settings))
        except (KafkaError, SetupError):
            return False  # deleted in part

    await until(gone, "the topic to be deleted and made again")


@pytest.mark.apache
async def test_x2_baselines_alone_are_restored_with_their_positions_and_what_came_since_is_read_again(
    play: Play, put: Put, pool: asyncpg.Pool
) -> None:
    names = [f"dao{n}" for n in range(20)]
    for name in names:
        await put(SCORES, name, score(6.2, 1, name))
    await running(play, "detector", "recorder")
    with pytest.raises(RestoreError, match="in the group"):
        await restore_same_topics(play.settings, pool)
    for role in play.roles:
        role.stop()
    with pytest.raises(RestoreError, match=r"baselines holds [\d,]+ records"):
        await restore_same_topics(play.settings, pool)
    for name in names:
        await put(SCORES, name, score(3.0, 2, name))
    await running(play, "detector")  # its state is stored nowhere
    play.roles[-1].stop()
    await delete_topic(play, BASELINES)
    with pytest.raises(TopicMismatchError, match="has 4 partitions and should have 5"):
        await restore_same_topics(replace(play.settings, partitions=5), pool)
    restored = await restore_same_topics(play.settings, pool)
    assert restored.values == {BASELINES: 20} and restored.read_again >= 20
    await running(play, "detector", "recorder")
    assert sorted(await anomalies(pool)) == sorted((name, 6.2, 3.0) for name in names)
    for name in names:
        await put(SCORES, name, score(3.0, 3, name), score(9.0, 4, name))
    await play.drained("detector", "recorder")
    assert sorted(await anomalies(pool)) == sorted([(n, 6.2, 3.0) for n in names] + [(n, 3.0, 9.0) for n in names])


@pytest.mark.apache
@pytest.mark.drill
async def test_x16_baselines_are_restored_where_an_input_has_more_partitions_and_its_old_records_are_deleted(
    play: Play, put: Put, producer: Any, pool: asyncpg.Pool
) -> None:
    scores, names = play.settings.topic(SCORES), [f"dao{n}" for n in range(20)]
    admin = AIOKafkaAdminClient(**client_options(play.settings))
    await admin.start()
    try:
        await admin.create_partitions({scores: NewPartitions(6)})
        while len(await producer.partitions_for(scores)) < 6:
            await producer.client.force_metadata_update()
        for number, name in enumerate(names):
            await put(SCORES, name, score(6.2, 1, name), partition=number % 6)
        await running(play, "detector", "recorder")
        for role in play.roles:
            role.stop()
        for number, name in enumerate(names):
            await put(SCORES, name, score(3.0, 2, name), partition=number % 6)
        await running(play, "detector")  # its state is stored nowhere
        play.roles[-1].stop()
        async with EndOffsets(play.settings, [SCORES]) as asked:
            committed = await asked.committed("detector", [SCORES])
        assert len(committed) == 6 and min(committed.values()) > 0
        await admin.delete_records(
            {tp: RecordsToDelete(before_offset=offset) for tp, offset in committed.items()}
        )  # as retention does
        await delete_topic(play, BASELINES)
        restored = await restore_same_topics(play.settings, pool)
        assert restored.values == {BASELINES: 20} and restored.read_again >= 20, "what `rekeyed` has of them"
        for number, name in enumerate(names):
            await put(SCORES, name, score(9.0, 3, name), partition=number % 6)
        await running(play, "detector", "recorder")
    finally:
        await admin.close()
    assert sorted(await anomalies(pool)) == sorted([(n, 6.2, 3.0) for n in names] + [(n, 3.0, 9.0) for n in names])


async def test_x2_another_number_of_partitions_has_each_key_at_its_owner(
    play: Play, put: Put, pool: asyncpg.Pool, new_broker: NewBroker
) -> None:
    names = [f"dao{n}" for n in range(40)]
    for name in names:
        await put(SCORES, name, score(6.2, 1, name))
    await running(play, "detector", "recorder")
    play.settings = replace(play.settings, partitions=7)
    assert await new_broker()
    for name in names:
        await put(SCORES, name, score(3.0, 2, name))
    await running(play, "detector", "recorder")
    assert sorted(await anomalies(pool)) == sorted((name, 6.2, 3.0) for name in names)


async def test_x2_a_recorder_that_reads_on_stores_every_kind_of_state(play: Play, put: Put, pool: asyncpg.Pool) -> None:
    await put(SCORES, "lido", score(6.2, 1), score(3.0, 2))
    await running(play, "detector", "notifier", "recorder")

    async def stored() -> bool:
        rows = await pool.fetch("SELECT DISTINCT topic FROM state_records")
        return {row["topic"] for row in rows} == {"baselines", "runs-state", "notifier-state"}

    await until(stored, "the state of every topic", play.last_words)
    assert not await pool.fetchval("SELECT count(*) FROM state_records WHERE encode(key, 'escape') LIKE '%claim'")


async def test_x2_100000_keys_are_restored_in_3_seconds(play: Play, pool: asyncpg.Pool) -> None:
    """With 300,000 stored executions, the last 100 of which the stored state lacks."""
    keys, executions = 100_000, 300_000
    baseline = WorkflowBaseline.new("workflow:w")
    for number in range(45):
        step(baseline, decode_completion(json.dumps(execution(number, 100.0 + number % 7)).encode(), (), -1), Config())
    packed, at = baseline.pack(), NOW - timedelta(days=1)
    homes = [owner_partition(f"w{number}", 4) for number in range(keys)]
    heads = [changelog_record.encode_header(3, {COMPLETIONS: executions - 100 - late}) for late in (0, 5)]
    await pool.copy_records_to_table(
        "state_records",
        columns=["topic", "partition", "key", "value", "owner_epoch", "stream_epoch", "source_offset", "record_at"],
        records=[
            (BASELINES, homes[n], f"workflow:w{n}".encode(), heads[n % 2] + packed, 3, 1, n, at) for n in range(keys)
        ],
    )
    columns = "execution_id attempt workflow_id status finished_at stream_epoch source_partition source_offset backfill"
    await pool.copy_records_to_table(
        "executions",
        columns=[*columns.split(), "record_at", "event"],
        records=[
            (f"e{n}", 1, f"w{n % keys}", "success", at, 1, homes[n % keys], n, False, at, b"{}")
            for n in range(executions)
        ],
    )
    await pool.execute("INSERT INTO stream_epochs (identity) VALUES ('the one before')")
    restored = await restore_new_broker(play.settings, pool)  # on an idle machine of two cores it takes 1.1 s in all
    assert restored and restored.baselines == keys and 100 <= restored.published_again <= 105
