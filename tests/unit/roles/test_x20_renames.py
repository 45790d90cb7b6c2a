"""A rename moves the state of a workflow between two owners, whichever of them dies at whichever step."""

import base64
import json
import random
import zlib
from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream_detector.composition import detection_config
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect import WorkflowBaseline
from stream_detector.events import Action
from stream_detector.events.decode import decode_anomaly
from stream_detector.events.encode import encode
from stream_detector.kafka import topics
from stream_detector.roles.detector import BASELINE, Detector
from stream_detector.roles.renames import is_of_renames
from stream_detector.settings import Settings
from tests.drills.ledger import counted
from tests.events_made import NOON, completion
from tests.unit.roles.any_record import OwnedTable
from tests.unit.roles.test_variant_keys import OF_4659E91

N = 4
NOW_MS = round(NOON.timestamp() * 1000)
SOURCES = topics.COMPLETIONS, topics.ACTIONS, topics.REKEYED
POINTS = "sent", "acked", "half", "written", "committed"
"""Where a checkpoint can end with its process: its steps are numbered in delivery/checkpoint.py."""
A, B, C = "app-1", "app-3", "app-5"
"""Owned by different partitions."""


class BlockedError(Exception):
    """What comes next has to wait for a checkpoint."""


class App:
    """The app of one process, on the broker of a world."""

    def __init__(self, world: "World") -> None:
        self.settings, self.tables, self.world = Settings(), [], world
        self.partitions = {topic.name: N for topic in topics.TOPICS}
        self.on_rebalance_complete = SimpleNamespace(connect=lambda **_: lambda function: function)
        self.batch_producer, self.broker_clock = self, SimpleNamespace(now_ms=lambda: None, steady_ms=lambda: 0)
        self.checkpoint = SimpleNamespace(begun=0, completed=0, is_running=False)
        self.tasks = SimpleNamespace(by_number={}, find_position=lambda tp: None)
        self.topic_prefix, self.rebalancing = "", False
        self.pending: list[tuple[str, int, Any]] = []

    def state_table(self, name: str, codec: Any, partitions: int) -> Any:
        table = OwnedTable(codec, partitions)
        table.partitions = [StatePartition(codec) for _ in range(partitions)]
        for number, partition in enumerate(table.partitions):
            partition.owned = True
            if name == topics.BASELINES and (records := self.world.logs[name, number]):
                partition.apply_changelog(records)
                partition.finish_recovery(len(records) - 1)
                partition.owned = True
        self.tables.append(table)
        return table

    def put(self, topic: str, number: int, key: bytes, value: bytes, headers: Any = None, **_: Any) -> None:
        self.pending.append((topic, number, (key, value, list(headers or []))))

    def send_to_dlq(self, record: Any, headers: Any, origin: Any, number: int, error: Any) -> None:
        raise AssertionError(f"refused: {error.message}")

    def dispatch(self, number: int) -> None:
        """Awaited with the checkpoint."""

    async def until_checkpoint(self) -> None:
        raise BlockedError

    def flush(self, count: int) -> None:
        for topic, number, (key, value, headers) in self.pending[:count]:
            self.world.publish(topic, number, value, key=key, headers=headers)
        del self.pending[:count]


