"""A record that the policy cannot process: kept on dead letters, and nothing of it in the state."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from benchmarks.hot_path import App, Table
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.repartition import Origin
from stream_detector.events import Anomaly, RefusedError
from stream_detector.events.encode import encode
from stream_detector.kafka import topics
from stream_detector.notify import policy
from stream_detector.roles.notifier import Notifier
from stream_detector.settings import Settings
from tests.events_made import NOON, anomaly

NOW_MS = round(NOON.timestamp() * 1000)


class Scene:
    """A notifier, and what it put on `notifications` and on `dead-letters`."""

    def __init__(self) -> None:
        app: Any = App()
        app.settings = Settings(base_url="http://localhost")
        app.checkpoint = SimpleNamespace(begun=0, completed=0)

        def state_table(name: str, codec: Any, partitions: int, kind: Any) -> Table:
            return App.state_table(app, name, codec, partitions)

        def send_to_dlq(record: Any, headers: Any, origin: Origin, number: int, error: RefusedError) -> None:
            self.letters.append((origin, headers, number, error))

        app.state_table, app.send_to_dlq = state_table, send_to_dlq
        self.app, self.letters, self.said = app, list[Any](), list[bytes]()
        app.batch_producer.put = lambda topic, number, key, value, *more: self.said.append(value)
        self.notifier = Notifier(app)

    async def decide(self, *found: Anomaly) -> dict[str, int]:
        records: list[Any] = [
            SimpleNamespace(
                headers=[("own", b"1"), Origin(topics.ALERTS, 2, offset, NOW_MS).header()],
                value=encode(one),
                timestamp=NOW_MS,
                key=None,
                offset=offset,
            )
            for offset, one in enumerate(found)
        ]
        tp = TP(topics.NOTIFIER_IN, 0)
        return dict(await self.notifier.decide(topics.NOTIFIER_IN, Chunk(tp, records, len(records))))


@pytest.fixture
def defect(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = policy.accept

    def defective(state: Any, item: Any, *given: Any) -> Any:
        decided = accept(state, item, *given)
        if item.entity_id == "b":
            raise ZeroDivisionError("a defect")
        return decided

    monkeypatch.setattr(policy, "accept", defective)


@pytest.mark.usefixtures("defect")
async def test_one_record_that_raises_is_on_dead_letters_and_the_others_are_decided() -> None:
    scene = Scene()
    found = [anomaly(name, entity_id=name, entity_name=name) for name in "abc"]
    assert await scene.decide(*found) == {"applied": 2, "refused": 1}
    ((origin, headers, number, error),) = scene.letters
    assert (origin.topic, origin.partition, origin.offset, number) == (topics.ALERTS, 2, 1, 2)
    assert headers == [("own", b"1")]
    assert (error.stage, error.reason, error.message) == ("step", "step_failed", "notifier: ZeroDivisionError")
    about = b"".join(scene.said)
    assert found[0].id.encode() in about and found[2].id.encode() in about and found[1].id.encode() not in about


@pytest.mark.usefixtures("defect")
async def test_without_the_acl_for_dead_letters_it_goes_on_too() -> None:
    scene = Scene()
    del scene.app.partitions[topics.DEAD_LETTERS]
    found = [anomaly(name, entity_id=name, entity_name=name) for name in "abc"]
    assert await scene.decide(*found) == {"applied": 2, "refused": 1}
    assert not scene.letters
