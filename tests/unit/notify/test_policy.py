"""The policy row by row: who is notified of what, once, and why not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from stream_detector.events import Anomaly, RunSummary, SummaryAnomaly
from stream_detector.notify.config import Route
from stream_detector.notify.links import LINK_LIFETIME_S
from stream_detector.notify.message import Refused, RetryAfter
from stream_detector.notify.policy import accept, due_deliveries, expire, settle
from stream_detector.notify.stages.retry import GIVE_UP_AFTER_S
from stream_detector.notify.state.keys import KEEP_ACTIONS_S, KEEP_S
from tests.events_made import NOON, action, anomaly, score_change, uuid
from tests.unit.notify.living import NOW_S, OK, Notifier, only
from tests.unit.notify.subjects import BALANCER, CONFIG, LIDO, change, run_of, slow


def test_w24_inbox_message_for_each_alert() -> None:
    notifier = Notifier().take(slow("a"), slow("b"))
    inbox = [one for one in notifier.outcomes if one.channel == "inbox"]
    assert [one.outcome for one in inbox] == ["delivered", "delivered"]
    assert inbox[0].anomaly_id == uuid("a") and inbox[0].severity == "critical"
    assert inbox[0].title == "Critical: Performance degradation in Nightly"
    assert "Z-score: 3" in inbox[0].body


def test_w28_limit_5_an_hour_8_alerts_5_sent_3_held_8_in_the_inbox() -> None:
    notifier = Notifier(replace(CONFIG, rate_limit_count=5, rate_limit_window_s=3600.0))
    for number in range(8):
        notifier.now_s += 60
        notifier.take(slow(f"a{number}")).deliver()
    for channel in ("slack", "email"):
        assert notifier.counts(channel) == {"delivered": 5, "held": 3}
        assert len(notifier.got(channel)) == 5
    assert notifier.counts("inbox") == {"delivered": 8}
    assert notifier.reasons("slack")[-1] == "slack had its 5 messages within 3600 s"


def test_w28_count_and_window_are_settings_and_the_window_slides() -> None:
    notifier = Notifier(only("slack", rate_limit_count=2, rate_limit_window_s=100.0))
    for at_s in (0, 60, 99, 100, 101, 159, 160):
        notifier.now_s = NOW_S + at_s
        notifier.take(slow(f"at {at_s}")).deliver()
    assert [one.message.anomaly_id for one in notifier.sent] == [uuid(f"at {n}") for n in (0, 60, 100, 160)]


def test_w28_a_run_counts_as_one() -> None:
    notifier = Notifier(only("slack", rate_limit_count=2))
    many = [change(f"E{n}", "5", "6") for n in range(50)]
    notifier.take(run_of(*many)).take(slow("a"), slow("b")).deliver()
    assert notifier.counts("slack") == {"delivered": 2, "held": 1}


def test_w28_a_channels_limit_is_its_own() -> None:
    notifier = Notifier(replace(CONFIG, rate_limit_count=1)).take(slow("a"))
    notifier.config = only("email", rate_limit_count=1)
    notifier.take(slow("b"))
    assert notifier.counts("email") == {"held": 1}
    assert notifier.counts("slack") == {"suppressed": 1}


def test_w29_below_the_threshold_nothing_is_sent() -> None:
    notifier = Notifier(replace(CONFIG, severity="critical")).take(anomaly("a", severity="warning")).deliver()
    assert notifier.sent == []
    assert [one.reason for one in notifier.outcomes] == ["warning is below the threshold critical"] * 3
    assert {one.outcome for one in notifier.outcomes} == {"suppressed"}
    assert Notifier(replace(CONFIG, severity="critical")).take(slow("b")).deliver().sent


def test_w29_a_run_is_as_severe_as_its_worst_change() -> None:
    config = only("slack", severity="critical")
    assert Notifier(config).take(run_of(BALANCER)).deliver().sent == []
    assert len(Notifier(config).take(run_of(BALANCER, LIDO)).deliver().sent) == 1


@pytest.mark.parametrize("off", ["inbox", "slack", "email"])
def test_w30_each_channel_is_switched_off_by_itself(off: str) -> None:
    rest = [name for name in CONFIG.channels if name != off]
    notifier = Notifier(only(*rest)).take(slow("a")).deliver()
    assert notifier.counts(off) == {"suppressed": 1}
    assert notifier.reasons(off) == [f"{off} is switched off"]
    assert all(notifier.counts(name) == {"delivered": 1} for name in rest)


def test_w31_a_failing_channel_keeps_nothing_from_the_others() -> None:
    notifier = Notifier().take(slow("a"))
    for delivery in due_deliveries(notifier.state, NOW_S, CONFIG):
        bad = delivery.message.channel == "slack"
        settle(notifier.state, delivery, RetryAfter(0, "500") if bad else OK, NOW_S, CONFIG)
    notifier.take(slow("b"))
    assert [one.message.channel for one in due_deliveries(notifier.state, NOW_S, CONFIG)] == ["slack", "email"]


def test_s14_no_anomaly_no_message() -> None:
    notifier = Notifier().take(run_of()).deliver()
    assert notifier.sent == []
    assert notifier.reasons("slack") == ["the run has no anomaly"]


def test_s15_s22_several_in_one_run_are_one_slack_message_and_one_mail() -> None:
    notifier = Notifier().take(score_change("lido"), score_change("bal", entity_id="balancer")).deliver()
    assert notifier.sent == []
    assert notifier.counts("inbox") == {"delivered": 2}
    notifier.take(run_of(LIDO, BALANCER)).deliver()
    assert len(notifier.got("slack")) == len(notifier.got("email")) == 1
    assert notifier.got("slack")[0].count("•") == 2
    assert notifier.counts("inbox") == {"delivered": 2}


def test_s15_a_run_in_parts_waits_for_all_of_them_in_any_order() -> None:
    first = run_of(LIDO, part=1, parts=2)
    second = run_of(BALANCER, part=2, parts=2)
    notifier = Notifier().take(second, second).deliver()
    assert notifier.sent == []
    notifier.take(first).deliver().take(second, first).deliver()
    assert len(notifier.got("slack")) == 1
    assert "Lido" in notifier.got("slack")[0] and "Balancer" in notifier.got("slack")[0]
    assert not [key for key in notifier.state if key.startswith(("part:", "due:"))]


def revision(number: int, *changes: SummaryAnomaly, new: Sequence[SummaryAnomaly] = (), **given: Any) -> RunSummary:
    given = {"id": uuid(f"{number} {given.get('part', 1)}"), "follow_up": number - 1 if new else 0} | given
    return run_of(*changes, revision=number, new=[one.id for one in new if one in changes], **given)


def test_x1_a_revision_with_something_new_is_one_follow_up_about_that_alone() -> None:
    second = revision(2, LIDO, BALANCER, new=[BALANCER])
    notifier = Notifier().take(run_of(LIDO)).deliver().take(second, second).deliver()
    first, follow_up = notifier.got("slack")
    assert "Lido" in first and "Balancer" not in first
    assert "Balancer: 5.0 → 5.8 (+0.8)" in follow_up and "Lido" not in follow_up
    assert len(notifier.got("email")) == 2
    assert len({one.message.id for one in notifier.sent}) == 2
    notifier.take(run_of(LIDO), second).deliver()
    assert len(notifier.sent) == 4, "a repeat is no message"
    assert not [key for key in notifier.state if key.startswith(("part:", "due:"))]


def test_x1_a_revision_without_anything_new_sends_and_reports_nothing() -> None:
    notifier = Notifier().take(run_of(LIDO)).deliver()
    before = len(notifier.outcomes)
    notifier.take(revision(2, LIDO)).deliver()
    assert (len(notifier.sent), len(notifier.outcomes)) == (2, before)
    assert not [key for key in notifier.state if key.startswith(("part:", "due:"))]


def test_x1_a_run_whose_first_anomaly_comes_late_has_its_message() -> None:
    notifier = Notifier(only("slack")).take(run_of()).deliver().take(revision(2, LIDO, new=[LIDO])).deliver()
    assert len(notifier.got("slack")) == 1


def test_x1_a_revision_in_parts_is_one_follow_up_and_a_retry_shows_the_same() -> None:
    parts = [
        revision(2, LIDO, new=[LIDO, BALANCER], part=1, parts=2, follow_up=1),
        revision(2, BALANCER, new=[LIDO, BALANCER], part=2, parts=2, follow_up=1),
    ]
    notifier = Notifier(only("slack")).take(*reversed(parts)).deliver(RetryAfter(0, "500"))
    assert notifier.sent == []
    notifier.after(3_600)
    (text,) = notifier.got("slack")
    assert "Lido" in text and "Balancer" in text


def test_x1_six_follow_ups_of_a_run_are_sent() -> None:
    config = only("slack", rate_limit_count=100)
    notifier = Notifier(config).take(run_of(LIDO)).deliver()
    for number in range(2, 10):
        late = change(f"Late {number}", "7", "5")
        notifier.take(revision(number, LIDO, late, new=[late])).deliver()
    assert len(notifier.got("slack")) == 7
    assert notifier.reasons("slack")[-1] == "6 follow-ups of the run were sent"


def test_scores_without_a_run_are_sent_by_their_minute_and_linked_one_by_one() -> None:
    notifier = Notifier(only("slack")).take(score_change("lido", run_id=None)).deliver()
    assert notifier.sent == []
    notifier.take(run_of(LIDO, run_id="window~dao~2026-01-22T00:05Z")).deliver()
    assert [one.message.link for one in notifier.sent] == [f"https://gvs.example.org/anomalies/{LIDO.id}"]


def test_a_drift_within_a_run_goes_alone() -> None:
    drift = score_change("drift", anomaly_type="PatternDeviation", severity="warning")
    notifier = Notifier(only("slack")).take(drift).deliver()
    assert len(notifier.sent) == 1


def test_a_replay_gives_no_second_message_and_changes_nothing() -> None:
    items = [slow("a"), anomaly("b", severity="info"), score_change("lido"), run_of(LIDO, BALANCER)]
    notifier = Notifier().take(*items)
    notifier.deliver()
    delivered, state = len(notifier.sent), dict(notifier.state)
    notifier.outcomes.clear()
    notifier.now_s += 3600
    notifier.take(*items)
    assert notifier.outcomes == [], "its outcomes were acknowledged before the state that knows it"
    assert notifier.state == state
    notifier.deliver()
    assert len(notifier.sent) == delivered


def test_ongoing_is_sent_only_when_it_gets_worse() -> None:
    notifier = Notifier(only("slack")).take(slow("open", severity="warning", incident="i")).deliver()
    notifier.take(slow("same", severity="warning", incident="i", state="ongoing")).deliver()
    notifier.take(slow("worse", severity="critical", incident="i", state="ongoing")).deliver()
    notifier.take(slow("again", severity="critical", incident="i", state="ongoing")).deliver()
    assert [one.message.anomaly_id for one in notifier.sent] == [uuid("open"), uuid("worse")]
    assert "goes on, no more severe than before (warning)" in notifier.reasons("slack")


def test_ongoing_is_sent_when_it_first_reaches_the_threshold() -> None:
    notifier = Notifier(only("slack")).take(slow("open", severity="info", incident="i")).deliver()
    assert notifier.sent == []
    notifier.take(slow("worse", severity="warning", incident="i", state="ongoing")).deliver()
    assert len(notifier.sent) == 1


def ending(**given: object) -> Anomaly:
    return slow("end", incident="i", state="resolved", severity="info", duration_s=725.0, **given)


def test_resolved_is_sent_where_its_opening_was_and_says_how_long_it_lasted() -> None:
    notifier = Notifier().take(slow("open", incident="i")).deliver().take(ending()).deliver()
    assert [text.splitlines()[0] for text in notifier.got("slack")] == [
        "🔴 Critical: Performance degradation in Nightly",
        "✅ Resolved: Performance degradation in Nightly",
    ]
    assert "Lasted: 12 m 5 s" in notifier.got("email")[1]


def test_resolved_is_not_sent_where_its_opening_was_not() -> None:
    notifier = Notifier(only("inbox")).take(slow("open", incident="i"))
    notifier.config = CONFIG
    notifier.take(ending()).deliver()
    assert notifier.sent == []
    assert notifier.counts("inbox") == {"delivered": 2}
    assert notifier.reasons("slack")[-1] == "its opening was not sent here"


def test_resolved_is_not_sent_where_its_opening_was_given_up() -> None:
    notifier = Notifier(only("slack")).take(slow("open", incident="i")).deliver(Refused("no such channel"))
    notifier.take(ending()).deliver()
    assert notifier.sent == []
    assert [one.outcome for one in notifier.outcomes if one.channel == "slack"] == ["failed", "suppressed"]


def test_nobody_reads_of_an_end_before_the_beginning() -> None:
    notifier = Notifier(only("slack")).take(slow("open", incident="i")).deliver(RetryAfter(60, "busy"))
    notifier.take(ending()).deliver()
    assert notifier.sent == []
    notifier.now_s += 120
    notifier.deliver().deliver()
    assert [one.message.anomaly_id for one in notifier.sent] == [uuid("open"), uuid("end")]


def test_acknowledged_is_sent_no_more_but_its_end() -> None:
    notifier = Notifier(only("slack")).take(slow("open", severity="warning", incident="i")).deliver()
    notifier.take(action("1", "acknowledge", incident_id=uuid("i")))
    notifier.take(slow("worse", incident="i", state="ongoing")).deliver()
    assert notifier.reasons("slack")[-1] == "acknowledged by ann"
    notifier.take(ending()).deliver()
    assert [one.message.anomaly_id for one in notifier.sent] == [uuid("open"), uuid("end")]


@pytest.mark.parametrize(
    "target",
    [
        {"entity": "workflow:nightly"},
        {"entity": "", "incident_id": uuid("a")},
        {"entity": "", "matchers": {"type": "PerformanceDegradation", "team": "ci"}},
        {"entity": "", "matchers": {"severity": "critical", "kind": "workflow", "entity": "nightly"}},
    ],
)
def test_a_silence_holds_until_it_ends(target: dict[str, object]) -> None:
    notifier = Notifier().take(action("1", "silence", until=NOON + timedelta(hours=1), **target))
    notifier.take(slow("a", labels={"team": "ci"})).deliver()
    assert notifier.sent == []
    assert notifier.reasons("inbox") == ["silenced by ann until 2026-01-22 13:00 UTC"]
    notifier.now_s += 3600
    incident = "a" if "incident_id" in target else "b"
    notifier.take(slow("b", incident=incident, state="opened", labels={"team": "ci"})).deliver()
    assert len(notifier.sent) == (0 if incident == "a" else 2)


def test_a_silence_for_something_else_holds_nothing() -> None:
    notifier = Notifier().take(action("1", "silence", entity="", matchers={"team": "web"}))
    assert len(notifier.take(slow("a", labels={"team": "ci"})).deliver().sent) == 2


def test_a_silence_that_names_nothing_holds_nothing() -> None:
    notifier = Notifier().take(action("1", "silence", entity=""))
    assert len(notifier.take(slow("a")).deliver().sent) == 2


def test_a_silence_with_an_end_in_the_past_lifts_the_one_before() -> None:
    notifier = Notifier().take(action("1", "silence"), action("2", "silence", until=NOON - timedelta(hours=1)))
    assert len(notifier.take(slow("a")).deliver().sent) == 2


def test_a_silence_without_an_end_lasts_a_day() -> None:
    notifier = Notifier(only("slack")).take(action("1", "silence"))
    notifier.now_s += 86_399
    assert notifier.take(slow("a")).deliver().sent == []
    notifier.now_s += 1
    assert len(notifier.take(slow("b")).deliver().sent) == 1


def test_a_silenced_entity_is_left_out_of_its_run() -> None:
    notifier = Notifier().take(action("1", "silence", entity="score:lido"))
    notifier.take(run_of(LIDO, BALANCER)).deliver()
    assert notifier.got("slack") == ["Balancer: 5.0 → 5.8 (+0.8) 📈 SIGNIFICANT CHANGE"]
    assert "1 of 2 anomalies are silenced" in notifier.reasons("slack")[0]
    assert Notifier().take(action("1", "silence", entity="score:lido"), run_of(LIDO)).deliver().sent == []


def test_retire_forgets_the_entitys_silences_and_incidents() -> None:
    notifier = Notifier(only("slack")).take(slow("open", incident="i")).deliver()
    notifier.take(action("1", "silence"), action("2", "retire")).take(ending()).deliver()
    assert len(notifier.sent) == 1
    later = slow("b", detected_at=NOON + timedelta(minutes=1))
    assert notifier.take(later).deliver().counts("slack")["delivered"] == 2


def test_x14_what_was_decided_before_the_alert_was_read_counts_too() -> None:
    """Actions and alerts are on two topics: a notifier that starts cold may read the decision first."""
    for kind in ("acknowledge", "resolve", "expected", "not_an_anomaly"):
        notifier = Notifier(only("slack")).take(action("1", kind, incident_id=slow("a").incident_id))
        notifier.take(slow("a"), slow("other", detected_at=NOON + timedelta(minutes=1))).deliver()
        assert [each.message.anomaly_id for each in notifier.sent] == [slow("other").id], kind
        assert "acknowledged by ann before it was read" in notifier.reasons("slack")


def test_x14_nobody_is_reminded_of_what_was_marked_as_expected() -> None:
    for kind in ("expected", "not_an_anomaly", "relearn", "retire", "acknowledge"):
        config = replace(CONFIG, channels={"slack": True}, routes=(Route(name="r", repeat_interval_s=600.0),))
        notifier = Notifier(config).take(slow("a", profile="robust")).deliver()
        notifier.take(action("1", kind)).after(5_000)
        assert len(notifier.sent) == 1, kind


def test_retries_wait_longer_each_time_until_given_up() -> None:
    notifier = Notifier(only("slack")).take(slow("a"))
    waits, tried_at = [], [NOW_S]
    while due_keys(notifier):
        notifier.deliver(RetryAfter(0, "Slack answered 500"))
        while due_keys(notifier) and not due_deliveries(notifier.state, notifier.now_s, notifier.config):
            notifier.now_s += 1
        waits.append(notifier.now_s - tried_at[-1])
        tried_at.append(notifier.now_s)
    assert 1 <= waits[0] <= 3 and 2 <= waits[1] <= 6 and 4 <= waits[2] <= 12
    assert max(waits) <= 1.5 * 900 + 1
    assert notifier.now_s - NOW_S <= GIVE_UP_AFTER_S
    assert notifier.counts("slack")["failed"] == 1
    assert notifier.reasons("slack")[-1].startswith("given up after ")
    assert len({one.id for one in notifier.outcomes}) == len(notifier.outcomes)


def due_keys(notifier: Notifier) -> list[str]:
    return [key for key in notifier.state if key.startswith("due:")]


def test_retry_after_is_obeyed() -> None:
    notifier = Notifier(only("slack")).take(slow("a")).deliver(RetryAfter(600, "Slack answered 429"))
    assert notifier.reasons("slack")[-1] == "Slack answered 429; try 2 in 600 s"
    notifier.now_s += 599
    assert due_deliveries(notifier.state, notifier.now_s, notifier.config) == []
    notifier.now_s += 1
    assert len(due_deliveries(notifier.state, notifier.now_s, notifier.config)) == 1


def test_an_answer_that_comes_twice_changes_nothing() -> None:
    notifier = Notifier(only("slack")).take(slow("a"))
    (delivery,) = due_deliveries(notifier.state, NOW_S, notifier.config)
    assert len(settle(notifier.state, delivery, RetryAfter(0, "x"), NOW_S, notifier.config)) == 1
    assert settle(notifier.state, delivery, OK, NOW_S, notifier.config) == []
    (again,) = due_deliveries(notifier.state, NOW_S + 60, notifier.config)
    assert again.tries == 1
    assert len(settle(notifier.state, again, OK, NOW_S, notifier.config)) == 1
    assert settle(notifier.state, again, OK, NOW_S, notifier.config) == []


def test_critical_is_first_in_line_one_at_a_time_and_a_busy_channel_has_none() -> None:
    notifier = Notifier(only("slack", "email")).take(slow("w", severity="warning"))
    notifier.now_s += 1
    notifier.take(slow("c"))
    ready = due_deliveries(notifier.state, notifier.now_s, notifier.config)
    assert [(one.message.channel, one.message.anomaly_id) for one in ready] == [
        ("slack", uuid("c")),
        ("email", uuid("c")),
    ]
    left = due_deliveries(notifier.state, notifier.now_s, notifier.config, {"slack"})
    assert [one.message.channel for one in left] == ["email"]
    settle(notifier.state, ready[0], OK, notifier.now_s, notifier.config)
    ready = due_deliveries(notifier.state, notifier.now_s, notifier.config, {"email"})
    assert [one.message.anomaly_id for one in ready] == [uuid("w")]


def test_a_delivered_reason_names_every_stage() -> None:
    notifier = Notifier(only("slack")).take(slow("a")).deliver()
    assert notifier.reasons("slack") == [
        "critical reaches the threshold warning; no silence; by itself; first notice of its incident; "
        "message 1 of 5 within 3600 s; answered ok"
    ]


def kinds(notifier: Notifier) -> set[str]:
    return {key.split(":")[0] for key in notifier.state}


def test_the_state_is_bounded_and_a_pending_delivery_stays() -> None:
    notifier = Notifier().take(action("1", "silence", entity="workflow:other"))
    notifier.take(run_of(LIDO, part=1, parts=2), slow("a"), slow("c", profile="robust")).deliver()
    notifier.take(slow("b"))
    pending = set(due_keys(notifier))
    assert len(pending) == 2
    expire(notifier.state, NOW_S + LINK_LIFETIME_S + 1)
    assert sum(key.startswith("incident:") for key in notifier.state) == 1, "of the other two none will say the end"
    expire(notifier.state, NOW_S + KEEP_S)
    assert kinds(notifier) == {"seen", "incident", "part", "due", "sent", "silence"}
    expire(notifier.state, NOW_S + KEEP_S + 1)
    assert kinds(notifier) == {"seen", "due", "silence"}
    expire(notifier.state, NOW_S + 86_400 + KEEP_ACTIONS_S)
    assert "silence" in kinds(notifier)
    expire(notifier.state, NOW_S + 86_400 + KEEP_ACTIONS_S + 1)
    assert {key for key in notifier.state if not key.startswith("seen:")} == pending


def test_a_repeated_part_of_a_run_changes_nothing() -> None:
    notifier = Notifier(only("slack", rate_limit_count=1)).take(slow("a"))
    parts = [run_of(LIDO, part=1, parts=2), run_of(BALANCER, change("C", "5", "6"), part=2, parts=2)]
    notifier.outcomes.clear()
    notifier.take(*parts)
    assert [(one.outcome, one.severity) for one in notifier.outcomes if one.channel == "slack"] == [
        ("held", "critical")
    ]
    state = dict(notifier.state)
    notifier.outcomes.clear()
    notifier.take(*reversed(parts))
    assert notifier.outcomes == [] and notifier.state == state


def test_2_000_anomalies_at_once_leave_no_more_to_deliver_than_the_limit() -> None:
    notifier = Notifier()
    for number in range(2_000):  # 10,000: tests/e2e/test_messages.py
        accept(notifier.state, slow(f"a{number}"), NOW_S, CONFIG)
    assert len(due_keys(notifier)) == 10
    assert sum(len(value) for value in notifier.state.values()) < 2_000 * 1_200