class World:
    """A broker's logs, and a detector of all partitions that may die."""

    def __init__(self, seed: int = 0) -> None:
        self.logs: dict[tuple[str, int], list[Any]] = defaultdict(list)
        self.committed: dict[tuple[str, int], int] = defaultdict(int)
        self.draw = random.Random(seed)
        self.executions = self.actions = self.deaths = 0
        self.start()

    def start(self) -> None:
        self.app = App(self)
        self.detector = Detector(self.app, detection_config(Settings()))  # type: ignore[arg-type]
        self.table = self.app.tables[0].partitions
        self.next = defaultdict(int, self.committed)

    def publish(self, topic: str, number: int, value: bytes, *, key: bytes = b"", headers: Any = ()) -> None:
        log = self.logs[topic, number]
        log.append(SimpleNamespace(offset=len(log), key=key, value=value, headers=list(headers), timestamp=NOW_MS))

    def execute(self, workflow_id: str, *, at: int | None = None, failed: bool = False, **more: Any) -> None:
        self.executions += 1
        number = topics.owner_partition(workflow_id, N) if at is None else at
        event = completion(
            execution_id=f"run-{self.executions}",
            workflow_id=workflow_id,
            status="failure" if failed else "success",
            finished_at=NOON + timedelta(seconds=self.executions),
            **more,
        )
        self.publish(topics.COMPLETIONS, number, encode(event))

    def act(self, kind: str, workflow_id: str, **more: Any) -> None:
        self.actions += 1
        at = NOON + timedelta(minutes=self.actions)
        action = Action(
            action_id=f"action-{self.actions}", kind=kind, by="ops", at=at, entity=f"workflow:{workflow_id}", **more
        )
        self.publish(topics.ACTIONS, topics.owner_partition(workflow_id, N), encode(action))

    async def turn(self) -> bool:
        """One chunk of some source; False where nothing can be read now."""
        waiting = [place for place in self.places() if len(self.logs[place]) > self.next[place]]
        self.draw.shuffle(waiting)
        for topic, number in waiting:
            first = self.next[topic, number]
            count = self.draw.randint(1, 5)
            records = self.logs[topic, number][first : first + count]
            chunk = Chunk(TP(topic, number), records, records[-1].offset + 1)
            try:
                await self.detector.before_completions(chunk)
            except BlockedError:
                continue
            outcomes = await self.detector.apply(topic, chunk)
            assert "refused" not in outcomes
            self.next[topic, number] = chunk.next_offset
            return True
        return False

    def places(self) -> list[tuple[str, int]]:
        return [(topic, number) for topic in SOURCES for number in range(N)]

    def checkpoint(self, dies_at: str = "") -> bool:
        """False where the process dies in it."""
        app = self.app
        app.checkpoint.begun += 1
        app.checkpoint.is_running = True
        snapshots = []
        for number, partition in enumerate(self.table):
            positions = {topic: self.next[topic, number] for topic in SOURCES}
            self.detector.before_checkpoint(SimpleNamespace(number=number, state_positions=lambda _, at=positions: at))
            snapshots.append(partition.begin_snapshot(positions))
        if dies_at == "sent":
            app.flush(self.draw.randint(0, len(app.pending)))
            return self.die()
        app.flush(len(app.pending))
        if dies_at == "acked":
            return self.die()
        for number, snapshot in enumerate(snapshots):
            snapshot.encode_for(float("inf"))
            for unit in _units(snapshot):
                if dies_at == "half" and self.draw.random() < 0.4:
                    continue  # batches are written in any order of partitions, each whole
                self._write(number, unit)
        if dies_at == "half":
            return self.die()
        for number, snapshot in enumerate(snapshots):
            self._write(number, snapshot.watermarks)
        if dies_at == "written":
            return self.die()
        self.committed = defaultdict(int, self.next)
        if dies_at == "committed":
            return self.die()
        app.checkpoint.completed = app.checkpoint.begun
        app.checkpoint.is_running = False
        return True

    def _write(self, number: int, records: Any) -> None:
        for key, value in records:
            self.publish(topics.BASELINES, number, value, key=key)

    def die(self) -> bool:
        self.deaths += 1
        self.start()
        return False

    async def settle(self) -> None:
        """Everything is read and written, and nothing more comes of it."""
        quiet = 0
        while quiet < 4:
            quiet = 0 if await self.turn() else quiet + 1
            self.checkpoint()

    def counts(self) -> dict[str, int]:
        """Executions by state key."""
        found = {key: partition.get(key) for partition in self.table for key in partition.keys()}  # noqa: SIM118
        return {key: counted(packed, key) for key, packed in found.items() if packed and not is_of_renames(key)}

    def baseline(self, key: str) -> WorkflowBaseline:
        number = topics.owner_partition(key.partition(":")[2], N)
        found = WorkflowBaseline.unpack(key, self.table[number].get(key))
        assert isinstance(found, WorkflowBaseline)
        return found

    def alerts(self) -> list[Any]:
        return [decode_anomaly(record.value) for number in range(N) for record in self.logs[topics.ALERTS, number]]


def _units(snapshot: Any) -> list[Any]:
    """What is in the changelog whole or not at all."""
    groups = snapshot.groups()
    grouped = {key for group in groups for key, _ in group}
    return [*groups, *([record] for record in snapshot.records if record[0] not in grouped)]


