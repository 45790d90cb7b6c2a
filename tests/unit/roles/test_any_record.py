"""X10: no record that Python can read, or fail at, ends a role."""

import logging
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords
from faust.types import TP

from stream_detector.delivery import claims
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.repartition import Origin
from stream_detector.delivery.state import changelog_record
from stream_detector.events.action import Action
from stream_detector.events.dead_letter import DeadLetter, read_dead_letter
from stream_detector.events.encode import encode
from stream_detector.events.examples import EXAMPLES
from stream_detector.kafka import aiokafka_patches, topics
from stream_detector.roles.detector import Detector
from tests.record_batches import Written
from tests.unit.roles.any_record import DEEP, NOW_MS, ROLES, DetectorRole, NotifierRole, RecorderRole, read, run

INPUTS = 3_400
"""Times two seeds and three roles: 20,000 in `make test`."""
MANY = 340_000
"""Times three roles: a million in `make drills`."""


@pytest.fixture(autouse=True)
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka as a role has it."""
    for owner, name in ((PartitionRecords, "__next__"), (PartitionRecords, "_consumer_record")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(fetcher, "MemoryRecords", fetcher.MemoryRecords)
    aiokafka_patches.read_past_bad_records()
    aiokafka_patches.keep_parsed_records()


@pytest.fixture
def quiet() -> Iterator[None]:
    """Without the lines about each record that is refused."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.__name__)
@pytest.mark.parametrize("seed", [1, 2])
async def test_x10_no_record_ends_a_role(role: type[Any], seed: int, quiet: None) -> None:
    given = await run(role(), INPUTS, seed)
    assert given.keys() == set(role.topics) and given.total() >= INPUTS


@pytest.mark.drill
@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.__name__)
async def test_x10_none_of_very_many_ends_a_role(role: type[Any], quiet: None) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}: python -m tests.unit.roles.any_record --inputs {MANY} --seed {seed}")
    assert (await run(role(), MANY, seed)).total() >= MANY


class Brittle(RecorderRole):
    """Cannot take one header."""

    async def take(self, topic: str, records: list[Any]) -> None:
        assert all((b"ce_id", b"") not in [(name.encode(), value) for name, value in each.headers] for each in records)


async def test_what_ends_a_role_is_shrunk_to_the_least_record(quiet: None) -> None:
    with pytest.raises(AssertionError) as caught:
        await run(Brittle(), 100_000, 7)
    (note,) = caught.value.__notes__
    assert "seed 7: alone" in note and "headers=[(b'ce_id', b'')], timestamp" in note
    assert note.count("Written(") == 1 and "key=None" in note and "codec='none'" in note


COMPLETION, ANOMALY, ACTION = (encode(EXAMPLES[name]) for name in ("workflow-completion", "anomaly", "action"))
ORIGIN = Origin(topics.ALERTS, 0, 3, NOW_MS).header()[1]
PART = b'{"run_id":"r1","kind":"scored","at":"2026-11-30T12:00:00Z","entity_id":"lido"}'
REFUSED: list[tuple[type[Any], str, Written, str]] = [
    (DetectorRole, topics.COMPLETIONS, Written(b"k", COMPLETION, [(b"\xff", b"1")], NOW_MS), "not_utf8"),
    (DetectorRole, topics.SCORES, Written(b"k", b"{}", [(b"\xff", b"1")], NOW_MS), "not_utf8"),
    (DetectorRole, topics.COMPLETIONS, Written(b"k", COMPLETION, [], 2**62), "bad_time"),
    (DetectorRole, topics.COMPLETIONS, Written(b"k", DEEP, [], NOW_MS), "too_deep"),
    (DetectorRole, topics.ACTIONS, Written(b"k", DEEP, [], -(2**63)), "too_deep"),
    (DetectorRole, topics.RUN_PARTS, Written(b"k", None, [], NOW_MS), "null_value"),
    (DetectorRole, topics.RUN_PARTS, Written(b"k", b"\xff", [], NOW_MS), "not_utf8"),
    (DetectorRole, topics.RUN_PARTS, Written(b"k", DEEP, [], NOW_MS), "too_deep"),
    (DetectorRole, topics.RUN_PARTS, Written(b"k", PART, [], 2**63 - 1), "bad_time"),
    (RecorderRole, topics.ALERTS, Written(b"k", None, [], NOW_MS), "null_value"),
    (RecorderRole, topics.ALERTS, Written(b"k", DEEP, [], NOW_MS), "too_deep"),
    (RecorderRole, topics.BASELINES, Written(b"\xff", b"\x07", [], NOW_MS), "not_utf8"),
]


def letters(role: Any) -> list[tuple[bytes | None, bytes | None, DeadLetter]]:
    """What the role put on dead letters, read from the batches that it would send."""
    producer = role.app.batch_producer
    found = []
    for batch in [*producer._full, *producer._open.values()]:
        if batch.topic == topics.DEAD_LETTERS:
            parsed = fetcher.MemoryRecords(bytes(batch.builder._build()))
            found += [(record.key, record.value, read_dead_letter(record.headers)) for record in parsed.next_batch()]
    return found


