"""The detector as its own process against real brokers."""

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_detector.events import RefusedError
from stream_detector.events.dead_letter import dead_letter_headers, read_dead_letter
from stream_detector.kafka.client import client_options
from stream_detector.kafka.dlq import fetch_dead_letter, retry
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import (
    ALERTS,
    BASELINES,
    BY_NAME,
    COMPLETIONS,
    DEAD_LETTERS,
    REKEYED,
    RUN_SUMMARIES,
    SCORE_RUNS,
    SCORES,
    owner_partition,
)
from tests.drills.ledger import counted, recovered
from tests.drills.stage import until
from tests.integration.roles.events import completion
from tests.integration.roles.programs import run_program

ROOT = Path(__file__).parents[3]


def tables(play, key, count):
    """What the program sees in `app.tables`."""
    return run_program("tables_program", play.settings, key, str(count))


async def test_state_is_a_faust_table_also_after_recovery(play, producer):
    topic = play.settings.topic(COMPLETIONS)
    for number in range(20):
        await producer.send(topic, completion(number), key=b"nightly")
    await producer.send_and_wait(topic, completion(20, "weekly"), key=b"weekly")
    first = await asyncio.to_thread(tables, play, "workflow:nightly", 21)
    assert first["items"] == {"workflow:nightly": 20, "workflow:weekly": 1}
    assert (first["len"], first["kind"]) == (2, "faust.tables.table.Table")
    assert first["refused"], "state changes by events alone"
    again = await asyncio.to_thread(tables, play, "workflow:nightly", 21)
    assert again == first


async def test_one_workflow_published_by_any_hash_has_one_baseline(play, producer):
    """With its id as the key, without a key, and on a partition that another client's hash chose."""
    settings = play.settings
    topic, home = settings.topic(COMPLETIONS), owner_partition("nightly", settings.partitions)
    detector = play.start("detector")
    for number in range(30):
        where = [{"key": b"nightly"}, {}, {"key": b"nightly", "partition": (home + 1) % settings.partitions}]
        await producer.send_and_wait(topic, completion(number), **where[number % 3])
    await play.drained("detector", alive=lambda: detector.alive)
    state = await recovered(settings)
    assert list(state) == ["workflow:nightly"]
    assert counted(state["workflow:nightly"], "workflow:nightly") == 30
    forwarded = [record async for record in read_topic(settings, REKEYED)]
    assert 10 <= len(forwarded) <= 20
    assert {record.partition for record in forwarded} == {home}


async def test_a_topic_with_other_partitions_than_ours_is_read_all_the_same(broker, make_settings, play, producer):
    """Producers make their topics as they like; a copartitioned worker must not touch state that is not its own."""
    from stream_detector.kafka.create_topics import make_topics

    settings = make_settings(broker=broker.address, topic_prefix=play.settings.topic_prefix + "wide.")
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(settings.topic(COMPLETIONS), 7, 1)])

        async def listed():
            return settings.topic(COMPLETIONS) in await admin.list_topics()

        await until(listed, "the topic")
    finally:
        await admin.close()
    await make_topics(settings)
    play.settings = settings
    detector = play.start("detector")
    for number in range(28):
        value = completion(number, f"flow-{number % 4}")
        await producer.send_and_wait(settings.topic(COMPLETIONS), value, partition=number % 7)
    await play.drained("detector", alive=lambda: detector.alive)
    state = await recovered(settings)
    assert {key: counted(packed, key) for key, packed in state.items()} == {f"workflow:flow-{n}": 7 for n in range(4)}
    assert detector.stop() == 0