def owners(*ids: str) -> set[int]:
    return {topics.owner_partition(each, N) for each in ids}


def test_the_ids_of_these_tests_have_different_owners() -> None:
    assert len(owners(A, B, C)) == 3


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("seed", range(4))
async def test_x20_a_rename_loses_and_doubles_nothing_whatever_dies(point: str, seed: int) -> None:
    """Executions under the former id come on all partitions, before, while and after it is renamed."""
    world = World(seed)
    draw = world.draw
    for _ in range(draw.randint(0, 30)):
        world.execute(A, variant=draw.choice([None, "schedule", "tag"]), at=draw.choice([None, *range(N)]))
    renamed = False
    for step in range(60):
        if draw.random() < 0.3:
            world.execute(A, variant=draw.choice([None, "schedule", "branch"]), at=draw.choice([None, *range(N)]))
        if step == 15:
            world.act("rename", A, new_id=B)
            renamed = True
        await world.turn()
        if draw.random() < 0.4:
            world.checkpoint(point if renamed and draw.random() < 0.4 else "")
    await world.settle()
    assert world.deaths
    counts = world.counts()
    assert sum(counts.values()) == world.executions
    assert {key.partition(":")[2] for key in counts} == {B}


async def test_x20_state_incidents_and_ids_go_on_as_they_were() -> None:
    world = World()
    for _ in range(30):
        world.execute(A)
    for _ in range(3):
        world.execute(A, failed=True)
    await world.settle()
    before = world.baseline(f"workflow:{A}")
    (opened,) = [one for one in world.alerts() if one.state == "opened" and one.detector == "consecutive_failures"]
    world.act("rename", A, new_id=B)
    await world.settle()
    after = world.baseline(f"workflow:{B}")
    assert after.pack() == before.pack()
    world.publish(topics.COMPLETIONS, 0, world.logs[topics.COMPLETIONS, topics.owner_partition(A, N)][-1].value)
    world.execute(B)
    await world.settle()
    assert world.counts() == {f"workflow:{B}": 34}, "an execution that comes again counts once"
    (ended,) = [one for one in world.alerts() if one.state == "resolved" and one.detector == "consecutive_failures"]
    assert (ended.incident_id, ended.entity_id, opened.entity_id) == (opened.incident_id, B, A)


async def test_x20_a_chain_of_renames_and_one_back() -> None:
    world = World()
    for old, new in ((A, B), (B, C), (C, A), (A, B)):
        for _ in range(10):
            world.execute(old)
        await world.settle()
        world.act("rename", old, new_id=new)
        world.execute(old)
        await world.settle()
        assert world.counts() == {f"workflow:{new}": world.executions}
    for former in (A, C):
        world.execute(former)
    await world.settle()
    assert world.counts() == {f"workflow:{B}": world.executions}


@pytest.mark.parametrize("seed", range(6))
async def test_x20_a_chain_that_is_read_at_once(seed: int) -> None:
    world = World(seed)
    for _ in range(10):
        world.execute(A, at=world.draw.randrange(N))
    await world.settle()
    world.act("rename", A, new_id=B)
    world.act("rename", B, new_id=C)
    for _ in range(20):
        world.execute(A, at=world.draw.randrange(N))
        await world.turn()
        world.checkpoint(world.draw.choice(["", "", *POINTS]))
    await world.settle()
    assert world.counts() == {f"workflow:{C}": world.executions}


async def test_x20_asked_twice_or_read_twice_changes_nothing() -> None:
    world = World()
    for _ in range(10):
        world.execute(A)
    await world.settle()
    world.act("rename", A, new_id=B)
    log = world.logs[topics.ACTIONS, topics.owner_partition(A, N)]
    await world.settle()
    world.publish(topics.ACTIONS, topics.owner_partition(A, N), log[0].value)
    world.act("rename", A, new_id=B)
    await world.settle()
    assert world.counts() == {f"workflow:{B}": 10}
    world.act("rename", B, new_id=A)
    await world.settle()
    world.publish(topics.ACTIONS, topics.owner_partition(A, N), log[0].value)  # the first one comes again
    world.execute(A)
    await world.settle()
    assert world.counts() == {f"workflow:{A}": 11}


