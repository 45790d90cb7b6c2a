"""The order of a checkpoint, and that what did not happen counts as not done. Broker and group are small fakes."""

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream_detector.delivery import checkpoint as module
from stream_detector.delivery.broker_clock import LOG_APPEND_TIME, BrokerClock
from stream_detector.delivery.checkpoint import Checkpoint
from stream_detector.delivery.state.contents import CLAIM_KEY, Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.task import Position, Tasks
from stream_detector.kafka.topics import COMPLETIONS

TP0 = TP(COMPLETIONS, 0)
TEXT: Codec[str] = Codec(str.encode, lambda _, packed: packed.decode())


class Batch:
    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes]] = []

    def append(self, *, key, value, timestamp):
        if len(self.records) == 2:
            return None
        self.records.append((key, value))
        return object()

    def record_count(self) -> int:
        return len(self.records)


class Fake:
    """App, consumer and producer in one; `steps` is what happened, in order."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.tasks, self.outcome, self.ours, self.end_offset = Tasks(), True, True, 1
        self.partition: StatePartition[str] = StatePartition(TEXT)
        self.partition.finish_recovery(-1)
        self.partition.confirm_claim(0)
        self.partition.written_at_s = float("inf")
        self.tasks.get_or_create(0).positions[TP0] = Position(5, 3)
        self.group, self.settings, self.topic_prefix = self, None, ""
        self.table = SimpleNamespace(changelog_name="baselines", find_owned={0: self.partition}.get)
        self.state_tables = [self.table]
        self.kafka_producer, self.broker_clock = self, BrokerClock()

    def before_checkpoint(self, task):
        self.steps.append("before")

    def owns_partitions(self) -> bool:
        return self.ours

    async def commit_offsets(self, offsets):
        self.steps.append(("commit", {tp: commit.offset for tp, commit in offsets.items()}))
        self.metadata = {tp: commit.metadata for tp, commit in offsets.items()}
        return self.outcome

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch, topic, *, partition):
        self.steps.append(("changelog", [key for key, _ in batch.records]))
        base, self.end_offset = self.end_offset, self.end_offset + batch.record_count()
        acknowledged = asyncio.get_running_loop().create_future()
        acknowledged.set_result(SimpleNamespace(offset=base, timestamp=NOW_MS, timestamp_type=LOG_APPEND_TIME))
        return acknowledged

    def fail(self, why: str):
        raise SystemExit(why)


NOW_MS = 1_800_000_000_000


@pytest.fixture
def fake():
    return Fake()


async def test_alerts_then_changelog_then_watermarks_then_offsets(fake):
    alert = asyncio.get_running_loop().create_future()
    fake.tasks.get_or_create(0).sends.append(alert)
    fake.partition.put("a", "1")
    fake.partition.watermarks_changed = True
    taking = asyncio.create_task(Checkpoint(fake)())
    for _ in range(20):
        await asyncio.sleep(0)
    assert fake.steps == ["before"], "nothing is written before the alert is acknowledged"
    alert.set_result(None)
    assert await taking
    assert fake.steps == [
        "before",
        ("changelog", [b"a"]),
        ("changelog", [b"\0watermarks"]),
        ("commit", {TP0: 5}),
    ]
    assert fake.tasks.find_position(TP0).committed == 5
    assert fake.partition.is_clean()


async def test_nothing_new_writes_nothing_and_commits_nothing(fake):
    fake.tasks.find_position(TP0).committed = 5
    assert not await Checkpoint(fake)()
    assert fake.steps == ["before"]


async def test_a_lost_lease_writes_nothing_and_forgets_nothing(fake):
    fake.partition.put("a", "1")
    fake.ours = False
    checkpoint = Checkpoint(fake)
    assert not await checkpoint()
    assert fake.steps == ["before"]
    assert fake.partition.dirty == {"a"}
    fake.ours = True
    assert await checkpoint()


async def test_a_refused_commit_leaves_the_offsets_uncommitted(fake):
    fake.partition.put("a", "1")
    fake.outcome = False
    assert not await Checkpoint(fake)()
    assert fake.tasks.find_position(TP0).committed == 3
    assert fake.partition.replay_until == {COMPLETIONS: 5}, "so that a replay skips what the changelog has"


async def test_a_cancelled_one_is_taken_again_whole(fake):
    alert = asyncio.get_running_loop().create_future()
    fake.tasks.get_or_create(0).sends.append(alert)
    fake.partition.put("a", "1")
    checkpoint = Checkpoint(fake)
    taking = asyncio.create_task(checkpoint())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert not alert.cancelled()
    assert (fake.partition.dirty, fake.tasks.get_or_create(0).sends) == ({"a"}, [alert])
    alert.set_result(None)
    assert await checkpoint()
    assert ("changelog", [b"a"]) in fake.steps


async def test_what_changes_meanwhile_belongs_to_the_next(fake):
    alert = asyncio.get_running_loop().create_future()
    fake.tasks.get_or_create(0).sends.append(alert)
    fake.partition.put("a", "1")
    checkpoint = Checkpoint(fake)
    taking = asyncio.create_task(checkpoint())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    fake.partition.put("b", "2")
    fake.tasks.find_position(TP0).next_offset = 9
    alert.set_result(None)
    await taking
    assert fake.steps[-2:] == [("changelog", [b"a"]), ("commit", {TP0: 5})]
    await checkpoint()
    assert fake.steps[-2:] == [("changelog", [b"b"]), ("commit", {TP0: 9})]


async def test_a_partition_that_is_not_ours_is_never_written(fake):
    fake.partition.put("a", "1")
    fake.table.find_owned = lambda number: None
    assert await Checkpoint(fake)()
    assert fake.steps == ["before", ("commit", {TP0: 5})]


@pytest.mark.parametrize("later", [False, True])
async def test_a_foreign_write_is_looked_at_before_the_commit(fake, monkeypatch, later):
    other: StatePartition[str] = StatePartition(TEXT)
    other.epoch = 9 if later else 0

    async def read_between(settings, topic, partition, first, end):
        assert (topic, partition, first, end) == ("baselines", 0, 1, 4)
        return [(CLAIM_KEY if later else b"b", other.claim_record()[1])]

    monkeypatch.setattr(module, "read_between", read_between)
    fake.partition.put("a", "1")
    fake.end_offset = 4
    if later:
        with pytest.raises(SystemExit, match="a later owner has claimed it"):
            await Checkpoint(fake)()
        assert not any(step[0] == "commit" for step in fake.steps)
    else:
        assert await Checkpoint(fake)()
        assert fake.partition.dirty == {"b"}, "what the former owner wrote is written again"


async def test_an_idle_partition_is_written_to_now_and_then(fake):
    """Otherwise a former owner's late write would stay unseen until compaction has kept it."""
    fake.tasks.find_position(TP0).committed = 5
    fake.partition.written_at_s = -module.WATCH_EVERY_S
    checkpoint = Checkpoint(fake)
    await checkpoint()
    await checkpoint()
    assert fake.steps == ["before", ("changelog", [CLAIM_KEY]), "before"]