async def test_a_score_run_has_one_summary_whatever_is_replayed(play, producer):
    settings = play.settings
    at = datetime.now(UTC) - timedelta(hours=1)

    async def score(entity, value, when, run_id):
        event = {"entity_id": entity, "entity_name": entity, "score": value, "scored_at": when.isoformat()}
        await producer.send_and_wait(
            settings.topic(SCORES), json.dumps(event | {"run_id": run_id}).encode(), key=entity.encode()
        )

    for entity in ("lido", "balancer", "aave"):
        await score(entity, 5.0, at - timedelta(days=1), "r0")
    for entity, value in (("lido", 3.0), ("balancer", 5.8), ("aave", 5.1), ("lido", 3.0)):
        await score(entity, value, at, "r1")
    for run_id, expected in (("r0", 3), ("r1", 3)):
        event = {"run_id": run_id, "status": "completed", "at": at.isoformat(), "expected": expected}
        await producer.send_and_wait(settings.topic(SCORE_RUNS), json.dumps(event).encode(), key=run_id.encode())
    for point in ("alerts-acked:1", "changelog-acked:1", "committed:1"):
        killed = play.start("detector", fault_point=point)

        async def dead(role=killed):
            return not role.alive

        await until(dead, point, play.last_words)
        assert killed.killed
    last = play.start("detector")
    await play.drained("detector", alive=lambda: last.alive)
    emitted = [msgspec.json.decode(record.value) async for record in read_topic(settings, RUN_SUMMARIES)]
    by_run = {summary["run_id"]: summary for summary in emitted}
    assert all(summary == by_run[summary["run_id"]] for summary in emitted), "a repeat has the same id and content"
    assert set(by_run) == {"r0", "r1"}
    assert [by_run["r1"][name] for name in ("scored", "failures", "anomaly_count")] == [3, 0, 2]
    assert [by_run["r0"][name] for name in ("scored", "anomaly_count")] == [3, 0]


@pytest.mark.drill
async def test_an_entity_missing_from_the_next_run_is_one_anomaly_whatever_is_replayed(play, producer):
    settings = play.settings
    at = datetime.now(UTC) - timedelta(days=1)
    detector = play.start("detector")
    for hour, (run_id, entities) in enumerate({"r1": ("lido", "aave", "curve"), "r2": ("lido", "aave")}.items()):
        when = (at + timedelta(hours=hour)).isoformat()
        for entity in entities:
            event = {"entity_id": entity, "entity_name": entity.title(), "score": 5, "scored_at": when}
            value = json.dumps(event | {"run_id": run_id, "entity_type": "dao"}).encode()
            await producer.send_and_wait(settings.topic(SCORES), value, key=entity.encode())
        event = {"run_id": run_id, "status": "completed", "at": when, "expected": len(entities)}
        await producer.send_and_wait(settings.topic(SCORE_RUNS), json.dumps(event).encode(), key=run_id.encode())
        if run_id == "r1":
            await play.drained("detector", alive=lambda detector=detector: detector.alive)
            assert detector.stop() == 0

    for point in ("alerts-acked:1", "changelog-acked:1", "committed:1"):
        killed = play.start("detector", fault_point=point)

        async def dead(role=killed):
            return not role.alive

        await until(dead, point, play.last_words)
        assert killed.killed
    last = play.start("detector")
    await play.drained("detector", alive=lambda: last.alive)

    async def reported():
        return any([True async for _ in read_topic(settings, ALERTS)])

    await until(reported, "the anomaly", play.last_words)
    records = [record async for record in read_topic(settings, ALERTS)]
    (value,) = {record.value for record in records}
    anomaly = msgspec.json.decode(value)
    assert [anomaly[name] for name in ("anomaly_type", "entity_id", "entity_name", "run_id")] == [
        "PatternDeviation",
        "curve",
        "Curve",
        "r2",
    ]
    home = owner_partition("curve", settings.partitions)
    assert {(record.key, record.partition) for record in records} == {(b"score:curve", home)}, "beside its own scores'"