async def test_x20_actions_about_the_former_id_reach_the_new_one_and_retire_ends_that() -> None:
    world = World()
    for _ in range(30):
        world.execute(A)
    for _ in range(3):
        world.execute(A, failed=True)
    await world.settle()
    (opened,) = [one for one in world.alerts() if one.detector == "consecutive_failures"]
    world.act("rename", A, new_id=B)
    await world.settle()
    world.act("resolve", A, incident_id=opened.incident_id)
    await world.settle()
    assert opened.incident_id not in {one.id for one in world.baseline(f"workflow:{B}").incidents.values()}
    world.act("retire", A)
    world.execute(B)
    await world.settle()
    world.execute(A)
    await world.settle()
    assert world.counts() == {f"workflow:{B}": 34, f"workflow:{A}": 1}, "the id is one of its own again"


async def test_x20_a_start_under_the_former_id_is_passed_on() -> None:
    world = World()
    for _ in range(10):
        world.execute(A)
    await world.settle()
    world.act("rename", A, new_id=B)
    await world.settle()
    start = {"state": "started", "execution_id": "later", "workflow_id": A, "started_at": NOON.isoformat()}
    world.publish(topics.COMPLETIONS, topics.owner_partition(A, N), json.dumps(start).encode())
    await world.settle()
    log = world.logs[topics.REKEYED, topics.owner_partition(B, N)]
    assert log[-1].key == f"workflow:{B}".encode() and b'"later"' in log[-1].value
    assert world.counts() == {f"workflow:{B}": 10}


@pytest.mark.parametrize("already", [1, 40])
async def test_x20_where_the_new_id_has_a_baseline_a_newcomer_gives_way(already: int) -> None:
    """Executions of the new id are read before the rename: they lie on another partition."""
    world = World()
    for _ in range(50):
        world.execute(A)
    for _ in range(already):
        world.execute(B)
    for _ in range(3):
        world.execute(B, failed=True)
    await world.settle()
    (opened,) = [one for one in world.alerts() if one.detector == "consecutive_failures"]
    world.act("rename", A, new_id=B)
    await world.settle()
    is_newcomer = already < 20
    assert world.counts() == {f"workflow:{B}": 50 if is_newcomer else already + 3}
    ends = [one for one in world.alerts() if one.state == "resolved"]
    assert [one.incident_id for one in ends] == ([opened.incident_id] if is_newcomer else [])
    assert all(one.end_reason == "retired" and one.execution_id is None for one in ends)


@pytest.mark.parametrize("broken", [{"new_id": A}, {"new_id": None}, {"entity": f"score:{A}"}, {"entity": "workflow:"}])
async def test_x20_a_rename_to_nothing_or_to_itself_changes_nothing(broken: Mapping[str, Any]) -> None:
    world = World()
    world.execute(A)
    await world.settle()
    fields = {"new_id": B, "entity": f"workflow:{A}"} | dict(broken)
    action = Action(action_id="x", kind="rename", by="ops", at=NOON, **fields)
    world.publish(topics.ACTIONS, topics.owner_partition(A, N), encode(action))
    await world.settle()
    assert world.counts() == {f"workflow:{A}": 1}


@pytest.mark.parametrize("profile", sorted(OF_4659E91))
async def test_x20_state_of_4659e91_is_renamed_with_its_open_incidents(profile: str) -> None:
    world = World()
    packed = zlib.decompress(base64.b85decode(OF_4659E91[profile]))
    number = topics.owner_partition("build", N)
    world.publish(topics.BASELINES, number, changelog_record.encode_header(1, {}) + packed, key=b"workflow:build")
    world.start()
    before = world.baseline("workflow:build")
    assert before.incidents
    for dies_at in ("", *POINTS):
        if not dies_at:
            world.act("rename", "build", new_id=B)
        await world.turn()
        world.checkpoint(dies_at)
    await world.settle()
    after = world.baseline(f"workflow:{B}")
    assert after.pack() == before.pack()
    assert {one.id for one in after.incidents.values()} == {one.id for one in before.incidents.values()}


def test_an_older_version_keeps_what_renames_write() -> None:
    """It reads the first byte of a value as a layout, and verifies the keys of baselines alone."""
    packed = b"\x01\x00" + b"anything"
    BASELINE.check(packed)
    assert changelog_record.payload_of(changelog_record.encode_header(1, {}) + packed) == packed
    BASELINE.verify("renamed:app", packed)  # type: ignore[misc]
