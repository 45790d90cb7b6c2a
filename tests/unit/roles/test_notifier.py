"""A record that the policy cannot process is kept on dead letters, and nothing of it in the state; what raises later is
set aside by itself."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from benchmarks.hot_path import App, Table
from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.broker_clock import LOG_APPEND_TIME, BrokerClock
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.repartition import Origin
from stream_detector.events import Action, Anomaly, RefusedError
from stream_detector.events.decode import decode_notification
from stream_detector.events.encode import encode
from stream_detector.kafka import topics
from stream_detector.notify import policy
from stream_detector.notify.message import Delivered, Message, Result, RetryAfter
from stream_detector.notify.stages import render
from stream_detector.notify.stages.deliver import Deliverer
from stream_detector.roles import notifier as notifier_module
from stream_detector.roles.notifier import Notifier
from stream_detector.settings import Settings
from tests.events_made import NOON, anomaly, uuid

NOW_MS = round(NOON.timestamp() * 1000)


class Scene:
    """A notifier, and what it put on `notifications` and on `dead-letters`."""

    def __init__(self) -> None:
        app: Any = App()
        app.settings = Settings(base_url="http://localhost")
        app.broker_clock = BrokerClock()
        app.now_s = lambda: WorkerApp.now_s(app)
        app.checkpoint = SimpleNamespace(begun=0, completed=0)

        def state_table(name: str, codec: Any, partitions: int, kind: Any) -> Table:
            return App.state_table(app, name, codec, partitions)

        def send_to_dlq(record: Any, headers: Any, origin: Origin, number: int, error: RefusedError) -> None:
            self.letters.append((origin, headers, number, error))

        app.state_table, app.send_to_dlq = state_table, send_to_dlq
        self.next_offset = 0
        self.app, self.letters, self.said = app, list[Any](), list[bytes]()
        app.batch_producer.put = lambda topic, number, key, value, *more: self.said.append(value)
        self.notifier = Notifier(app)
        self.notifier._knows_written = lambda partition: True  # type: ignore[method-assign]

    async def decide(self, *found: Anomaly | Action) -> dict[str, int]:
        records: list[Any] = [
            SimpleNamespace(
                headers=[
                    ("own", b"1"),
                    Origin(topics.ACTIONS if isinstance(one, Action) else topics.ALERTS, 2, offset, NOW_MS).header(),
                ],
                value=encode(one),
                timestamp=NOW_MS,
                key=None,
                offset=offset,
            )
            for offset, one in enumerate(found, self.next_offset)
        ]
        self.next_offset += len(found)
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


class Delivering(Scene):
    """The same with a channel that takes everything; each look comes after a checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.app.rebalancing, self.app.tasks = False, SimpleNamespace(by_number={0})
        self.app.checkpoint.is_running = False
        self.app.dispatch = lambda number: None
        self.behind = False
        self.app.positions = SimpleNamespace(has_unread=lambda known: self.behind)
        self.app.batch_producer.pending_bytes, self.app.batch_producer.ends = 0, {}
        table: Any = self.notifier._table
        table.find_owned = table.get_owned
        self.sent: list[Message] = []
        self.notifier._deliverer = Deliverer({"slack": self}, self.notifier._on_result)  # type: ignore[dict-item]
        self.notifier._config = replace(self.notifier._config, channels={"slack": True})

    async def deliver(self, message: Message) -> Result:
        self.sent.append(message)
        return Delivered("ok")

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.app.checkpoint.begun += 1
            self.app.checkpoint.completed += 1
            self.notifier._deliver_due()
            await asyncio.gather(*self.notifier._deliverer._under_way.values())
            await asyncio.sleep(0)  # the callbacks of those that have just ended

    def outcomes(self) -> list[str]:
        return [one.outcome for one in map(decode_notification, self.said) if one.channel == "slack"]


def a_minute_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: now_s)


async def test_s27_a_delivery_that_raises_is_failed_and_the_role_delivers_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene, real = Delivering(), render.render
    await scene.decide(*(anomaly(name, entity_id=name, entity_name=name) for name in "abc"))

    def defective(entry: Any, *given: Any) -> Any:
        if entry.anomaly.entity_id == "b":
            raise ZeroDivisionError("a defect")
        return real(entry, *given)

    monkeypatch.setattr(render, "render", defective)
    a_minute_later(monkeypatch)
    with caplog.at_level("ERROR"):
        await scene.look(times=8)
    assert [message.anomaly_id for message in scene.sent] == [uuid("a"), uuid("c")]
    assert sorted(scene.outcomes()) == ["delivered", "delivered", "failed"]
    (line,) = [record.getMessage() for record in caplog.records if "processing failed" in record.getMessage()]
    assert "due:" in line and "ZeroDivisionError('a defect')" in line and "everything else continues" in line