async def test_a_refused_event_lies_on_dead_letters_with_its_own_bytes_and_headers(play, producer):
    settings = play.settings
    raw, headers = b'{"execution_id": \xff\x00 no json', [("traceparent", b"00-\xff"), ("empty", b"")]
    detector = play.start("detector")
    sent = await producer.send_and_wait(settings.topic(COMPLETIONS), raw, key=b"k\xff", headers=headers, partition=1)
    nothing = await producer.send_and_wait(settings.topic(SCORES), None, key=b"tombstone", partition=2)
    await producer.send_and_wait(settings.topic(COMPLETIONS), completion(1), key=b"nightly")
    await play.drained("detector", alive=lambda: detector.alive)
    letters = {record.key: record async for record in read_topic(settings, DEAD_LETTERS)}
    refused, tombstone = letters[b"k\xff"], letters[b"tombstone"]
    assert (refused.value, tombstone.value) == (raw, None)
    letter = read_dead_letter(refused.headers)
    assert letter.headers == headers
    assert (letter.topic, letter.partition, letter.offset) == (COMPLETIONS, 1, sent.offset)
    assert (letter.timestamp_ms, letter.stage) == (sent.timestamp, "decode")
    assert read_dead_letter(tombstone.headers).offset == nothing.offset
    assert counted((await recovered(settings))["workflow:nightly"], "workflow:nightly") == 1


async def test_a_refused_score_with_a_run_id_that_is_too_long_stops_nothing(play, producer):
    """It is in no run: a run part has the same limits, and one beyond them would end the detector again and again."""
    settings = play.settings
    at = datetime.now(UTC).isoformat()
    detector = play.start("detector")
    for run_id, name in (("r" * 257, "Lido"), ("", "Lido"), ("r1", "n" * 513)):
        event = {"entity_id": "lido", "entity_name": name, "score": 5, "scored_at": at, "run_id": run_id}
        await producer.send_and_wait(settings.topic(SCORES), json.dumps(event).encode(), key=b"lido")
    await play.drained("detector", alive=lambda: detector.alive)
    assert len([record async for record in read_topic(settings, DEAD_LETTERS)]) == 3
    assert detector.stop() == 0


async def test_a_dead_letter_sent_again_twice_counts_once(play, producer):
    """It keeps its key and its id, so a second retry is a duplicate like any other."""
    settings = play.settings
    error = RefusedError("decode", "future", "it was too early")
    headers = dead_letter_headers(
        [], topic=settings.topic(COMPLETIONS), partition=1, offset=0, timestamp_ms=1, error=error
    )
    letter = await producer.send_and_wait(
        settings.topic(DEAD_LETTERS), completion(1), key=b"nightly", headers=headers, partition=0
    )
    lying = await fetch_dead_letter(settings, 0, letter.offset)
    for _ in range(2):
        assert (await retry(settings, lying))[:2] == (COMPLETIONS, 1)
    detector = play.start("detector")
    await play.drained("detector", alive=lambda: detector.alive)
    assert counted((await recovered(settings))["workflow:nightly"], "workflow:nightly") == 1


async def test_it_is_ready_once_it_owns_partitions_and_alive_all_the_time(play):
    detector = play.start("detector")

    async def answers():
        return await asyncio.to_thread(detector.answers, "/livez") != 0

    await until(answers, "the port", play.last_words)
    assert detector.answers("/readyz") == 503
    assert detector.answers("/livez") == 200

    async def ready():
        return await asyncio.to_thread(lambda: detector.ready)

    await until(ready, "readiness", play.last_words)
    assert detector.answers("/livez") == 200
    assert detector.stop() == 0


@pytest.mark.cold
@pytest.mark.parametrize("said", ["", "starting, broker"])
async def test_sigterm_at_any_time_of_the_start_ends_it_in_order(play, said):
    for patience_s in (0.0, 0.2, 1.0, 2.0):
        detector = play.start("detector")

        async def spoke(role=detector):
            return said in role.child.last_lines(1)

        await until(spoke, "the first line")
        await asyncio.sleep(patience_s)  # somewhere in the start: before the consumer, in the join, in recovery
        code = await asyncio.to_thread(detector.stop)  # one signal: a second one ends it at once
        assert code in (0, -signal.SIGTERM), play.last_words()
        assert "Traceback" not in detector.child.log_path.read_text()