async def test_a_full_batch_begins_another(fake):
    for name in ("a", "b", "c"):
        fake.partition.put(name, "1")
    await Checkpoint(fake)()
    written = [step[1] for step in fake.steps if step[0] == "changelog"]
    assert sorted(map(len, written)) == [1, 2]
    assert sorted(itertools.chain(*written)) == [b"a", b"b", b"c"]


async def test_a_revocation_waits_for_claims_under_way(fake):
    checkpoint, claim = Checkpoint(fake), asyncio.get_running_loop().create_future()
    checkpoint.claims.add(claim)
    taking = asyncio.create_task(checkpoint())
    for _ in range(20):
        await asyncio.sleep(0)
    assert fake.steps == []
    claim.set_result(None)
    await taking
    assert fake.steps[-1] == ("commit", {TP0: 5})


async def test_what_is_written_tells_the_time_of_the_broker(fake):
    fake.partition.put("a", "1")
    assert fake.broker_clock.now_ms() is None
    await Checkpoint(fake)()
    assert abs(fake.broker_clock.now_ms() - NOW_MS) < 60_000


@pytest.mark.parametrize("committed", [True, False])
async def test_how_much_a_successor_would_apply_again_is_known(fake, committed):
    position = fake.tasks.find_position(TP0)
    position.applied, fake.outcome = 2, committed
    taking = asyncio.create_task(Checkpoint(fake)())
    await asyncio.sleep(0)
    position.applied += 3  # while the checkpoint is under way: not of it
    await taking
    assert position.uncommitted == (3 if committed else 5)
