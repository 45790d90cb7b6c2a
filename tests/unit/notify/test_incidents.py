"""An incident's life in messages: opened, worse, acknowledged, ended with its duration; flapping; reminders."""

from dataclasses import replace

import pytest

from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.message import Delivered
from stream_detector.notify.policy import due_deliveries, expire, settle
from stream_detector.notify.shared_facets import GROUP_BY
from tests.events_made import action, uuid
from tests.unit.notify.living import NOW_S, Notifier, only
from tests.unit.notify.subjects import CONFIG, slow

BOT = NotifyConfig(channels={"inbox": True, "slack_bot": True}, rate_limit_count=50)


def opened(number: int, **given: object) -> object:
    return slow(f"open {number}", incident=f"i{number}", **given)


def resolved(number: int, **given: object) -> object:
    return slow(f"end {number}", incident=f"i{number}", state="resolved", severity="info", duration_s=60.0, **given)


def first_lines(notifier: Notifier, channel: str = "slack") -> list[str]:
    return [text.splitlines()[0] for text in notifier.got(channel)]


class WithBot(Notifier):
    """A channel that gives its messages a name, as the Slack bot does."""

    def deliver(self, result: object = None) -> "WithBot":
        while ready := due_deliveries(self.state, self.now_s, self.config):
            for delivery in ready:
                self.sent.append(delivery)
                answer = Delivered("ok", delivery.message.reference or f"C1 {len(self.sent)}.0")
                self.outcomes += settle(self.state, delivery, answer, self.now_s, self.config)
        return self


def test_one_message_per_incident_where_it_can_be_changed() -> None:
    notifier = WithBot(BOT).take(slow("open", severity="warning", incident="i")).deliver()
    notifier.take(slow("worse", incident="i", state="ongoing")).deliver()
    notifier.take(action("1", "acknowledge", incident_id=uuid("i"))).deliver()
    end = slow("end", incident="i", state="resolved", severity="info", duration_s=725.0)
    notifier.take(end).deliver()
    messages = [one.message for one in notifier.sent]
    assert [one.reference for one in messages] == ["", "C1 1.0", "C1 1.0", "C1 1.0"]
    assert [one.state for one in messages] == ["opened", "ongoing", "ongoing", "resolved"]
    assert messages[2].text.startswith("Acknowledged by ann\n\n🔴 Critical")
    assert messages[2].note == "Acknowledged by ann" and len(messages[2].blocks) == len(messages[1].blocks) + 1
    assert "Lasted: 12 m 5 s" in messages[3].text


def test_acknowledged_twice_is_shown_once() -> None:
    notifier = WithBot(BOT).take(slow("open", incident="i")).deliver()
    for name in "12":
        notifier.take(action(name, "acknowledge", incident_id=uuid("i"))).deliver()
    assert len(notifier.sent) == 2


def test_flapping_is_one_incident_sent_four_times_however_often() -> None:
    notifier = Notifier(only("slack", rate_limit_count=50))
    for number in range(20):
        notifier.take(opened(number)).after(30).take(resolved(number)).after(30)
    notifier.after(600)
    assert first_lines(notifier) == [
        "🔴 Critical: Performance degradation in Nightly",
        "✅ Resolved: Performance degradation in Nightly",
        "🔴 Critical: Performance degradation in Nightly",
        "✅ Resolved: Performance degradation in Nightly",
    ]
    last = notifier.got("slack")[-1]
    assert "Lasted: 19 m 30 s" in last, "since the very first opening"
    assert notifier.sent[-1].message.anomaly_id == uuid("end 19")
    reasons = notifier.reasons("slack")
    assert "flapping: opened again for the 3. time, still the same incident" in reasons
    assert any(one.startswith("flapping: its end is told once it has been quiet for 600 s") for one in reasons)
    assert any(one.startswith("it flapped 19 times and has been quiet for 600 s") for one in reasons)


def test_the_inbox_gets_every_flap() -> None:
    notifier = Notifier(BOT)
    for number in range(5):
        notifier.take(opened(number), resolved(number))
    assert notifier.counts("inbox") == {"delivered": 10}


def test_flapping_that_gets_worse_is_sent() -> None:
    notifier = Notifier(only("slack", rate_limit_count=50))
    for number in range(3):
        notifier.take(opened(number, severity="warning")).deliver().take(resolved(number)).after(1)
    assert len(notifier.sent) == 3
    notifier.take(opened(3, severity="critical")).deliver()
    assert notifier.sent[-1].message.anomaly_id == uuid("open 3")


def test_what_opens_after_the_window_is_a_new_incident() -> None:
    notifier = Notifier(only("slack"))
    notifier.take(opened(1)).deliver().take(resolved(1)).deliver().after(600)
    notifier.take(opened(2)).deliver().take(resolved(2)).deliver()
    assert len(notifier.sent) == 4 and "first notice of its incident" in notifier.reasons("slack")[2]


