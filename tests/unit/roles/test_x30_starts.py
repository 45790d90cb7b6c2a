"""X30: starts reach the detector in the partition and order of their ends, and none is a dead letter."""

import io
import json
import random
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from msgspec.structs import replace

from benchmarks import load
from benchmarks.hot_path import App
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.repartition import ORIGIN, Origin, find_origin
from stream_detector.detect import Config
from stream_detector.detect.codec.packed import due_at
from stream_detector.detect.replay import Replayer
from stream_detector.events import Anomaly, Completion, ScoreRun, Start
from stream_detector.events.decode import decode_anomaly
from stream_detector.events.encode import encode
from stream_detector.events.files import read_events
from stream_detector.events.times import from_epoch_ms
from stream_detector.kafka import topics
from stream_detector.roles.detector import Detector
from tests.events_made import NOON, at_minute, completion, start

NOW_MS = round(NOON.timestamp() * 1000)
WORKFLOW = "wf-000004"
HOME = load.partition_of(WORKFLOW)
AWAY = (HOME + 1) % load.PARTITIONS


class Scene:
    """A detector; what it sent, and what it refused."""

    def __init__(self, **config: Any) -> None:
        app: Any = App()
        self.detector = Detector(app, Config(**config))
        self.sent: list[tuple[str, int, bytes | None]] = []
        self.headers: list[Any] = []
        self.letters: list[Any] = []
        app.batch_producer.put = self._put
        app.send_to_dlq = lambda *given: self.letters.append(given)

    def _put(self, topic: str, number: int, key: bytes, value: bytes | None, headers: Any = (), **_: Any) -> None:
        self.sent.append((topic, number, value))
        self.headers.append(headers)

    async def apply(self, *events: Completion | Start, number: int = HOME, source: str = topics.COMPLETIONS) -> Any:
        """The outcomes of a chunk; of forwarded records, each has the offset of its place."""
        headers = [Origin(topics.COMPLETIONS, AWAY, at, NOW_MS).header() for at in range(len(events))]
        records = [
            SimpleNamespace(
                headers=[headers[at]] if source == topics.REKEYED else [],
                value=encode(event), timestamp=NOW_MS, key=None, offset=at,
            )
            for at, event in enumerate(events)
        ]  # fmt: skip
        return await self.detector.apply(source, Chunk(TP(source, number), records, len(records)))


def runs(count: int, **given: Any) -> list[Completion | Start]:
    """Each execution's start and end."""
    found: list[Completion | Start] = []
    for each in range(count):
        found += [start(str(each), WORKFLOW, **given), completion(str(each), WORKFLOW, **given)]
    return found


@pytest.mark.parametrize("profile", ["classic", "robust"])
@pytest.mark.parametrize("variant", [None, "schedule"])
async def test_x30_starts_between_ends_are_counted(profile: str, variant: str | None) -> None:
    scene = Scene(profile=profile)
    assert await scene.apply(*runs(12, variant=variant)) == {"applied": 12, "started": 12}
    assert not scene.letters and not scene.sent


async def test_x30_a_start_twice_after_its_end_and_without_one() -> None:
    scene = Scene()
    first, end = runs(1)
    assert await scene.apply(end, first, first, start("never", WORKFLOW)) == {"applied": 1, "started": 3}
    assert not scene.letters and not scene.sent


async def test_x30_a_start_on_another_partition_goes_to_the_owner_and_is_applied_once() -> None:
    scene = Scene()
    assert await scene.apply(start("1", WORKFLOW), number=AWAY) == {"forwarded": 1}
    assert scene.sent == [(topics.REKEYED, HOME, encode(start("1", WORKFLOW)))]
    assert find_origin(scene.headers[0]) == Origin(topics.COMPLETIONS, AWAY, 0, NOW_MS)
    owner = Scene()
    events = runs(3)
    assert await owner.apply(*events, source=topics.REKEYED) == {"applied": 3, "started": 3}
    assert await owner.apply(*events, source=topics.REKEYED) == {"duplicate": 6}
    assert not owner.letters and all(name == ORIGIN for headers in scene.headers for name, _ in headers)


