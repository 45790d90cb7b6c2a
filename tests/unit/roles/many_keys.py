"""A detector between crashes, without sockets: its partitions, what is written of them, and what it sent."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from benchmarks.hot_path import App as PlainApp
from benchmarks.hot_path import Table as PlainTable
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.task import Position, Tasks
from stream_detector.detect import Config
from stream_detector.events import Completion, Score
from stream_detector.events.encode import encode
from stream_detector.events.times import epoch_ms
from stream_detector.kafka import topics
from stream_detector.kafka.aiokafka_patches import FetchState
from stream_detector.kafka.topics import owner_partition
from stream_detector.roles.detector import BASELINE, Detector
from stream_detector.settings import Settings

CONFIG = Config(profile="robust", score_threshold=Decimal("0.5"))
PARTITIONS = 2


class Held(Exception):
    """What comes next on the partition waits for a checkpoint."""


class Table(PlainTable):
    """One table's partitions."""

    def __init__(self, codec: Codec[Any], partitions: int) -> None:
        super().__init__(codec, partitions)

    @property
    def owned_partitions(self) -> dict[int, StatePartition[Any]]:
        return {number: each for number, each in enumerate(self.partitions) if each.owned}

    def find_owned(self, number: int) -> StatePartition[Any] | None:
        return self.owned_partitions.get(number)


class App(PlainApp):
    """What of the Faust app the detector touches."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.settings = Settings(single_run_keys=most)
        self.partitions = {topic.name: PARTITIONS for topic in topics.TOPICS}
        self.checkpoint = SimpleNamespace(begun=0, completed=0, is_running=False)
        self.rebalancing = False
        self.tasks = Tasks()
        self.worker_consumer = SimpleNamespace()

    def state_table(self, name: str, codec: Codec[Any], partitions: int) -> Table:
        self.tables.append(Table(codec, partitions))
        return self.tables[-1]

    async def until_checkpoint(self) -> None:
        raise Held

    async def hurry_checkpoint(self) -> None:
        raise Held

    def dispatch(self, number: int) -> None: ...


class World:
    """Topics, and one detector at a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.sources: dict[tuple[str, int], list[Any]] = defaultdict(list)
        self.changelog: list[list[tuple[bytes, bytes]]] = [[] for _ in range(PARTITIONS)]
        self.committed: dict[tuple[str, int], int] = defaultdict(int)
        self.alerts: dict[str, set[bytes]] = defaultdict(set)
        self.restart()

    def restart(self, owned: Iterable[int] = range(PARTITIONS)) -> None:
        """Another detector, with what was written."""
        self.app = App(self.most)
        self.detector = Detector(self.app, CONFIG)  # type: ignore[arg-type]
        self.table = self.app.tables[0]
        self.applied = dict(self.committed)
        self.owned = tuple(owned)
        self.app.worker_consumer.fetch_state = lambda tp: FetchState(0, len(self.sources[tp.topic, tp.partition]), None)
        self.app.batch_producer.put = self._put  # type: ignore[method-assign]
        for number in self.owned:
            for source in (topics.COMPLETIONS, topics.SCORES):
                at = self.committed[source, number]
                self.app.tasks.get_or_create(number).positions[TP(source, number)] = Position(at, at)
        for number in range(PARTITIONS):
            partition = self.table.partitions[number] = StatePartition(BASELINE)
            log = self.changelog[number]
            records = [SimpleNamespace(offset=at, key=key, value=value) for at, (key, value) in enumerate(log)]
            if records:
                partition.apply_changelog(records)
            partition.finish_recovery(len(records) - 1)
            partition.owned = number in self.owned

    def _put(self, topic: str, number: int, key: bytes, value: bytes, headers: Any = (), **_: Any) -> None:
        if topic == topics.ALERTS:
            self.alerts[key.decode()].add(value)

    def publish(self, *events: Completion | Score) -> None:
        """Append to the topics."""
        for event in events:
            is_score = isinstance(event, Score)
            name = event.entity_id if isinstance(event, Score) else event.workflow_id
            at = event.scored_at if isinstance(event, Score) else event.finished_at
            log = self.sources[topics.SCORES if is_score else topics.COMPLETIONS, owner_partition(name, PARTITIONS)]
            log.append(
                SimpleNamespace(headers=[], value=encode(event), timestamp=epoch_ms(at), key=None, offset=len(log))
            )

    async def apply(self, most: int = 1 << 30) -> None:
        """Read on. Raises `Held` where a partition waits."""
        for (source, number), log in self.sources.items():
            first = self.applied.get((source, number), 0)
            records = log[first : first + most]
            if records and number in self.owned:
                chunk = Chunk(TP(source, number), records, first + len(records))
                if source == topics.COMPLETIONS:
                    await self.detector.before_completions(chunk)
                await self.detector.apply(source, chunk)
                self.applied[source, number] = first + len(records)
                if (position := self.app.tasks.find_position(chunk.tp)) is not None:
                    position.next_offset, position.applied = chunk.next_offset, position.applied + len(records)

    def begin_checkpoint(self) -> list[tuple[int, Any, dict[tuple[str, int], int]]]:
        """The snapshots of one."""
        checkpoint = self.app.checkpoint
        checkpoint.begun += 1
        checkpoint.is_running = True
        taken = []
        for task in self.app.tasks:
            for position in task.positions.values():
                position.applied_in_snapshot = position.applied
        for number in self.owned:
            self.detector.before_checkpoint(SimpleNamespace(number=number))  # type: ignore[arg-type]
            mine = {place: at for place, at in self.applied.items() if place[1] == number}
            snapshot = self.table.partitions[number].begin_snapshot({source: at for (source, _), at in mine.items()})
            taken.append((number, snapshot, mine))
        return taken

    def write(self, taken: list[tuple[int, Any, dict[tuple[str, int], int]]]) -> None:
        """Encode them, and write them to the changelog."""
        for number, snapshot, _ in taken:
            snapshot.encode_for(float("inf"))
            self.changelog[number] += snapshot.records

    def finish(self, taken: list[tuple[int, Any, dict[tuple[str, int], int]]]) -> None:
        """They are acknowledged, and the offsets are committed."""
        self.app.checkpoint.completed = self.app.checkpoint.begun
        self.app.checkpoint.is_running = False
        for number, _, mine in taken:
            self.committed.update(mine)
            for tp, position in self.app.tasks.get_or_create(number).positions.items():
                position.confirm_commit(mine.get((tp.topic, number), 0), "")

    def take_checkpoint(self) -> None:
        """All of one."""
        taken = self.begin_checkpoint()
        self.write(taken)
        self.finish(taken)

    async def run(self, *events: Completion | Score) -> None:
        """Publish, apply, and take two checkpoints."""
        self.publish(*events)
        await self.apply()
        self.take_checkpoint()
        self.take_checkpoint()

    def ids(self) -> set[str]:
        """The ids that have a baseline."""
        return {key.partition(":")[2] for number in self.owned for key in self.table.partitions[number].keys()}  # noqa: SIM118 - no dict

    def written(self) -> dict[str, bytes]:
        """Key -> the last value on the changelog, with its head."""
        return {key.decode(): value for log in self.changelog for key, value in log if not key.startswith(b"\0")}

    def dropped(self) -> set[str]:
        """The keys whose last value is an empty payload."""
        return {key for key, value in self.written().items() if changelog_record.is_deleted(value)}