def test_another_step_or_detector_is_another_incident() -> None:
    notifier = Notifier(only("slack", rate_limit_count=50)).take(opened(1)).take(resolved(1)).take(opened(2))
    notifier.take(resolved(2)).take(opened(3, detector="pattern_deviation")).deliver()
    (third,) = [one.reason for one in notifier.outcomes if one.anomaly_id == uuid("open 3") and one.channel == "slack"]
    assert "first notice of its incident" in third


def test_an_end_that_waits_for_quiet_is_sent_where_it_flapped_even_when_routes_went() -> None:
    notifier = Notifier(only("slack", rate_limit_count=50))
    for number in range(2):
        notifier.take(opened(number)).after(0).take(resolved(number)).after(0)
    assert len(notifier.sent) == 3
    expire(notifier.state, notifier.now_s + 599)
    assert len(notifier.after(599).sent) == 3
    assert len(notifier.after(1).sent) == 4
    assert not [key for key in notifier.state if key.startswith(("flap:", "timer:", "incident:"))]


def route(**given: object) -> NotifyConfig:
    one = Route(name="r", rate_limit_count=50, **given)  # type: ignore[arg-type]
    return replace(CONFIG, channels={"slack": True}, routes=(one,))


def test_a_route_whose_flap_window_is_zero_tells_every_opening_and_every_end() -> None:
    notifier = Notifier(replace(route(flap_window_s=0.0), channels={"inbox": True, "slack": True}))
    for number in range(4):
        notifier.take(opened(number)).deliver().take(resolved(number)).deliver()
    assert len(notifier.sent) == 8


def streak(name: str, **given: object) -> object:
    return slow(name, anomaly_type="ConsecutiveFailures", **given)


def test_an_incident_that_is_active_is_sent_again_until_it_ends() -> None:
    notifier = Notifier(route(repeat_interval_s=3600.0)).take(streak("open", incident="i")).deliver()
    notifier.after(3599)
    assert len(notifier.sent) == 1
    notifier.after(1).after(3600)
    assert [one.message.note for one in notifier.sent] == ["", "Still going on after 1 h", "Still going on after 2 h"]
    assert notifier.got("slack")[1].startswith("Still going on after 1 h\n\n🔴 Critical")
    notifier.take(streak("end", incident="i", state="resolved", severity="info")).deliver().after(100_000)
    assert len(notifier.sent) == 4


@pytest.mark.parametrize(
    "taken",
    [
        action("1", "acknowledge", incident_id=uuid("i")),
        action("1", "silence", entity="", matchers={"type": "ConsecutiveFailures"}),
    ],
)
def test_nobody_is_reminded_of_what_somebody_has_taken(taken: object) -> None:
    notifier = Notifier(route(repeat_interval_s=3600.0)).take(streak("open", incident="i")).deliver()
    notifier.take(taken).after(4000)
    assert len(notifier.sent) == 1


def test_nobody_is_reminded_of_what_has_no_end() -> None:
    notifier = Notifier(route(repeat_interval_s=60.0)).take(slow("a")).deliver().after(10_000)
    assert len(notifier.sent) == 1 and NOW_S


def test_x6_a_new_normal_is_one_message_that_does_not_look_well_again() -> None:
    words = "nightly has a new usual time since 2026-01-20 12:00 UTC: 2 m 10 s, before 1 m 40 s"
    notifier = Notifier(CONFIG).take(opened(1)).deliver()
    notifier.take(resolved(1, end_reason="new_normal", description=words)).deliver()
    last = [one.message for one in notifier.sent if one.message.channel == "slack"][-1]
    assert notifier.counts("slack") == {"delivered": 2}
    assert last.title == "New normal: Performance degradation in Nightly" and last.severity == "info"
    assert words in last.text and "✅" not in last.text + str(last.blocks) + last.html
    assert "Resolved" not in last.title


def test_x6_what_another_incident_took_the_place_of_is_not_sent() -> None:
    notifier = Notifier(CONFIG).take(opened(1), opened(2)).deliver()
    notifier.take(resolved(1, end_reason="superseded"), resolved(2, end_reason="recovered")).deliver()
    ends = [one.message for one in notifier.sent if one.message.state == "resolved" and one.message.channel == "slack"]
    assert [one.incident_id for one in ends] == [uuid("i2")]
    of_slack = [one for one in notifier.outcomes if one.incident_id == uuid("i1") and one.channel == "slack"]
    (unsaid,) = [one for one in of_slack if one.outcome == "suppressed"]
    assert unsaid.reason.startswith("superseded: ")


def test_x6_a_group_that_ended_as_a_new_normal_is_not_resolved() -> None:
    route = Route(name="r", group_by=GROUP_BY, group_wait_s=1.0, group_interval_s=60.0)
    given = {"labels": {"build": "9"}, "profile": "robust"}
    notifier = Notifier(replace(CONFIG, routes=(route,))).take(opened(1, **given), opened(2, **given)).after(1)
    notifier.take(resolved(1, **given), resolved(2, end_reason="new_normal", **given)).after(60)
    text = notifier.got("slack")[-1]
    assert text.splitlines()[0].startswith("🔵 Ended: all 2 anomalies with build=9")
    assert "• 🔵 New normal: Performance degradation in Nightly" in text