async def test_x30_a_start_of_an_unknown_workflow_makes_no_baseline() -> None:
    scene = Scene()
    assert await scene.apply(start("1", WORKFLOW)) == {"started": 1}
    assert not scene.detector._baselines.partitions[HOME].live


@pytest.mark.parametrize("variant", [None, "schedule"])
async def test_x30_a_start_with_a_limit_is_watched_from_the_first_run_on(variant: str | None) -> None:
    scene = Scene()
    given = start("1", WORKFLOW, limit_s=60.0, variant=variant)
    assert await scene.apply(given, given) == {"started": 2}
    (packed,) = scene.detector._baselines.partitions[HOME].live.values()
    assert due_at(packed) >= round(given.started_at.timestamp()) + 60
    assert await scene.apply(completion("1", WORKFLOW, variant=variant)) == {"applied": 1}
    (packed,) = scene.detector._baselines.partitions[HOME].live.values()
    assert due_at(packed) == 0


async def test_x30_a_start_with_a_limit_leaves_the_former_state_to_the_end_that_takes_it_over() -> None:
    scene, replayed = Scene(), Replayer(Config())
    before, given = completion("0", WORKFLOW), start("1", WORKFLOW, limit_s=60.0, variant="default branch")
    assert await scene.apply(before, given) == {"applied": 1, "started": 1}
    assert list(scene.detector._baselines.partitions[HOME].live) == [f"workflow:{WORKFLOW}"]
    assert [replayed.apply(event).kind for event in (before, given)] == ["applied", "started"]
    assert list(replayed.baselines) == [f"workflow:{WORKFLOW}"]


def test_x30_a_replay_watches_a_first_run_with_a_limit_too() -> None:
    replayed = Replayer(Config())
    assert replayed.apply(start("1", WORKFLOW, limit_s=60.0)).kind == "started"
    assert [state.running.executions[0].id for state in replayed.baselines.values()] == ["1"]  # type: ignore[union-attr]


async def test_x30_a_start_has_the_variant_of_its_labels() -> None:
    scene = Scene(variant_by=("trigger",))
    events = [pushed(each) for each in runs(2)]
    assert await scene.apply(*events) == {"applied": 2, "started": 2}
    assert list(scene.detector._baselines.partitions[HOME].live) == [f"workflow/push:{WORKFLOW}"]


def pushed(event: Completion | Start) -> Completion | Start:
    return replace(event, labels={"trigger": "push"})


async def test_x30_a_history_with_record_times_is_replayed_id_by_id_as_it_was_live() -> None:
    """Late events, failures in a row and their end: with the record's time an anomaly is the same to the byte."""
    scene, replayed = Scene(profile="robust"), Replayer(Config(profile="robust"))
    draw, history = random.Random(7), [*runs(30)]
    history += [
        completion(str(each), WORKFLOW, status="failure", finished_at=at_minute(draw.uniform(-90, 60)))
        for each in range(30, 40)
    ]
    found: list[Anomaly] = []
    for number, event in enumerate(history):
        ms = NOW_MS + 60_000 * number
        line = json.dumps({"record_at": from_epoch_ms(ms).isoformat(), "event": json.loads(encode(event))}).encode()
        (read,) = read_events(io.BytesIO(line), "history", record_ms=-1)
        assert read.event is not None and not isinstance(read.event, ScoreRun) and read.record_ms == ms
        found += replayed.apply(read.event, read.record_ms).anomalies
        record = SimpleNamespace(headers=[], value=encode(event), timestamp=ms, key=None, offset=number)
        await scene.detector.apply(topics.COMPLETIONS, Chunk(TP(topics.COMPLETIONS, HOME), [record], number + 1))
    live = [decode_anomaly(value) for topic, _, value in scene.sent if topic == topics.ALERTS]
    assert live and [replace(each, published_at=None) for each in live] == found
