"""Claiming recovered partitions: an owner writes its epoch to the changelog before any event is let in."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any

from faust.types import TP

from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.state.changelog_record import SOURCES
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.state.recovery import read_between
from stream_detector.delivery.state.table import StateTable
from stream_detector.kafka.preflight import describe_recreated

MOST_LEFT_OUT = 20
"""So many records that cannot be read may be somebody's. More of them, and more than there are readable keys, are the
state of a later version: to go on without it would begin all of them anew."""
KEYS_A_LOOK = 2_000
"""So many values are verified (2.6 us a baseline) before anything else can run."""


async def claim_recovered(app: WorkerApp, table: StateTable[Any], tps: set[TP]) -> None:
    """Claim a table's partitions, which are read to their end; a checkpoint at a revocation waits for it."""
    recovery = app.recovery
    if recovery.is_interrupted:
        return  # other partitions are ours by now: the next recovery will come here again
    for tp in tps:
        table.get_or_create(tp.partition).finish_recovery(recovery.active_highwaters[tp])
    claims = asyncio.ensure_future(_claim_all(app, table, tps))
    app.checkpoint.claims.add(claims)
    claims.add_done_callback(app.checkpoint.claims.discard)
    await asyncio.shield(claims)


async def _claim_all(app: WorkerApp, table: StateTable[Any], tps: set[TP]) -> None:
    try:
        if table.takes_passed_on:
            _fail_if_sources_shrank(app, [table.get_or_create(tp.partition) for tp in tps], tps)
        await asyncio.gather(*(_claim(app, table, tp) for tp in tps))
    except Exception as error:  # Faust would not look at it
        app.fail(f"claiming partitions: {error!r}")


async def _claim(app: WorkerApp, table: StateTable[Any], tp: TP) -> None:
    partition, producer, assignment = table.get_or_create(tp.partition), app.kafka_producer, app.positions.assignment
    if unreadable := await _verify(partition):
        theirs = await read_between(app.settings, tp.topic, tp.partition, 0, partition.end_offset, unreadable)
        partition.take_last_readable(unreadable, theirs)
    if partition.left_out > max(MOST_LEFT_OUT, len(partition.packed)):
        app.fail(
            f"{tp.topic}-{tp.partition}: {partition.left_out} of its records cannot be read, and "
            f"{len(partition.packed)} can: a later version wrote them. Start that version"
        )
    if partition.end_offset == 0:
        await _fail_if_sources_are_read(app, tp)
    if table.takes_passed_on:
        await _begin_passing_on(app, tp, partition)
    batch = producer.create_batch()
    records = partition.claim_records()
    for key, value in records:
        batch.append(key=key, value=value, timestamp=None)
    acknowledged = await producer.send_batch(batch, tp.topic, partition=tp.partition)
    claimed = await acknowledged
    app.broker_clock.note(claimed)
    if not partition.confirm_claim(claimed.offset, len(records)) and app.positions.assignment == assignment:
        app.fail(f"{tp.topic}-{tp.partition}: another worker wrote at {partition.end_offset} while this one recovered")


async def _verify(partition: StatePartition[Any]) -> set[bytes]:
    """Keys whose value cannot be used. Only what was read since the last look at it can be one of those."""
    found: set[bytes] = set()
    if partition.verified_offset == partition.read_offset:
        return found
    values = iter(list(partition.packed.items()))
    while some := list(islice(values, KEYS_A_LOOK)):
        found |= partition.unreadable_keys(some)
        await asyncio.sleep(0)
    partition.verified_offset = partition.read_offset
    return found


def _fail_if_sources_shrank(app: WorkerApp, partitions: Iterable[StatePartition[Any]], tps: Iterable[TP]) -> None:
    """End the process where the state of these partitions was made from more partitions than a source has now.

    How many there were is known by all of them together: each names its own positions, and what was passed on to it.
    """
    had: Counter[str] = Counter()
    for tp, partition in zip(tps, partitions, strict=True):
        for source in SOURCES:
            own = tp.partition + 1 if source in partition.replay_until else 0
            had[source] = max(had[source], own, partition.read_partitions(source))
    for source, count in app.partitions.items():
        if 0 < count < had[source]:
            app.fail(describe_recreated(source, app.settings.topic(source), had[source], count))


async def _begin_passing_on(app: WorkerApp, tp: TP, partition: StatePartition[Any]) -> None:
    """Of each source that is not assigned with the state."""
    n, number = app.partitions[tp.topic[len(app.topic_prefix) :]], tp.partition
    for source, count in app.partitions.items():
        if source not in SOURCES:
            continue
        topic, is_named = app.settings.topic(source), source in partition.replay_until
        if count != n and not partition.is_passed_on(source, number):
            committed = await app.worker_consumer.committed_offset(TP(topic, number)) if is_named else None
            partition.begin_passing_on(source, number, committed or 0)


async def _fail_if_sources_are_read(app: WorkerApp, tp: TP) -> None:
    """A changelog without a single record, not even a claim: right at the first start, and never again."""
    for source in app.worker_consumer.assignment():
        if source.partition != tp.partition or source.topic in app.tables_by_changelog:
            continue
        read = await app.worker_consumer.committed_offset(source) or 0
        if read > 0:
            app.fail(
                f"{tp.topic}-{tp.partition} is empty, although {source.topic}-{source.partition} was read up to "
                f"{read}: the topic was recreated and the baselines are lost. Stop the detectors and run "
                "`stream-detector baselines restore`, or delete the consumer group "
                f"{app.conf.id} to learn again from all records that the topics still contain"
            )
