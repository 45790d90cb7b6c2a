"""`setup --repartition N`: more partitions for our topics; every key goes on with its baseline, at its new owner.

The embedded broker cannot add partitions.
"""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from stream_detector.delivery import faults
from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.kafka.client import client_options
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.preflight import TopicMismatchError, read_topics, run_preflight
from stream_detector.kafka.topics import (
    ALERTS,
    BASELINES,
    REKEYED,
    RUN_SUMMARIES,
    RUNS_STATE,
    SCORE_RUNS,
    SCORES,
    owner_partition,
)
from stream_detector.roles.restore.new_broker import owner_id
from stream_detector.roles.restore.repartition import OURS, Repartitioned, RepartitionError, repartition
from stream_detector.settings import Settings, environ_of
from tests.drills.load import completions
from tests.drills.stage import Play, until
from tests.integration.roles.test_changing_topics import KEYS, assert_exact, broker, drained, publish

pytestmark = [pytest.mark.apache, pytest.mark.drill]
PACKED: Codec[bytes] = Codec(bytes, lambda _, packed: packed, max_unpacked=0)
__all__ = ["broker"]


async def stopped(play: Play, detector: Any) -> None:
    await drained(play, detector)
    assert await asyncio.to_thread(detector.stop) == 0


async def run_setup(settings: Settings, *arguments: str, fault_point: str = "") -> tuple[int, str, str]:
    """The command as its own process: exit code, stdout, stderr."""
    environ = environ_of(settings) | {"STREAM_DETECTOR_FAULT_POINT": fault_point}
    command = [sys.executable, "-m", "stream_detector", "setup", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


class KilledError(BaseException):
    """In place of SIGKILL."""


async def interrupted(settings: Settings, n: int, write: int, monkeypatch: Any) -> Repartitioned | None:
    """What was done; None where that ended behind the write of this number."""
    left = write

    def reach(point: str) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(faults, "reach", reach)
        try:
            return await repartition(settings, n)
        except KilledError:
            return None


async def owners(settings: Settings, topic: str) -> dict[str, set[int]]:
    """Key -> the partitions that have a value of it, read as their owners read them."""
    partitions: dict[int, StatePartition[bytes]] = defaultdict(lambda: StatePartition(PACKED))
    async for record in read_topic(settings, topic):
        partitions[record.partition].apply_changelog([record])
    found: dict[str, set[int]] = defaultdict(set)
    for number, partition in partitions.items():
        partition.finish_recovery(-1)
        for key in partition.packed:
            found[key.decode()].add(number)
    return found


async def assert_each_key_is_with_its_owner(settings: Settings, topic: str, n: int) -> None:
    for key, numbers in (await owners(settings, topic)).items():
        assert numbers == {owner_partition(owner_id(topic, key), n)}, key


async def counts_of(settings: Settings) -> dict[str, int]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        states = await read_topics(admin, settings)
        return {state.topic.name: state.partitions for state in states if state.topic.name in OURS}
    finally:
        await admin.close()


async def no_detector_starts(settings: Settings) -> bool:
    try:
        await run_preflight(settings, "detector")
    except TopicMismatchError as error:
        assert "setup --repartition 6" in str(error)
        return True
    return False


async def publish_run(settings: Settings, run_id: str, entities: Sequence[str], *, ends: bool) -> None:
    at = datetime.now(UTC).isoformat()
    async with AIOKafkaProducer(**client_options(settings), acks="all") as producer:

        async def send(topic: str, key: str, **event: Any) -> None:
            await producer.send_and_wait(settings.topic(topic), json.dumps(event).encode(), key=key.encode())

        for entity in entities:
            await send(SCORES, entity, entity_id=entity, entity_name=entity, score=5.0, scored_at=at, run_id=run_id)
        if ends:
            await send(SCORE_RUNS, run_id, run_id=run_id, status="completed", at=at)


async def test_detection_goes_on_as_if_there_had_always_been_as_many(play):
    """Twice, from 4 to 7 and to 12 partitions, with a score run that is open meanwhile."""
    settings, events = play.settings, [*islice(completions(5, 3_000, KEYS), 3_000)]
    for turn, n in enumerate((4, 7, 12)):
        if turn:
            would = await repartition(settings, n, dry_run=True)
            assert (await counts_of(settings))[BASELINES] == would.before < n, "a dry run changes nothing"
            done = await repartition(settings, n)
            assert done == would and 0 < done.moved[BASELINES] < done.keys[BASELINES]
            assert set((await counts_of(settings)).values()) == {n}
            for topic in (BASELINES, RUNS_STATE):
                await assert_each_key_is_with_its_owner(settings, topic, n)
            again = await repartition(settings, n)
            assert not any(again.moved.values()), "a second time changes nothing"
        detector = play.start("detector")
        await publish(settings, events[1_000 * turn : 1_000 * (turn + 1)], 4)
        await publish_run(settings, "run-1", [f"dao-{turn}-{one}" for one in range(5)], ends=turn == 2)
        await drained(play, detector)
        if turn == 2:

            async def ended() -> bool:
                return bool([record async for record in read_topic(settings, RUN_SUMMARIES)])

            await until(ended, "the run to end", play.last_words)
        await stopped(play, detector)
    assert await make_topics(settings) == []
    (summary,) = [json.loads(record.value) async for record in read_topic(settings, RUN_SUMMARIES)]
    assert summary["scored"] == 15
    await assert_exact(play, events)


async def test_it_refuses_while_anything_is_unread_and_says_the_order(play):
    settings, events = play.settings, [*islice(completions(6, 400, KEYS), 400)]
    detector = play.start("detector")
    await publish(settings, events[:200], 4)
    await stopped(play, detector)
    await publish(settings, events[200:201], 4)
    with pytest.raises(
        RepartitionError, match=r"1 records of .*workflow-completions by the detector.*stop intake first"
    ):
        await repartition(settings, 8)
    async with AIOKafkaProducer(**client_options(settings), acks="all") as producer:
        await producer.send_and_wait(settings.topic(REKEYED), b"{}", key=b"workflow:x", partition=1)
    with pytest.raises(RepartitionError, match=r"1 records of .*rekeyed by the detector"):
        await repartition(settings, 8)
    with pytest.raises(RepartitionError, match="cannot remove partitions, so it takes at least --repartition 4"):
        await repartition(settings, 3)
    assert set((await counts_of(settings)).values()) == {4}


async def test_killed_at_any_write_and_run_again_it_ends_the_same(play, monkeypatch):
    """Every fifth time by SIGKILL; and no detector starts in between."""
    settings, events = play.settings, [*islice(completions(7, 2_000, KEYS), 2_000)]
    detector = play.start("detector")
    await publish(settings, events[:1_000], 4)
    await publish_run(settings, "run-1", ["dao-1", "dao-2"], ends=False)
    await stopped(play, detector)
    settings = replace(settings, partitions=4)
    write = 0
    while (await counts_of(settings))[ALERTS] == 4:
        write += 1
        if write % 5 == 0:
            code, _, err = await run_setup(settings, "--repartition", "6", fault_point=f"repartition:{write}")
            assert code == -9, err
        else:
            await interrupted(settings, 6, write, monkeypatch)
        if (await counts_of(settings))[ALERTS] == 4:
            await until(partial(no_detector_starts, settings), "the broker to list what was added", patience_s=5.0)
    assert write > 12 and set((await counts_of(settings)).values()) == {6}
    for topic in (BASELINES, RUNS_STATE):
        await assert_each_key_is_with_its_owner(settings, topic, 6)
    detector = play.start("detector")
    await publish(settings, events[1_000:], 4)
    await stopped(play, detector)
    await assert_exact(play, events)


async def test_it_refuses_while_a_role_is_in_its_group(apache, make_settings, tmp_path):
    settings = make_settings(broker=apache.address)
    await make_topics(settings)
    play = Play(settings, tmp_path)
    detector = play.start("detector")
    try:
        await publish(settings, [*islice(completions(8, 10, KEYS), 10)], 4)
        await drained(play, detector)
        code, _, err = await run_setup(settings, "--repartition", "8")
        assert code == 1 and "1 detectors are in the group" in err and "stop intake first" in err
    finally:
        detector.kill()
