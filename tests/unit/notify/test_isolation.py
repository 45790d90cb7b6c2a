"""S27, X10: whatever one incident, group or delivery raises refuses that one alone; the rest is sent as without it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stream_detector.events import Notification
from stream_detector.notify import policy
from stream_detector.notify.config import Route
from stream_detector.notify.message import Delivered, RetryAfter
from stream_detector.notify.stages import digest, group_wait, old_events, render
from stream_detector.notify.stages.isolation import isolate
from stream_detector.notify.stages.set_aside import set_aside_due
from stream_detector.notify.tick import tick
from tests.unit.notify.living import OK, Notifier, only
from tests.unit.notify.subjects import CONFIG, LIDO, run_of, slow

GROUPED = replace(CONFIG, group_by=("commit",), group_wait_s=2.0, group_interval_s=60.0, rate_limit_count=3)


class Isolating(Notifier):
    """As the role does it: what raises is noted in `failures`, and nothing ends."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.failures: dict[str, Exception] = {}

    def after(self, seconds: float, result: Any = OK) -> "Isolating":
        self.now_s += seconds
        self.outcomes += tick(self.state, self.now_s, self.config, self.failures.__setitem__)
        policy.expire(self.state, self.now_s, self.failures.__setitem__)
        return self.deliver(result)

    def deliver(self, result: Any = OK) -> "Isolating":
        while True:
            broken: dict[str, Exception] = {}
            ready = policy.due_deliveries(self.state, self.now_s, self.config, (), broken.__setitem__)
            self.failures |= broken
            for key, error in broken.items():
                self.outcomes += set_aside_due(self.state, key, error, self.now_s)
            for one in ready:
                if isinstance(result, Delivered):
                    self.sent.append(one)
                self.outcomes += self._settle(one, result)
            if not ready and not broken:
                return self

    def _settle(self, one: Any, result: Any) -> list[Notification]:
        def settle() -> list[Notification]:
            return policy.settle(self.state, one, result, self.now_s, self.config)

        def set_aside(error: Exception) -> list[Notification]:
            return set_aside_due(self.state, one.key, error, self.now_s, result)

        return isolate(self.state, one.key, settle, set_aside, self.failures.__setitem__)


def failing_for(name: str, monkeypatch: pytest.MonkeyPatch, module: Any, function: str, part: int) -> None:
    """`function` raises where its argument number `part` shows the entity."""
    real = getattr(module, function)

    def defective(*given: Any, **more: Any) -> Any:
        if name in repr(given[part]):
            raise ZeroDivisionError(f"a defect about {name}")
        return real(*given, **more)

    monkeypatch.setattr(module, function, defective)


DEFECTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "render": lambda patch: failing_for("evil", patch, render, "render", 0),
    "line": lambda patch: failing_for("evil", patch, group_wait, "line_of", 0),
    "cluster": lambda patch: failing_for("evil", patch, group_wait, "cluster_by_facet", 0),
    "group": lambda patch: failing_for("evil", patch, group_wait, "send_group", 3),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_s27_one_incident_that_raises_is_failed_and_the_others_are_sent(
    defect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Isolating(GROUPED)
    one.take(*(slow(name, entity_id=name, entity_name=name) for name in ("good", "evil", "fine")))
    DEFECTS[defect](monkeypatch)
    one.after(3)
    for channel in ("slack", "email"):
        texts = "\n".join(one.got(channel))
        assert "good" in texts and "fine" in texts and "evil" not in texts
        assert one.counts(channel) == {"delivered": 2, "failed": 1}
        (failed,) = [each for each in one.outcomes if each.channel == channel and each.outcome == "failed"]
        assert failed.reason == "the notifier failed with ZeroDivisionError; its log has the details"
        assert failed.anomaly_id == slow("evil").id and failed.severity == "critical"
    assert len(one.failures) == 2 and {str(error) for error in one.failures.values()} == {"a defect about evil"}
    before = len(one.outcomes)
    assert len(one.after(10).outcomes) == before, "asked once"


def test_s27_nobody_gets_the_end_of_what_was_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Isolating(only("slack")).take(slow("evil", incident="evil", entity_name="evil"))
    with monkeypatch.context() as patch:
        DEFECTS["render"](patch)
        one.after(1)
    end = slow("end", incident="evil", state="resolved", severity="info", duration_s=9.0, entity_name="evil")
    one.take(end).after(1)
    assert one.sent == [] and one.reasons("slack")[-1] == "its opening was not sent here"


def test_s27_a_line_of_a_digest_that_raises_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Isolating(only("slack", rate_limit_count=1, rate_limit_window_s=100.0))
    for name in ("first", "good", "evil", "fine"):
        one.take(slow(name, entity_name=name)).after(1)
    failing_for("evil", monkeypatch, digest, "combine", 1)
    one.after(100)
    texts = one.got("slack")
    assert len(texts) == 2 and "good" in texts[1] and "fine" in texts[1] and "evil" not in texts[1]
    assert one.counts("slack")["failed"] == 1


def test_s27_a_count_of_old_events_that_raises_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Isolating(only("slack", "email"))
    one.state["old:slack"] = one.state["old:email"] = b"\xc1"
    one.after(1)
    assert {each.channel for each in one.outcomes} == {"slack", "email"}
    assert not [key for key in one.state if key.startswith("old:")]
    assert old_events.OLD == "old:"


@pytest.mark.parametrize("result", [Delivered("ok"), RetryAfter(0.0, "busy")])
def test_s27_an_answer_that_cannot_be_settled_is_not_sent_again(result: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Isolating(only("slack")).take(slow("a"))
    failing_for("channel='slack'", monkeypatch, policy, "settle", 1)
    for seconds in (1, 60):  # neither sent nor reported again
        one.after(seconds, result)
        assert one.counts("slack") == {"delivered" if isinstance(result, Delivered) else "failed": 1}


def rich() -> Isolating:
    """A notifier that keeps something of nearly every kind."""
    route = Route(name="r", group_by=("commit",), group_wait_s=2.0, repeat_interval_s=100_000.0, rate_limit_count=9)
    one = Isolating(replace(GROUPED, rate_limit_count=9, routes=(route,)))
    for name, commits in (("g", ["c1"] * 3), ("h", list("abcde"))):
        for n, commit in enumerate(commits):
            one.take(slow(f"{name}{n}", entity_id=f"{name}{n}", labels={"commit": commit}, profile="robust"))
        one.after(3)
    one.take(slow("end", incident="g0", state="resolved", severity="info", duration_s=9.0, entity_id="g0"))
    one.take(run_of(LIDO, run_id="r1")).after(0, RetryAfter(0.0, "busy"))
    one.take(*(slow(f"k{n}", entity_id=f"k{n}", labels={"commit": f"k{n}"}) for n in range(5)))
    one.after(3, RetryAfter(0.0, "busy"))
    one.take(slow("p1", entity_id="p1"), slow("p2", entity_id="p2"))
    one.state["old:slack"] = b"\x80"
    return one


KINDS = sorted({key.partition(":")[0] for key in rich().state} - {"seen"})


def test_the_state_below_has_what_is_to_be_spoiled() -> None:
    assert set(KINDS) >= {"due", "facet", "group", "health", "held", "incident", "pool", "pooled", "sent", "timer"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spoiled", [b"\xc1", b"\x90", b"", b"\x81\xa7version\x02"])
def test_x10_state_that_cannot_be_read_ends_nothing(kind: str, spoiled: bytes) -> None:
    one = rich()
    spoil = next(key for key in one.state if key.partition(":")[0] == kind)
    one.state[spoil] = spoiled
    for _ in range(60):
        one.after(1800)
    one.take(slow("new", entity_id="new", labels={"commit": "unseen"})).after(3)
    got = [each.message.channel for each in one.sent if each.message.anomaly_id == slow("new").id]
    assert sorted(got) == ["email", "slack"]
    waiting = {key.partition(":")[0] for key in one.state}
    assert not waiting & {"due", "held", "line", "pooled"}, "nothing waits for ever"
