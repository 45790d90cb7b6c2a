"""What must be there, made without the worker: by a pure fold over the input topic, and from the producer's book."""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from stream_detector.composition import detection_config
from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect import Baseline
from stream_detector.detect.replay import Replayer
from stream_detector.events import RefusedError
from stream_detector.events.dead_letter import read_dead_letter
from stream_detector.events.decode import decode_anomaly, decode_completion, decode_score, is_backfill
from stream_detector.events.encode import encode
from stream_detector.events.times import epoch_ms
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import ALERTS, BASELINES, COMPLETIONS, DEAD_LETTERS, SCORES
from stream_detector.roles.detector import BASELINE
from stream_detector.settings import Settings

SEVERITIES = ("info", "warning", "critical")
DECODE = {COMPLETIONS: decode_completion, SCORES: decode_score}


@dataclass
class Verdict:
    """What a comparison found. Exact: nothing lost, doubled or different."""

    events: int = 0
    lost: int = 0
    doubled: int = 0
    different: int = 0
    repeated: int = 0
    """Alerts emitted again with the same id and the same content, as designed."""
    messages: int = 0
    notified_twice: int = 0
    """Messages that a provider has once more than it should."""
    findings: list[str] = field(default_factory=list)

    def note(self, what: str, *, lost: int = 0, doubled: int = 0, different: int = 0) -> None:
        """Count, and keep the words if there is anything to count."""
        self.lost, self.doubled, self.different = self.lost + lost, self.doubled + doubled, self.different + different
        if lost or doubled or different:
            self.findings.append(f"{what}: {lost} lost, {doubled} doubled, {different} different")

    @property
    def exact(self) -> bool:
        """Whether everything is as it must be, and there was anything at all."""
        return self.events > 0 and not (self.lost or self.doubled or self.different)


async def folded(settings: Settings, sources: Sequence[str] = (COMPLETIONS,)) -> tuple[Replayer, dict[str, bytes]]:
    """Baselines and anomalies (id -> JSON) of what the topics hold, in the order of their partitions."""
    fold, anomalies = Replayer(detection_config(settings)), {}
    for name in sources:
        async for record in read_topic(settings, name):
            for event in events_of(name, record):
                outcome = fold.apply(event, record.timestamp, backfill=is_backfill(record.headers))
                anomalies |= {anomaly.id: encode(anomaly) for anomaly in outcome.anomalies}
    return fold, anomalies


def events_of(topic: str, record: Any) -> Iterator[Any]:
    """What is to be accepted of a record; the elements of an array are taken apart here, not by the product."""
    for value in elements_of(record.value):
        with contextlib.suppress(RefusedError):
            yield DECODE[topic](value, record.headers, record.timestamp)


def elements_of(value: bytes | None) -> list[bytes | None]:
    """Those of an array; else the value alone."""
    if value is not None and value[:1] == b"[":
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            return [bytes(each) for each in msgspec.json.decode(value, type=list[msgspec.Raw])] or [value]
    return [value]


async def accepted(settings: Settings) -> set[str]:
    """The execution ids on the input topic, of those events that are to be accepted."""
    ids = set()
    async for record in read_topic(settings, COMPLETIONS):
        ids |= {event.execution_id for event in events_of(COMPLETIONS, record)}
    return ids


async def compare_dead_letters(settings: Settings, refused: int, verdict: Verdict) -> None:
    """Each refused record is kept with its own bytes; repeats name the same place."""
    kept, originals = {}, {}
    async for record in read_topic(settings, DEAD_LETTERS):
        letter = read_dead_letter(record.headers)
        kept[letter.topic, letter.partition, letter.offset, letter.index] = record.value
    async for record in read_topic(settings, COMPLETIONS):
        place = COMPLETIONS, record.partition, record.offset
        originals[*place, None] = record.value
        originals |= {(*place, index): value for index, value in enumerate(elements_of(record.value))}
    verdict.note("dead letters", lost=max(0, refused - len(kept)), doubled=max(0, len(kept) - refused))
    other = sum(originals.get(place, b"?") != value for place, value in kept.items())
    verdict.note("bytes of dead letters", different=other)


async def recovered(settings: Settings) -> dict[str, bytes]:
    """Key -> packed baseline, read from the changelog as a recovering worker reads it."""
    partitions: dict[int, StatePartition[Any]] = defaultdict(lambda: StatePartition(BASELINE))
    async for record in read_topic(settings, BASELINES):
        partitions[record.partition].apply_changelog([record])
    state: dict[str, bytes] = {}
    for partition in partitions.values():
        partition.finish_recovery(-1)
        state |= {key.decode(): changelog_record.payload_of(value) for key, value in partition.packed.items()}
    return state


def counted(packed: bytes | None, key: str) -> int:
    """How many executions a baseline has counted, all within its window."""
    return Baseline.unpack(key, packed).named_baselines()["success_rate"].window_size if packed else 0


