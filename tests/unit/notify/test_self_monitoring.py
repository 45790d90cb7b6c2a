"""What people must know about ourselves: a dead channel, and an input on which nothing comes any more."""

from dataclasses import replace
from typing import Any

import msgspec

from stream_detector.events import Action
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.message import Refused, RetryAfter
from stream_detector.notify.policy import due_deliveries, settle, watch_topic
from stream_detector.notify.stages.self_monitoring import DEAD_AFTER
from stream_detector.notify.subject import instant
from stream_detector.serve.unique_ids import notice_of
from tests.unit.notify.living import NOW_S, OK, Notifier
from tests.unit.notify.subjects import CONFIG, slow

QUIET = replace(CONFIG, quiet_after_s={"workflow-completions": 3600.0})


class Failing(Notifier):
    """Slack fails as the test says, the others deliver."""

    answer: RetryAfter | Refused | object = RetryAfter(0.0, "Slack answered 500")

    def deliver(self, result: object = OK) -> "Failing":
        while ready := due_deliveries(self.state, self.now_s, self.config):
            for delivery in ready:
                answer = self.answer if delivery.message.channel == "slack" else OK
                if answer is OK:
                    self.sent.append(delivery)
                self.outcomes += settle(self.state, delivery, answer, self.now_s, self.config)  # type: ignore[arg-type]
        return self


def titles(notifier: Notifier, channel: str) -> list[str]:
    return [one.title for one in notifier.outcomes if one.channel == channel and "ourselves" in one.reason]


def test_a_dead_channel_is_reported_once_through_another_and_in_the_inbox() -> None:
    notifier = Failing().take(slow("a")).deliver()
    for _ in range(20):
        notifier.after(900)
    assert titles(notifier, "inbox") == ["🔕 Channel slack does not deliver"]
    assert titles(notifier, "email") == ["GVS: 🔕 Channel slack does not deliver"]
    assert titles(notifier, "slack") == []
    text = notifier.got("email")[1]
    assert "Its last answer: Slack answered 500" in text and "notify test slack" in text
    notifier.answer = OK
    notifier.after(900)
    assert titles(notifier, "inbox")[1:] == ["✅ Channel slack delivers again"]
    assert not [key for key in notifier.state if key.startswith("health:")]


def test_fewer_failures_are_nobodys_news() -> None:
    notifier = Failing().take(slow("a"))
    for _ in range(DEAD_AFTER - 1):
        notifier.after(900)
    notifier.answer = OK
    notifier.after(900)
    assert titles(notifier, "inbox") == []


def test_refusals_count_too_and_where_all_are_dead_the_inbox_knows() -> None:
    notifier = Failing(NotifyConfig(channels={"inbox": True, "slack": True}, rate_limit_count=50))
    notifier.answer = Refused("Slack answered 404 no_service")
    for number in range(DEAD_AFTER):
        notifier.take(slow(f"a{number}")).deliver()
    assert titles(notifier, "inbox") == ["🔕 Channel slack does not deliver"]


def look(notifier: Notifier, end: int, after_s: float) -> None:
    notifier.now_s += after_s
    notifier.outcomes += watch_topic(notifier.state, "workflow-completions", end, notifier.now_s, notifier.config)
    notifier.deliver()


def test_a_quiet_topic_is_sent_everywhere_once_and_once_more_when_events_come() -> None:
    notifier = Notifier(QUIET)
    look(notifier, 100, 0)
    look(notifier, 100, 3599)
    assert notifier.sent == []
    look(notifier, 100, 1)
    look(notifier, 100, 100_000)
    assert [one.message.channel for one in notifier.sent] == ["slack", "email"]
    assert notifier.got("slack")[0] == (
        "🔕 No event on workflow-completions for 1 h\n\n"
        "The last one came before 2026-01-22 12:00 UTC. Nothing can be detected in what does not arrive: look at "
        "whoever publishes to it."
    )
    look(notifier, 101, 10)
    assert titles(notifier, "inbox") == [
        "🔕 No event on workflow-completions for 1 h",
        "✅ Events come again on workflow-completions",
    ]
    assert notifier.sent[-1].message.severity == "info" and len(notifier.sent) == 4


def test_events_in_time_and_topics_that_nobody_uses_are_nobodys_news() -> None:
    notifier = Notifier(QUIET)
    for end in range(5):
        look(notifier, 0, 4000)
        look(notifier, 1 + end, 3599)
    for at_s in (NOW_S, NOW_S + 10**6):
        assert watch_topic(notifier.state, "scores", 5, at_s, QUIET) == []
    assert notifier.sent == []


def test_a_restart_is_active_from_the_state() -> None:
    notifier = Notifier(QUIET)
    look(notifier, 100, 0)
    again = Notifier(QUIET)
    again.state, again.now_s = notifier.state, notifier.now_s
    look(again, 100, 3600)
    assert len(again.sent) == 2


def test_notices_are_beyond_limits_and_silences() -> None:
    notifier = Notifier(replace(QUIET, rate_limit_count=1)).take(slow("a"), slow("b")).deliver()
    look(notifier, 1, 0)
    look(notifier, 1, 3600)
    assert [one.message.state for one in notifier.sent[2:]] == ["notice", "notice"]


def comment(pattern: str = "build-*", **changes: Any) -> Action:
    made = notice_of(f"id of {pattern}", pattern, 1_234)
    return msgspec.structs.replace(made, at=instant(NOW_S), **changes)


def test_ids_that_look_unique_are_one_message_on_every_channel_for_each_pattern() -> None:
    notifier = Notifier().take(comment(), comment()).deliver()
    notifier.take(comment(), comment("ci-*")).deliver()
    title = "⚠️ Workflow ids look unique per run: "
    for channel in ("inbox", "slack", "email"):
        assert [one.removeprefix("GVS: ") for one in titles(notifier, channel)] == [f"{title}build-*", f"{title}ci-*"]
    text = "workflow ids look unique per run: `build-*` (1,234 today); send what is the same in all as workflow_id"
    assert any(text in each for each in notifier.got("email"))


def test_a_comment_of_a_person_and_one_of_last_week_are_no_message() -> None:
    old = comment(action_id="old")
    old = msgspec.structs.replace(old, at=instant(NOW_S - 8 * 86_400))
    notifier = Failing().take(comment(matchers={}), comment(kind="silence", action_id="other"), old).deliver()
    assert not titles(notifier, "inbox")


def test_x13_the_notice_about_a_channel_whose_first_answer_is_a_long_wait_is_one_after_any_crash() -> None:
    notifier = Failing().take(slow("a"))
    notifier.now_s += 900
    (delivery,) = [
        one for one in due_deliveries(notifier.state, notifier.now_s, notifier.config) if one.message.channel == "slack"
    ]
    answers = []
    for later_s in (0.0, 7.0, 90.0):  # each life has the state of before
        kept, answer = dict(notifier.state), RetryAfter(1e9, "429")
        answers.append(settle(kept, delivery, answer, notifier.now_s + later_s, notifier.config))
    ids = [[one.id for one in answer] for answer in answers]
    assert len(ids[0]) == 2 and ids[0] == ids[1] == ids[2]
