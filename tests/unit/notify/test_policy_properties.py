"""What the policy keeps whatever comes, in whatever order, however often, and whatever the channels answer."""

from collections import Counter
from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from stream_detector.events import Action, Anomaly, Notification, RunSummary
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.message import Delivered, Refused, RetryAfter
from stream_detector.notify.policy import accept, due_deliveries, expire, settle
from tests.effort import examples
from tests.events_made import NOON, action, score_change
from tests.unit.notify.subjects import CONFIG, change, run_of, slow

Item = Anomaly | RunSummary | Action
LIMIT = 3
LIMITED = NotifyConfig(channels=CONFIG.channels, rate_limit_count=LIMIT, rate_limit_window_s=100.0)

severities = st.sampled_from(["info", "warning", "critical"])
results = st.sampled_from(
    [Delivered("ok"), Delivered("ok"), RetryAfter(0, "busy"), RetryAfter(30, "429"), Refused("no")]
)


@st.composite
def alerts(draw: st.DrawFn) -> Anomaly:
    number = draw(st.integers(0, 9))
    name, incident = f"a{number}", f"i{draw(st.integers(0, 3))}"
    state = draw(st.sampled_from(["opened", "ongoing", "resolved"]))
    severity = draw(severities)
    return slow(f"{name} {incident} {state} {severity}", incident=incident, state=state, severity=severity)


@st.composite
def parts_of_a_run(draw: st.DrawFn) -> RunSummary:
    """RunPart 1 or 2 of one of three runs; a run has the same parts whenever it is sent."""
    run, part = draw(st.integers(0, 2)), draw(st.integers(1, 2))
    changes = [change(f"e{run}{part}{n}", "5", "6.5") for n in range(run)]
    return run_of(*changes, run_id=f"run {run}", part=part, parts=2)


def score_changes() -> st.SearchStrategy[Anomaly]:
    return st.integers(0, 5).map(lambda n: score_change(f"s{n}", entity_id=f"e{n}"))


def actions() -> st.SearchStrategy[Action]:
    kinds = st.sampled_from(["acknowledge", "resolve", "silence", "retire", "expected"])
    return st.builds(lambda n, kind: action(str(n), kind, incident_id=f"i{n}"), st.integers(0, 3), kinds)


items = st.one_of(alerts(), parts_of_a_run(), score_changes(), actions())
scenarios = st.lists(st.tuples(items, st.integers(0, 60), st.lists(results, max_size=4)), max_size=40)


def live(happened: list[tuple[Item, int, list[Any]]], config: NotifyConfig = LIMITED) -> tuple[Any, Any, Any]:
    """Let it all happen; returns what was let through (time, channel, message id), the outcomes, the state."""
    state: dict[str, bytes] = {}
    outcomes: list[Notification] = []
    let_through: list[tuple[float, str, str]] = []
    now_s = NOON.timestamp()
    for item, later_s, answers in happened:
        now_s += later_s
        before = {key for key in state if key.startswith("due:")}
        outcomes += accept(state, item, now_s, config)
        for key in {key for key in state if key.startswith("due:")} - before:
            _, message, channel = key.split(":")
            let_through.append((now_s, channel, message))
        for delivery, answer in zip(due_deliveries(state, now_s, config), answers, strict=False):
            outcomes += settle(state, delivery, answer, now_s, config)
        expire(state, now_s)
    return let_through, outcomes, state


@given(scenarios)
@examples(150)
def test_never_two_messages_for_one_run_or_anomaly(happened: list[tuple[Item, int, list[Any]]]) -> None:
    let_through, outcomes, _ = live(happened)
    assert max(Counter((channel, message) for _, channel, message in let_through).values(), default=1) == 1
    done = Counter(
        (n.channel, n.anomaly_id, n.run_id) for n in outcomes if n.outcome == "delivered" and n.channel != "inbox"
    )
    assert max(done.values(), default=1) == 1


