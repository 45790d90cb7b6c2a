"""A week of incidents, minute by minute, and whatever else may happen: what the policy keeps over time."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from stream_detector.events import Anomaly, Notification
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.message import Delivered, RetryAfter
from stream_detector.notify.policy import accept, due_deliveries, expire, settle
from stream_detector.notify.shared_facets import GROUP_BY
from stream_detector.notify.state.slotted_store import SlottedStore
from stream_detector.notify.state.state_models import Due
from stream_detector.notify.tick import next_tick_s, tick
from tests.effort import examples
from tests.events_made import uuid
from tests.unit.notify.living import NOW_S
from tests.unit.notify.subjects import CONFIG, slow

OK = Delivered("ok")
GROUPED = Route(name="r", group_by=GROUP_BY, group_wait_s=20.0, group_interval_s=120.0, rate_limit_count=4)
ROUTES = {
    "at once": replace(GROUPED, group_by=(), group_wait_s=0.0, group_interval_s=0.0),
    "together": GROUPED,
    "together and again": replace(GROUPED, repeat_interval_s=900.0, own_limit=True),
    "alone, with an interval": replace(GROUPED, group_by=()),
}


def config_of(name: str, **given: Any) -> NotifyConfig:
    return replace(CONFIG, channels={"inbox": True, "slack": True}, routes=(replace(ROUTES[name], **given),))


class Live:
    """State, clock, every outcome, and every message that was let through with its time."""

    def __init__(self, config: NotifyConfig) -> None:
        self.config, self.state, self.now_s = config, SlottedStore({}), NOW_S
        self.outcomes: list[Notification] = []
        self.through: list[tuple[float, Due]] = []
        self._known: set[str] = set()

    def take(self, item: Any) -> None:
        self.outcomes += accept(self.state, item, self.now_s, self.config)
        self._note()

    def step(self, seconds: float, answer: Any = OK) -> None:
        self.now_s += seconds
        self.outcomes += tick(self.state, self.now_s, self.config)
        self._note()
        while ready := due_deliveries(self.state, self.now_s, self.config):
            for delivery in ready:
                self.outcomes += settle(self.state, delivery, answer, self.now_s, self.config)

    def until(self, end_s: float) -> None:
        """Let time pass, stopping only where it brings something."""
        while (at_s := next_tick_s(self.state)) is not None and at_s <= end_s:
            self.step(max(0.0, at_s - self.now_s))
        self.now_s = end_s

    def rest(self) -> None:
        """Let time pass until every window, wait and retry is over; only reminders may be left."""
        for _ in range(400):
            self.step(60)
            if not any(key.startswith(("due:", "held:", "pooled:")) for key in self.state):
                return

    def _note(self) -> None:
        for key in self.state.keys_of("due:"):
            if key not in self._known:
                self._known.add(key)
                self.through.append((self.now_s, msgspec.msgpack.decode(self.state[key], type=Due)))

    def by_anomaly(self, channel: str = "slack") -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for one in self.outcomes:
            if one.channel == channel and one.anomaly_id:
                found[one.anomaly_id].add(one.outcome)
        return found


def story(number: int, state: str, part: int = 0, workflow: str = "", **given: Any) -> Anomaly:
    name = workflow or f"w{number}"
    severity = "info" if state == "resolved" else given.pop("severity", "warning")
    values = {
        "entity_id": name,
        "entity_name": name,
        "execution_id": f"{number} {part}",
        "anomaly_type": "SpikeInFailures",
    }
    values |= {"affected_entities": [], "labels": {"build": f"base {number % 3}"}, "duration_s": None}
    return slow(f"{number} {state} {part}", incident=f"i{number}", state=state, severity=severity, **(values | given))


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[float, Anomaly]]:
    """Up to 25 incidents that open, may get worse, and mostly end; each of its own workflow."""
    found: list[tuple[float, Anomaly]] = []
    for number in range(draw(st.integers(1, 25))):
        at_s = draw(st.integers(0, 900))
        found.append((at_s, story(number, "opened")))
        if draw(st.booleans()):
            at_s += draw(st.integers(0, 200))
            found.append((at_s, story(number, "ongoing", severity="critical")))
        if draw(st.integers(0, 9)):
            found.append((at_s + draw(st.integers(0, 600)), story(number, "resolved")))
    return sorted(found, key=lambda pair: pair[0])


answers = st.sampled_from([OK, OK, RetryAfter(0.0, "busy"), RetryAfter(40.0, "429")])


def lived(name: str, history: list[tuple[float, Anomaly]], given_answers: list[Any], **more: Any) -> Live:
    live, at_s = Live(config_of(name, **more)), 0.0
    for number, (then_s, item) in enumerate(history):
        while at_s + 10 <= then_s:
            at_s += 10
            live.step(10, given_answers[number % len(given_answers)])
        live.take(item)
    live.rest()
    return live


@pytest.mark.parametrize("name", ROUTES)
@given(stories(), st.lists(answers, min_size=1, max_size=5))
@examples(40)
def test_no_end_is_lost_and_nothing_is_sent_after_it(
    name: str, history: list[tuple[float, Anomaly]], given_: list[Any]
) -> None:
    live = lived(name, history, given_, rate_limit_window_s=600.0)
    outcomes = live.by_anomaly()
    last: dict[str, str] = {}
    for one in live.outcomes:
        if one.channel == "slack" and one.outcome == "delivered" and one.incident_id and one.anomaly_id:
            last[one.incident_id] = one.anomaly_id
    for _, item in history:
        if item.state == "resolved":
            assert last[item.incident_id] == item.id, outcomes[item.id]


@pytest.mark.parametrize("name", ROUTES)
@given(stories(), st.lists(answers, min_size=1, max_size=5))
@examples(40)
def test_held_and_sent_are_all(name: str, history: list[tuple[float, Anomaly]], given_: list[Any]) -> None:
    live = lived(name, history, given_, rate_limit_window_s=600.0)
    outcomes = live.by_anomaly()
    for _, item in history:
        assert outcomes[item.id] & {"delivered", "suppressed"}, (item, outcomes[item.id])
        assert "delivered" in live.by_anomaly("inbox")[item.id] or "suppressed" in live.by_anomaly("inbox")[item.id]
    delivered = Counter(
        one.anomaly_id for one in live.outcomes if one.outcome == "delivered" and one.channel == "slack"
    )
    del delivered[None]
    assert max(delivered.values(), default=1) == 1 or "again" in name
    rest = ("due:", "held:", "line:", "pool:", "pooled:")
    assert not [key for key in live.state if key.startswith(rest)]


@pytest.mark.parametrize("name", ["together", "together and again", "alone, with an interval"])
@given(stories(), st.lists(answers, min_size=1, max_size=5))
@examples(60)
def test_never_two_messages_of_one_group_within_its_interval(
    name: str, history: list[tuple[float, Anomaly]], given_: list[Any]
) -> None:
    live = lived(name, history, given_, rate_limit_count=1_000)
    times: dict[str, list[float]] = defaultdict(list)
    for at_s, entry in live.through:
        times[entry.thread].append(at_s)
    assert times
    for thread, found in times.items():
        assert all(after - before >= 120.0 for before, after in pairwise(found)), (thread, found)


@pytest.mark.parametrize("name", ROUTES)
@given(stories(), st.lists(answers, min_size=1, max_size=5))
@examples(40)
def test_w28_no_window_holds_more_than_the_limit(
    name: str, history: list[tuple[float, Anomaly]], given_: list[Any]
) -> None:
    live = lived(name, history, given_, rate_limit_window_s=600.0)
    times = [at_s for at_s, _ in live.through]
    assert all(sum(at_s - 600.0 < other <= at_s for other in times) <= 4 for at_s in times)


@given(stories())
@examples(30)
def test_a_restart_at_any_moment_changes_nothing(history: list[tuple[float, Anomaly]]) -> None:
    whole = lived("together and again", history, [OK])
    broken, at_s = Live(config_of("together and again")), 0.0
    for then_s, item in history:
        while at_s + 10 <= then_s:
            at_s += 10
            before, broken.state = broken.state, SlottedStore({})
            broken.state.update(sorted(before.items()))  # read again, in another order
            broken.step(10)
        broken.take(item)
        broken.take(item)  # a replay of what was read last
    broken.rest()
    assert {one.id for one in broken.outcomes} == {one.id for one in whole.outcomes}
    assert dict(broken.state) == dict(whole.state)


def test_a_week_of_incidents() -> None:
    """200 times five workflows of 40 fail together for up to an hour, and one of them flaps: in under a second."""
    config = config_of(
        "together", group_interval_s=1800.0, rate_limit_count=20, rate_limit_window_s=3600.0, flap_window_s=600.0
    )
    events: list[tuple[float, Anomaly]] = []
    flapped: set[str] = set()
    for number in range(1_000):
        burst, ends = number // 5 * 50, number // 5 * 50 + 3 + number % 45
        given: Any = {"workflow": f"w{number % 40}", "labels": {"build": f"base {number // 5}"}}
        events.append((burst, story(number, "opened", **given)))
        events.append((ends, story(number, "resolved", **given)))
        if number % 11 == 0:
            flapped.add(uuid(f"i{number}"))
            events.append((ends + 2, story(100_000 + number, "opened", **given)))
            events.append((ends + 4, story(100_000 + number, "resolved", **given)))
    live = Live(config)
    for number, (minute, item) in enumerate(sorted(events, key=lambda pair: pair[0])):
        live.until(NOW_S + 60 * minute)
        live.take(item)
        if number % 100 == 0:
            expire(live.state, live.now_s)
    live.until(NOW_S + 7 * 86_400 + 7_200)
    outcomes = live.by_anomaly()
    assert all(outcomes[item.id] & {"delivered", "suppressed"} for _, item in events)
    ends_of = {item.incident_id: item.id for _, item in events if item.state == "resolved"}
    notified = {one.incident_id for one in live.outcomes if one.channel == "slack" and one.outcome == "delivered"}
    assert [one for one in notified - flapped - {None} if "delivered" not in outcomes[ends_of[one]]] == []
    assert len(live.through) < len(events) / 2, "sent together"
    assert not [key for key in live.state if key.startswith(("due:", "held:", "line:", "pooled:", "timer:"))]
