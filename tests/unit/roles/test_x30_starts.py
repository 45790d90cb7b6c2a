"""X30: starts reach the detector in the partition and order of their ends, and none is a dead letter."""

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
from stream_detector.events import Completion, Start
from stream_detector.events.encode import encode
from stream_detector.kafka import topics
from stream_detector.roles.detector import Detector
from tests.events_made import NOON, completion, start

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


async def test_x30_a_start_has_the_variant_of_its_labels() -> None:
    scene = Scene(variant_by=("trigger",))
    events = [pushed(each) for each in runs(2)]
    assert await scene.apply(*events) == {"applied": 2, "started": 2}
    assert list(scene.detector._baselines.partitions[HOME].live) == [f"workflow/push:{WORKFLOW}"]


def pushed(event: Completion | Start) -> Completion | Start:
    return replace(event, labels={"trigger": "push"})