async def compare(
    settings: Settings, counts: Counter[str], ids: set[str], fold: Replayer, wanted: dict[str, bytes]
) -> Verdict:
    """Input topic, baselines and alerts against the producer's book and the fold.

    Args:
        counts: events per workflow that were published, all distinct, none late and none older than 30 days.
        ids: their execution ids.
        fold, wanted: what `folded` gave.
    """
    verdict = Verdict(events=counts.total())
    arrived = await accepted(settings)
    verdict.note("events on the topic", lost=len(ids - arrived), doubled=len(arrived - ids))
    state = await recovered(settings)
    for workflow_id, count in counts.items():
        key = f"workflow:{workflow_id}"
        got = counted(state.get(key), key)
        verdict.note(f"count of {workflow_id}", lost=max(0, count - got), doubled=max(0, got - count))
        if got == count and fold.baselines[key].pack() != state[key]:
            verdict.note(f"state of {workflow_id}", different=1)
    verdict.note("keys nobody published", doubled=len(state.keys() - {f"workflow:{name}" for name in counts}))
    await compare_alerts(settings, wanted, verdict)
    return verdict


async def compare_clocks(
    settings: Settings, dated_wrong: set[str], last: dict[str, datetime], verdict: Verdict
) -> None:
    """Each workflow that a clock was ahead in is judged again: its newest event is the last from a right clock."""
    state = await recovered(settings)
    for workflow_id in sorted(dated_wrong):
        key = f"workflow:{workflow_id}"
        muted = key not in state or Baseline.unpack(key, state[key]).newest_ms != epoch_ms(last[workflow_id])
        verdict.note(f"{workflow_id} is muted by a clock", lost=int(muted))


async def compare_alerts(settings: Settings, wanted: dict[str, bytes], verdict: Verdict) -> None:
    """Every expected anomaly is on `alerts`, none else, and each copy has the same bytes."""
    emitted: dict[str, set[bytes]] = defaultdict(set)
    total = 0
    async for record in read_topic(settings, ALERTS):
        anomaly = decode_anomaly(record.value)
        # The fold knows no records, so no time at which one was published.
        emitted[anomaly.id].add(encode(msgspec.structs.replace(anomaly, published_at=None)))
        total += 1
    verdict.note("alerts", lost=len(wanted.keys() - emitted.keys()), doubled=len(emitted.keys() - wanted.keys()))
    other = sum(emitted[one] != {value} for one, value in wanted.items() if one in emitted)
    verdict.note("contents of alerts", different=other)
    verdict.repeated += total - len(emitted)
    if not wanted:
        verdict.note("the load held no anomaly at all", lost=1)


def must_be_notified(wanted: Iterable[bytes]) -> dict[str, list[str]]:
    """Incident -> the anomalies that people must hear of once each: its opening, each rise in severity, its end.

    An end by another incident that goes on (`superseded`) is not sent.
    """
    notified: dict[str, list[str]] = defaultdict(list)
    worst: dict[str, int] = {}
    for anomaly in map(decode_anomaly, wanted):
        rank = SEVERITIES.index(anomaly.severity)
        if anomaly.end_reason == "superseded":
            continue
        if anomaly.state != "ongoing" or rank > worst[anomaly.incident_id]:
            notified[anomaly.incident_id].append(anomaly.id)
        worst[anomaly.incident_id] = max(rank, worst.get(anomaly.incident_id, 0))
    return notified


def compare_messages(channel: str, notified: list[str], wanted: dict[str, list[str]], verdict: Verdict) -> None:
    """A provider has each message once, those of an incident in their order.

    Args:
        channel: its name.
        notified: the anomalies whose messages it took, in that order.
        wanted: what `must_be_notified` gave.
    """
    arrived = Counter(notified)
    due = {one for anomalies in wanted.values() for one in anomalies}
    extra = sum(one not in due for one in arrived)
    verdict.note(f"messages at {channel}", lost=len(due - arrived.keys()), doubled=extra)
    first = {one: place for place, one in reversed(list(enumerate(notified)))}
    places = ([first[one] for one in anomalies if one in first] for anomalies in wanted.values())
    verdict.note(f"order of messages at {channel}", different=sum(found != sorted(found) for found in places))
    verdict.messages += len(arrived)
    verdict.notified_twice += arrived.total() - len(arrived)


async def compare_rows(settings: Settings, wanted: set[str], ids: set[str], verdict: Verdict) -> None:
    """PostgreSQL holds each execution and each anomaly once, and nothing else."""
    connection = await asyncpg.connect(settings.database_url, statement_cache_size=0)  # also through pgbouncer
    try:
        executions = [row[0] for row in await connection.fetch("SELECT execution_id FROM executions")]
        anomalies = [str(row[0]) for row in await connection.fetch("SELECT id FROM anomalies")]
    finally:
        await connection.close()
    for table, got, want in (("executions", executions, ids), ("anomalies", anomalies, wanted)):
        extra = len(got) - len(set(got)) + len(set(got) - want)
        verdict.note(f"rows in {table}", lost=len(want - set(got)), doubled=extra)
