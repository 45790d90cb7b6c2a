"""Kafka deletes records that no role has read, while all are down: each role reports exactly these, once."""

import asyncio
import contextlib
import json
import re
from collections import Counter
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from stream_detector.events.encode import encode
from stream_detector.kafka.client import client_options
from stream_detector.kafka.end_offsets import TOPICS_READ_BY, EndOffsets
from stream_detector.kafka.topics import ALERTS, COMPLETIONS, NOTIFICATIONS, RUN_SUMMARIES
from tests.drills.ledger import Verdict
from tests.drills.load import completions
from tests.drills.roles import Role
from tests.drills.stage import DrillError, Options, Outcome, Play, Stage, stage, until

EVENTS = 5_000
ROLES = ("detector", "recorder", "notifier")
PUBLISHED_BY_US = (COMPLETIONS, ALERTS, RUN_SUMMARIES, NOTIFICATIONS)
"""Topics of which records are published and deleted while all roles are down."""
MESSAGE_S = 60.0
_ROLE = re.compile(r"before the (\w+) read them")
_LOST = re.compile(r"([a-z][a-z-]+)-(\d+): ([\d,]+) records? \(offsets")
Losses = Counter[tuple[str, str, int]]
"""(role, topic, partition) -> records."""


async def drill(options: Options) -> Outcome:
    """Each run deletes other shares: nothing, a part, or all that is unread, with markers of transactions between."""
    outcome = Outcome("retention")
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            outcome.add(await _run(ground, options, options.seed + number))
    return outcome


async def _run(ground: Stage, options: Options, seed: int) -> Verdict:
    async with ground.play(partitions=options.partitions, log_format="json") as play:
        verdict = Verdict(events=options.events)
        events = completions(seed, options.events)
        await _publish(play, [encode(next(events)) for _ in range(options.events // 2)], COMPLETIONS)
        await _stop(await _work(play, options))
        await _publish(play, [encode(next(events)) for _ in range(options.events // 2)], COMPLETIONS)
        for topic in PUBLISHED_BY_US[1:]:
            await _publish(play, [b"{}"] * 40, topic)
        lost = await _delete(play, seed)
        if {role for role, _, _ in lost} != set(ROLES) or lost.total() < options.events // 8:
            verdict.findings.append(f"too little was deleted, little was tested: {lost}")
        roles = await _work(play, options)
        served = _served(roles)
        await _stop(roles)
        roles = await _work(play, options)
        with contextlib.suppress(DrillError):  # what is in no message then is lost
            await until(lambda: _all_in_messages(play, lost), "the messages", play.last_words, patience_s=MESSAGE_S)
        _compare("the messages", _in_messages(play), lost, verdict)
        _compare("the log", _logged(play), lost, verdict)
        _compare("the metric", served, lost, verdict)
        return verdict


async def _publish(play: Play, values: list[bytes], topic: str) -> None:
    """Over all partitions; then a transaction that is committed and one that is aborted on each, whose markers no
    consumer sees."""
    n, name = play.settings.partitions, play.settings.topic(topic)
    async with AIOKafkaProducer(**client_options(play.settings)) as producer:
        sent = [await producer.send(name, value, partition=number % n) for number, value in enumerate(values)]
        await asyncio.gather(*sent)
    options = client_options(play.settings) | {"transactional_id": f"{play.settings.topic_prefix}{topic}"}
    async with AIOKafkaProducer(**options) as producer:
        for ends in (producer.commit_transaction, producer.abort_transaction):
            await producer.begin_transaction()
            await asyncio.gather(*[await producer.send(name, values[-1], partition=number) for number in range(n)])
            await ends()


async def _work(play: Play, options: Options) -> list[Role]:
    """Start all roles; they have read everything afterwards, and run."""
    roles = [play.start(name, change=options.without) for name in ROLES]
    await play.drained(*ROLES, alive=lambda: all(role.alive for role in roles))

    async def reported() -> bool:
        return all(role.ready for role in roles)

    await until(reported, "the roles to be ready", play.last_words)
    return roles


async def _stop(roles: list[Role]) -> None:
    if any(await asyncio.gather(*(asyncio.to_thread(role.stop) for role in roles))):
        raise DrillError("a role did not end in order")


async def _delete(play: Play, seed: int) -> Losses:
    """Delete, and count log start less committed offset for each role and partition."""
    names = [play.settings.topic(topic) for topic in PUBLISHED_BY_US]
    lost: Losses = Counter()
    async with EndOffsets(play.settings) as asked:
        committed = {role: await asked.committed(role) for role in ROLES}
        ends = await asked.end_offsets(PUBLISHED_BY_US)
        starts = {place: _cut(place, end, committed, seed) for place, end in ends.items()}
        admin: Any = AIOKafkaAdminClient(**client_options(play.settings))
        await admin.start()
        try:
            wanted = {place: RecordsToDelete(start) for place, start in starts.items() if start}
            await admin.delete_records(wanted)
        finally:
            await admin.close()
        found = await asked.start_offsets(PUBLISHED_BY_US)
    assert all(found[place] == start for place, start in starts.items() if start), "the broker deleted what was asked"
    for role in ROLES:
        for place, start in found.items():
            topic = place.topic.removeprefix(play.settings.topic_prefix)
            if topic in TOPICS_READ_BY[role] and place.topic in names and start > committed[role][place] >= 0:
                lost[role, topic, place.partition] = start - committed[role][place]
    return lost


def _cut(place: TopicPartition, end: int, committed: dict[str, dict[TopicPartition, int]], seed: int) -> int:
    """Where the log of a partition is to begin: before, within or at the end of what is unread."""
    read = min(offsets[place] for offsets in committed.values() if place in offsets)
    share = (place.partition + seed) % 4
    return max(0, read - 1) if share == 0 else end if share == 1 else read + (end - read) * share // 4


def _in_messages(play: Play) -> Losses:
    found: Losses = Counter()
    for provider in play.providers:
        for text in map(provider.text_of, provider.taken()):
            if role := _ROLE.search(text):
                for topic, partition, records in _LOST.findall(text.replace("\\n", "\n")):  # JSON
                    found[role[1], topic, int(partition)] += int(records.replace(",", ""))
    return found


async def _all_in_messages(play: Play, lost: Losses) -> bool:
    found = _in_messages(play)
    return all(found[place] >= records for place, records in lost.items())


def _logged(play: Play) -> Losses:
    found: Losses = Counter()
    for role in ROLES:
        for line in (play.folder / f"{role}.log").read_text("utf-8").splitlines():
            if line.startswith("{") and (event := json.loads(line))["event"] == "RecordsLost":
                fields = event["fields"]
                found[role, fields["topic"], fields["partition"]] += fields["records"]
    return found


def _served(roles: list[Role]) -> Losses:
    found: Losses = Counter()
    for role in roles:
        for labels, value in role.metric("stream_detector_records_lost_total"):
            if value:
                found[role.name, labels["topic"], int(labels["partition"])] += round(value)
    return found


def _compare(where: str, found: Losses, lost: Losses, verdict: Verdict) -> None:
    for place in found.keys() | lost.keys():
        role, topic, partition = place
        name = f"{where} of the {role} about {topic}-{partition}"
        missing, extra = max(0, lost[place] - found[place]), max(0, found[place] - lost[place])
        verdict.note(name, lost=missing, doubled=extra)
