"""A state that version 4659e91 wrote is read, written back as the same bytes, and gone on from.

`stored_state.z` holds the slots after the life below. The encoded names
are part of what a running notifier has in `notifier-state`: a name that changes in Python must not change there.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream_detector.events import Affected, Notification
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.message import Delivered, Delivery, Refused, Result, RetryAfter
from stream_detector.notify.policy import accept, due_deliveries, expire, settle, watch_topic
from stream_detector.notify.shared_facets import GROUP_BY
from stream_detector.notify.state import keys, state_models
from stream_detector.notify.state.slotted_store import Slot, SlottedStore
from stream_detector.notify.subject import worst_of
from stream_detector.notify.tick import tick
from tests.events_made import NOON, action, score_change
from tests.unit.notify.subjects import BALANCER, LIDO, run_of, slow

STORED: dict[str, Any] = msgspec.msgpack.decode(
    zlib.decompress(Path(__file__).with_name("stored_state.z").read_bytes())
)
CONFIG = NotifyConfig(
    channels={"inbox": True, "slack": True, "slack_bot": True, "email": True, "webhook": False},
    base_url="https://gvs.example.org",
    link_key=b"k" * 32,
    quiet_after_s={"scores": 60.0, "workflow-completions": 60.0},
    rate_limit_count=8,
    routes=(
        Route(name="solo", match={"workflow": ("solo*",)}, repeat_interval_s=600.0, flap_window_s=4000.0),
        Route(
            name="ci",
            match={"team": ("ci",)},
            group_by=GROUP_BY,
            group_wait_s=10.0,
            group_interval_s=60.0,
            repeat_interval_s=900.0,
            rate_limit_count=50,
            own_limit=True,
            continues=True,
        ),
        Route(name="tight", match={"team": ("tight",)}, channels=("email",), rate_limit_count=1, own_limit=True),
    ),
)
CI = {"labels": {"team": "ci", "image": "base:9"}, "profile": "robust"}
MODELS: dict[str, type[msgspec.Struct]] = {
    keys.INCIDENT: state_models.Incident,
    keys.FLAP: state_models.Flap,
    keys.RUN_PART: state_models.RunPart,
    keys.DUE: state_models.Due,
    keys.RATE: state_models.RateWindow,
    keys.HELD: state_models.Line,
    keys.LINE: state_models.Line,
    keys.PENDING_BUCKET: state_models.PendingBucket,
    keys.PENDING: state_models.Pending,
    keys.GROUP: state_models.Group,
    keys.REFERENCE: state_models.Reference,
    keys.REMINDER: state_models.Pending,
    keys.HEALTH: state_models.ChannelHealth,
    keys.TOPIC: state_models.TopicActivity,
    keys.SILENCES: state_models.Silences,
}
PLAIN = (keys.DECIDED, keys.FACET, keys.TIMER)
"""Kinds whose values are no structures."""


class Life:
    """The policy, what it says and what it sends."""

    def __init__(self) -> None:
        self.now_s = NOON.timestamp()
        self.slots: dict[str, Slot] = {}
        self.state = SlottedStore({}, keep=lambda name, slot: self.slots.__setitem__(name, dict(slot)))
        self.outcomes: list[Notification] = []
        self.sent: list[Any] = []

    def take(self, *items: Any) -> None:
        for item in items:
            self.outcomes += accept(self.state, item, self.now_s, CONFIG)

    def pass_time(self, seconds: float, answer: Callable[[Delivery], Result] = lambda delivery: _ok(delivery)) -> None:
        self.now_s += seconds
        self.outcomes += tick(self.state, self.now_s, CONFIG)
        while ready := due_deliveries(self.state, self.now_s, CONFIG):
            for delivery in ready:
                message = delivery.message
                about = [message.id, message.channel, message.severity, message.state, message.link, message.reference]
                self.sent.append([*about, delivery.tries, delivery.first_at_s])
                self.outcomes += settle(self.state, delivery, answer(delivery), self.now_s, CONFIG)

    def watch(self, topic: str, end: int) -> None:
        self.outcomes += watch_topic(self.state, topic, end, self.now_s, CONFIG)


def _ok(delivery: Delivery) -> Result:
    message = delivery.message
    return Delivered("ok", f"C1 {message.id[:8]}" if message.channel == "slack_bot" else "")


def _failing(delivery: Delivery) -> Result:
    channel = delivery.message.channel
    if channel == "email":
        return RetryAfter(0.0, "busy")
    return Refused("no") if channel == "slack" else Delivered("ok", "C1 1.2" if channel == "slack_bot" else "")


def life_of_everything() -> Life:
    """Groups, limits, runs, silences, flapping, reminders, failures and notices: some of everything is left in it."""
    life = Life()
    life.take(slow("g1", entity_id="w1", **CI), slow("g2", entity_id="w2", severity="warning", **CI))
    life.pass_time(10)
    alone = {"execution_id": "9", "profile": "robust", "affected_entities": []}
    life.take(slow("alone", labels={"team": "ci"}, entity_id="w3", **alone))
    life.pass_time(20)
    life.take(slow("u1", entity_id="u1"), slow("u2", entity_id="u2", severity="warning"), slow("low", severity="info"))
    life.pass_time(5)
    life.take(*(slow(f"t{n}", entity_id=f"t{n}", labels={"team": "tight"}, severity="warning") for n in range(4)))
    life.pass_time(1)
    life.take(score_change("s1", entity_id="e1", run_id=None), run_of(LIDO, BALANCER))
    life.pass_time(1)
    life.take(run_of(LIDO, part=1, parts=2, run_id="half"))
    life.pass_time(1)
    life.take(
        action("1", "acknowledge", incident_id=slow("g2").incident_id, by="Ann"),
        action("2", "silence", entity="workflow:quiet", by="Bo"),
        action("3", "silence", matchers={"team": "noise"}),
        slow("silent", entity_id="quiet"),
        slow("silent2", labels={"team": "noise"}),
    )
    life.pass_time(1)
    life.take(slow("solo1", entity_id="solo1", profile="robust"))
    life.pass_time(700)
    step = {"labels": {"team": "ci"}, "affected_entities": [Affected("step", "s", "compile")]}
    _open_and_end(life, "f", _ok, entity_id="flappy", **step)
    life.take(slow("g3", entity_id="w4", **CI))
    life.pass_time(5)
    for number in range(7):
        life.take(slow(f"v{number}", entity_id=f"v{number}"))
        life.pass_time(900, _failing)
    for _ in range(2):
        life.watch("scores", 1)
        life.now_s += 100
    life.watch("scores", 1)
    life.watch("workflow-completions", 5)
    life.pass_time(1000, _failing)
    end = {"incident": "g1", "state": "resolved", "severity": "info", "duration_s": 60.0}
    life.take(slow("g1", id="g1b", state="ongoing", entity_id="w1", **CI), slow("g1e", entity_id="w1", **(CI | end)))
    life.pass_time(61, _failing)
    expire(life.state, life.now_s)
    _open_and_end(life, "sf", _failing, entity_id="solo2")
    alone |= {"execution_id": "99", "labels": {"team": "ci", "x": "y"}}
    life.take(slow("alone2", entity_id="solo", **alone))
    life.pass_time(30, _failing)
    life.take(slow("last", entity_id="w9", **CI), *(slow(f"h{n}", entity_id=f"h{n}") for n in range(3)))
    return life


def _open_and_end(life: Life, name: str, answer: Callable[[Delivery], Result], **given: Any) -> None:
    for number in range(3):
        values = {"incident": f"{name}{number}", "profile": "robust"} | given
        life.take(slow(f"{name}{number}", **values))
        life.pass_time(12, answer)
        end = {"state": "resolved", "severity": "info", "duration_s": 12.0}
        life.take(slow(f"{name}e{number}", **(values | end)))
        life.pass_time(70, answer)


def stored_slots() -> dict[str, Slot]:
    return {name: dict(slot) for name, slot in STORED["slots"].items()}


def stored_values() -> list[tuple[str, bytes]]:
    return [(key, value) for slot in stored_slots().values() for key, value in slot.items()]


def test_every_kind_of_value_is_in_it() -> None:
    kinds = {key.partition(":")[0] for key, _ in stored_values()}
    assert kinds == {prefix.removesuffix(":") for prefix in (*MODELS, *PLAIN)}


@pytest.mark.parametrize("prefix", MODELS)
def test_a_stored_value_is_read_and_written_back_as_the_same_bytes(prefix: str) -> None:
    for key, value in stored_values():
        if key.startswith(prefix):
            read = msgspec.msgpack.decode(value, type=MODELS[prefix])
            written = msgspec.msgpack.encode(read)
            if MODELS[prefix] is state_models.Line:  # packed without names: what is new stands behind the rest
                before = msgspec.msgpack.decode(value)
                assert msgspec.msgpack.decode(written)[: len(before)] == before
            else:
                assert written == value, key


def test_the_same_life_leaves_the_same_kinds_of_state() -> None:
    life = life_of_everything()
    assert life.now_s == STORED["now_s"]
    left = {key.partition(":")[0] for slot in life.slots.values() for key in slot}
    added = {"silence", "retired", "taken", "taken-all"}  # later than what is stored
    assert left - added == {key.partition(":")[0] for key, _ in stored_values()}


def test_a_notifier_is_active_from_it() -> None:
    life = Life()
    life.state, life.now_s = SlottedStore(stored_slots()), STORED["now_s"]
    for _ in range(60):
        life.pass_time(4_000)
        expire(life.state, life.now_s)
    assert life.sent and not [key for key in life.state if key.startswith((keys.DUE, keys.HELD, keys.PENDING))]


def test_a_severity_that_is_the_default_is_left_out_though_it_was_read_from_bytes() -> None:
    read = msgspec.msgpack.decode(msgspec.msgpack.encode("warning"), type=str)
    flap = state_models.Flap(ended_at_s=1.0, opened_at_s=0.0, notified=[], severity=worst_of("info", read))
    assert "severity" not in msgspec.msgpack.decode(msgspec.msgpack.encode(flap))