async def test_sigterm_while_a_join_waits_for_another_member_ends_it_in_order(play, request):
    """The broker answers a join once all others have joined: here one does not before its session is over."""
    stopped = play.start("detector", session_timeout_s="12")
    await until(lambda: asyncio.to_thread(lambda: stopped.ready), "readiness", play.last_words)
    stopped.child.send(signal.SIGSTOP)
    joining = play.start("detector", session_timeout_s="12")

    async def joins():
        state, members = await describe_group(play.settings)
        return state != "Stable" and members == 2

    await until(joins, "the join", play.last_words)
    assert await asyncio.to_thread(joining.stop) == 0, play.last_words()
    if "apache" in request.node.callspec.id:  # the embedded broker answers the leaving, and keeps the member
        assert (await describe_group(play.settings))[1] == 1, "it has left the group"


async def describe_group(settings):
    """State of the detectors' group, as its broker names it, and how many members it has."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        [answer] = await admin.describe_consumer_groups([settings.group("detector")])
    finally:
        await admin.close()
    group = answer.groups[0]
    return group[2], len(group[5])


async def make_anew(settings, name, config=None):
    """Delete a topic of ours and make it again, as somebody does who thinks that it only needs emptying."""
    topic = settings.topic(name)
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        await admin.delete_topics([topic])

        async def gone():
            return topic not in await admin.list_topics()

        await until(gone, "the topic to go")

        async def made():
            await admin.create_topics([NewTopic(topic, settings.partitions, 1, topic_configs=config or {})])
            return topic in await admin.list_topics()

        await until(made, "the new topic")
    finally:
        await admin.close()


async def refuses(play, said):
    again = play.start("detector")

    async def ended():
        return not again.alive

    await until(ended, "the detector to refuse", play.last_words)
    assert again.child.process.returncode != 0
    assert said in again.child.last_lines(3)


async def test_a_topic_made_anew_is_refused(play, producer):
    settings = play.settings
    topic = settings.topic(COMPLETIONS)
    home = owner_partition("nightly", settings.partitions)
    for number in range(5):
        await producer.send_and_wait(topic, completion(number), key=b"nightly")
    detector = play.start("detector")
    await play.drained("detector", alive=lambda: detector.alive)
    assert detector.stop() == 0
    await make_anew(settings, COMPLETIONS)
    await producer.client.force_metadata_update()
    await producer.send_and_wait(topic, completion(9), key=b"nightly", partition=home)
    await refuses(play, "the topic was recreated")


async def test_a_changelog_made_anew_is_refused_since_what_was_learned_is_gone(play, producer):
    settings = play.settings
    home = owner_partition("nightly", settings.partitions)
    await producer.send_and_wait(settings.topic(COMPLETIONS), completion(1), key=b"nightly")
    detector = play.start("detector")
    await play.drained("detector", alive=lambda: detector.alive)
    assert detector.stop() == 0
    await make_anew(settings, BASELINES, BY_NAME[BASELINES].config())
    name = settings.topic(BASELINES)
    await refuses(play, f"{name}-{home} is empty, although {settings.topic(COMPLETIONS)}-{home} was read up to 1")
    await refuses(play, "delete the consumer group")  # it has left no trace that would let the next start pass


async def test_w01_an_anomaly_is_on_alerts_while_the_worker_runs_on(play, producer):
    detector = play.start("detector")
    for number in range(3):
        await producer.send_and_wait(
            play.settings.topic(COMPLETIONS), completion(number, status="failure"), key=b"nightly"
        )
    await play.drained("detector", alive=lambda: detector.alive)
    found = [msgspec.json.decode(record.value) async for record in read_topic(play.settings, ALERTS)]
    assert [anomaly["anomaly_type"] for anomaly in found] == ["ConsecutiveFailures"]