@pytest.mark.parametrize(("kind", "topic", "record", "reason"), REFUSED, ids=lambda value: str(value)[:40])
async def test_x10_a_record_is_refused_by_itself(
    kind: type[Any], topic: str, record: Written, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = kind()

    async def keep() -> None:
        """Nothing is sent yet."""

    monkeypatch.setattr(role.app, "sent", keep)
    if kind is RecorderRole:  # beside detection's own refusals
        chunk = Chunk(TP(topic, 0), read(topic, [record]), 1)
        _, errors, failed = role.recorder._decode(topic, chunk)
        role.recorder._send_to_dlq(topic, chunk, errors | failed)
    else:
        await role.take(topic, read(topic, [record]))
    ((key, value, why),) = letters(role)
    assert (key, value, why.topic, why.offset, why.reason) == (record.key, record.value, topic, 0, reason)
    await role.check()


@pytest.mark.parametrize("error", [RecursionError("deep"), OverflowError("large"), TypeError("odd"), KeyError("none")])
async def test_x10_what_nobody_thought_of_refuses_one_record(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    role, apply = DetectorRole(), Detector._apply_action

    def failing(self: Detector, partition: Any, number: int, action: Action, *given: Any) -> Any:
        if action.entity.startswith("workflow:odd"):
            raise error
        return apply(self, partition, number, action, *given)

    async def keep() -> None:
        """Nothing is sent yet."""

    monkeypatch.setattr(Detector, "_apply_action", failing)
    monkeypatch.setattr(role.app, "sent", keep)
    n = role.app.partitions[topics.BASELINES]
    name = next(name for name in map("odd{}".format, range(99)) if topics.owner_partition(name, n) == 0)
    odd = encode(EXAMPLES["action"]).replace(b"workflow:nightly", b"workflow:" + name.encode())
    await role.take(topics.ACTIONS, read(topics.ACTIONS, [Written(None, odd, [], NOW_MS)]))
    ((_, value, why),) = letters(role)
    assert value == odd and (why.stage, why.reason, why.message) == ("step", "step_failed", type(error).__name__)


def _baseline(key: str) -> bytes:
    from stream_detector.detect import Baseline

    return Baseline.new(key).pack()


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"x", b"scores/0", b"\xff/0/1/2", b"alerts/-1/0/0", b"alerts/0/-7/0", b"alerts/\xd9\xa3/1/2"),
        *(b"alerts/0/99999999999999999999/0", b"alerts/0/" + b"9" * 5_000 + b"/0", b"alerts/0/1/99999999999999999999"),
    ],
)
async def test_x10_a_bad_origin_is_ignored_and_mutes_nothing(value: bytes) -> None:
    role = NotifierRole()
    odd = Written(None, ANOMALY, [(b"stream-detector-origin", value)], NOW_MS)
    good = Written(None, ANOMALY, [(b"stream-detector-origin", ORIGIN)], NOW_MS)
    chunk = Chunk(TP(topics.NOTIFIER_IN, 0), read(topics.NOTIFIER_IN, [odd, good]), 2)
    assert await role.notifier.decide(topics.NOTIFIER_IN, chunk) == {"ignored": 1, "applied": 1}


@pytest.mark.parametrize(
    ("key", "value", "stored"),
    [
        (b"workflow:a", b"\x07", False),
        (b"workflow:a", b"", False),
        (b"workflow:a", b"{} of somebody", False),
        (b"workflow:a", b"\1\xff\xff\xff\xff\0x", False),
        (b"\xff", b"\1\1\0\0\0\0x", False),
        (b"workflow:a", b"\1\1\0\0\0\0x", True),
        (b"workflow:a", b"\x02 of a later version", True),
    ],
    ids=repr,
)
def test_x10_what_no_version_can_read_is_not_stored_as_state(key: bytes, value: bytes, stored: bool) -> None:
    for topic in (topics.BASELINES, topics.RUNS_STATE, topics.NOTIFIER_STATE):
        chunk = Chunk(TP(topic, 0), read(topic, [Written(key, value, [], NOW_MS)]), 1)
        rows, _, failed = RecorderRole().recorder._decode(topic, chunk)
        assert (len(rows.state_records), failed) == (stored, {}), topic


@pytest.mark.parametrize("kind", ["workflow:nightly", "score:lido"])
async def test_x10_a_damaged_baseline_has_the_last_readable_value_of_its_key(kind: str, caplog: Any) -> None:
    role = DetectorRole()
    partition = role.app.tables[0].partitions[0]
    packed = _baseline(kind)
    head, other = changelog_record.encode_header(1, {}), kind.replace("nightly", "other").replace("lido", "other")
    damaged = packed[:1] + b"\x07" + packed[2:]
    written = [(kind, packed), (other, packed), (kind, damaged), ("of-a-later-version:x", packed[:1] + b"later")]
    log = [
        SimpleNamespace(offset=at, key=key.encode(), value=head + value, headers=())
        for at, (key, value) in enumerate(written)
    ]
    partition.apply_changelog(log)
    unreadable = await claims._verify(partition)
    assert unreadable == {kind.encode()} and await claims._verify(partition) == set()
    partition.take_last_readable(unreadable, [(record.key, record.value) for record in log])
    assert partition.get(kind) == packed and partition.dirty == {kind} and partition.left_out == 1
    assert "cannot be unpacked" in caplog.text
    partition.apply_changelog([SimpleNamespace(offset=9, key=other.encode(), value=head + damaged, headers=())])
    assert await claims._verify(partition) == {other.encode()}


async def test_x20_the_recorder_counts_a_payload_without_an_event_as_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = RecorderRole().recorder

    async def stored(*_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(recorder, "_reached", lambda *_: None)  # both ask PostgreSQL
    monkeypatch.setattr(recorder, "_store", stored)
    monkeypatch.setattr(recorder, "_look_at_gaps", stored)
    values = [b'{"object_kind":"push","project":{}}', b'{"odd":1}']
    records = read(topics.COMPLETIONS, [Written(None, value, [], NOW_MS) for value in values])
    outcomes = await recorder.apply(topics.COMPLETIONS, Chunk(TP(topics.COMPLETIONS, 0), records, 2))
    assert outcomes == {"ignored": 1, "refused": 1, "applied": 0}