@pytest.mark.parametrize("broken", ["tick", "due_deliveries", "expire"])
async def test_s27_nothing_that_a_look_raises_ends_the_role(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Delivering()
    await scene.decide(anomaly("a"))

    def defective(*given: Any, **named: Any) -> Any:
        raise RecursionError("a defect")

    with monkeypatch.context() as patch, caplog.at_level("ERROR"):
        patch.setattr(notifier_module if broken == "tick" else policy, broken, defective)
        await scene.look(times=4)
    assert len([record for record in caplog.records if "a defect" in record.getMessage()]) == 1, "logged once"
    a_minute_later(monkeypatch)
    await scene.look(times=4)
    assert [message.anomaly_id for message in scene.sent] == [uuid("a")]


async def test_s27_an_answer_that_cannot_be_settled_is_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Delivering()
    await scene.decide(anomaly("a"))
    monkeypatch.setattr(policy, "settle", lambda *given: 1 / 0)
    a_minute_later(monkeypatch)
    await scene.look(times=8)
    assert len(scene.sent) == 1 and scene.outcomes() == ["delivered"]


HOUR_S, DAY_S = 3_600.0, 86_400.0


class Clocks(Delivering):
    """A notifier whose clock is off, on a broker that stamps what it acknowledges; the channel fails at first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, off_s: float) -> None:
        super().__init__()
        self.at_ms, self.fails = NOW_MS, False
        self.monkeypatch = monkeypatch
        self.set_clock(off_s)

    def set_clock(self, off_s: float) -> None:
        """Another owner takes over, with a clock of its own; its claim is acknowledged before it decides."""
        self.monkeypatch.setattr(time, "time", lambda: self.at_ms / 1000 + off_s)
        self.app.broker_clock = BrokerClock()
        self.app.broker_clock.steady_ms = lambda: self.at_ms - 17_000
        self.app.broker_clock.note(SimpleNamespace(timestamp=self.at_ms, timestamp_type=LOG_APPEND_TIME))

    async def pass_s(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1000)
        await self.look(times=3)

    async def deliver(self, message: Message) -> Result:
        self.sent.append(message)
        return RetryAfter("503", 0) if self.fails else Delivered("ok")


@pytest.mark.parametrize(
    "offsets",
    [(HOUR_S, HOUR_S), (-HOUR_S, -HOUR_S), (HOUR_S, -HOUR_S), (-HOUR_S, HOUR_S), (40 * DAY_S, -40 * DAY_S)],
    ids=["ahead", "behind", "ahead, then behind", "behind, then ahead", "40 days off each way"],
)
async def test_x11_a_notifier_whose_clock_is_wrong_sends_what_any_other_sends(
    offsets: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silence that ends, a rate limit and its digest, waits between tries, and a message that is given up."""

    async def live(first: float, second: float) -> tuple[list[bytes], list[str]]:
        scene = Clocks(monkeypatch, first)
        scene.notifier._config = replace(scene.notifier._config, rate_limit_count=3)
        silence = {"kind": "silence", "until": NOON + timedelta(minutes=30), "entity": "workflow:muted"}
        await scene.decide(Action(action_id="s", by="ann", at=NOON, **silence))
        for minute in range(0, 130, 10):
            if minute == 60:
                scene.set_clock(second)
            names = f"{minute}", f"{minute}-too"
            muted = anomaly(f"muted {minute}", entity_id="muted", entity_name="Muted")
            await scene.decide(*(anomaly(name, entity_id=name, entity_name=name) for name in names), muted)
            scene.fails = 40 <= minute < 80 or minute == 120
            await scene.pass_s(600)
        await scene.pass_s(2 * DAY_S)
        return scene.said, [message.title for message in scene.sent]

    expected = await live(0.0, 0.0)
    assert any(b'"retrying"' in one for one in expected[0]) and any(b"silenced" in one for one in expected[0])
    assert any("held back" in title for title in expected[1])
    assert any(b'"failed"' in one for one in expected[0])
    assert await live(*offsets) == expected


async def test_where_the_broker_names_no_time_the_clock_of_the_worker_stands() -> None:
    scene = Scene()
    assert abs(scene.app.now_s() - time.time()) < 60