@given(scenarios)
@examples(150)
def test_w28_no_window_holds_more_than_the_limit(happened: list[tuple[Item, int, list[Any]]]) -> None:
    let_through, _, _ = live(happened)
    for channel in ("slack", "email"):
        times = [at_s for at_s, name, _ in let_through if name == channel]
        assert all(sum(at_s - 100.0 < other <= at_s for other in times) <= LIMIT for at_s in times)


@given(scenarios)
@examples(150)
def test_sent_held_and_suppressed_are_all(happened: list[tuple[Item, int, list[Any]]]) -> None:
    let_through, outcomes, _ = live(happened)
    alerts = {item.id for item, _, _ in happened if isinstance(item, Anomaly) and item.entity_kind == "workflow"}
    for channel in ("slack", "email"):
        sent = sum(name == channel for _, name, _ in let_through)
        stopped = {n.id for n in outcomes if n.channel == channel and n.outcome in ("held", "suppressed")}
        runs = {n.run_id for n in outcomes if n.channel == channel and n.run_id} | {
            item.run_id for item, _, _ in happened if isinstance(item, RunSummary) and whole(item.run_id, happened)
        }
        assert sent + len(stopped) == len(alerts) + len(runs)
    inbox = {n.anomaly_id for n in outcomes if n.channel == "inbox" and n.anomaly_id}
    assert inbox == {item.id for item, _, _ in happened if isinstance(item, Anomaly)}


def whole(run_id: str, happened: list[tuple[Item, int, list[Any]]]) -> bool:
    return {i.part for i, _, _ in happened if isinstance(i, RunSummary) and i.run_id == run_id} == {1, 2}


@given(scenarios)
@examples(150)
def test_a_replay_of_the_topic_changes_nothing(happened: list[tuple[Item, int, list[Any]]]) -> None:
    _, outcomes, state = live(happened)
    kept, now_s = dict(state), NOON.timestamp() + 10_000
    first = {n.id: n for n in outcomes}
    for item, _, _ in happened:
        if not isinstance(item, Action):
            for again in accept(state, item, now_s, LIMITED):
                assert first[again.id] == again
    assert state == kept


@given(scenarios)
@examples(150)
def test_an_end_is_sent_exactly_where_its_incident_was(happened: list[tuple[Item, int, list[Any]]]) -> None:
    notified: set[str] = set()
    ended: set[str] = set()
    state: dict[str, bytes] = {}
    for number, (item, _, _) in enumerate(happened):
        outcomes = accept(state, item, NOON.timestamp() + number, LIMITED)
        if isinstance(item, Action) and item.kind == "retire":
            notified.clear()
        if not isinstance(item, Anomaly) or item.entity_kind == "score" or item.id in ended:
            continue
        ended.add(item.id)
        delivered = any(n.channel == "inbox" and n.outcome == "delivered" for n in outcomes)
        if item.state == "resolved":
            silenced = any(n.reason.startswith("silenced") for n in outcomes)
            assert delivered == (item.incident_id in notified and not silenced)
            notified.discard(item.incident_id)
        elif delivered:
            notified.add(item.incident_id)


@given(scenarios)
@examples(100)
def test_whatever_is_due_ends_delivered_or_failed(happened: list[tuple[Item, int, list[Any]]]) -> None:
    _, _, state = live(happened)
    now_s = NOON.timestamp() + 10_000
    for _ in range(200):
        for delivery in due_deliveries(state, now_s, LIMITED):
            settle(state, delivery, RetryAfter(0, "away"), now_s, LIMITED)
        now_s += 1_500
    assert not [key for key in state if key.startswith(("due:", "part:2"))] or parts_left(state, happened)


def parts_left(state: dict[str, bytes], happened: list[tuple[Item, int, list[Any]]]) -> bool:
    """Only parts of runs whose other part never came are left."""
    left = {key.split(":", 2)[2] for key in state if key.startswith("part:")}
    return not [k for k in state if k.startswith("due:")] and not any(whole(run_id, happened) for run_id in left)
