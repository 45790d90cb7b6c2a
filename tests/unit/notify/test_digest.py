"""What the rate limit held back is told in one message, `critical` first, and no end is held for ever."""

from dataclasses import replace

from stream_detector.notify.message import Refused, RetryAfter
from stream_detector.notify.policy import accept, due_deliveries
from stream_detector.notify.stages.digest import STORM_FROM, STORM_LONGEST_S, STORM_LULL_S, ready_digests
from stream_detector.notify.tick import tick
from tests.events_made import uuid
from tests.unit.notify.living import NOW_S, OK, Notifier, only
from tests.unit.notify.subjects import CONFIG, run_of, slow

NUMBERS = "Current 130 s (2 m 10 s) | Baseline 100 s | Deviation +30 s | Z-score 3"
ONE = only("slack", rate_limit_count=1, rate_limit_window_s=100.0)


def ending(of: str, **given: object) -> object:
    return slow(f"end of {of}", incident=of, state="resolved", severity="info", duration_s=725.0, **given)


def test_what_was_held_comes_as_one_message_when_the_window_allows_it() -> None:
    notifier = Notifier(only("slack", rate_limit_count=5, rate_limit_window_s=3600.0))
    for number in range(8):
        notifier.take(slow(f"a{number}")).deliver()
    assert notifier.after(3599).counts("slack") == {"delivered": 5, "held": 3}
    notifier.after(1)
    assert [one.message.state for one in notifier.sent] == ["opened"] * 5 + ["digest"]
    # each of the three, and the digest itself, with the reason that names both
    assert notifier.counts("slack") == {"delivered": 5 + 3 + 1, "held": 3}
    delivered = [one for one in notifier.outcomes if one.reason.startswith("told in a digest of 3: message 1 of 5")]
    assert [one.anomaly_id for one in delivered] == [uuid(f"a{n}") for n in (5, 6, 7)]
    assert notifier.after(10_000).sent == notifier.sent and len(notifier.sent) == 6


def test_the_digest_leads_with_what_is_critical() -> None:
    notifier = Notifier(ONE).take(slow("first")).deliver()
    notifier.take(slow("mild", severity="warning", entity_name="Mild"), slow("bad", entity_name="Bad")).after(100)
    assert notifier.got("slack")[1].splitlines()[:10] == [
        "🔴 2 messages were held back: 1 critical, 1 warning",
        "",
        "The rate limit was reached, so these came together. The most severe come first:",
        "",
        "• 🔴 Critical: Performance degradation in Bad: nightly took 130 s, usually it takes 100 s.",
        f"  {NUMBERS} | 2026-01-22 12:00 UTC",
        f"  https://gvs.example.org/anomalies/{uuid('bad')}",
        "• 🟠 Warning: Performance degradation in Mild: nightly took 130 s, usually it takes 100 s.",
        f"  {NUMBERS} | 2026-01-22 12:00 UTC",
        f"  https://gvs.example.org/anomalies/{uuid('mild')}",
    ]
    assert notifier.sent[1].message.severity == "critical"


def test_an_end_is_not_held_for_ever() -> None:
    notifier = Notifier(ONE).take(slow("a")).deliver().take(ending("a")).deliver()
    assert notifier.counts("slack") == {"delivered": 1, "held": 1}
    notifier.after(100)
    assert "• ✅ Resolved: Performance degradation in Nightly after 12 m 5 s" in notifier.got("slack")[1]


def test_what_opened_and_ended_while_it_was_held_is_sent_as_ended() -> None:
    notifier = Notifier(ONE).take(slow("first")).deliver().take(slow("a"), ending("a")).after(100)
    text = notifier.got("slack")[1]
    assert text.count("•") == 1 and "• ✅ Resolved" in text
    assert "2 messages were held back: 1 resolved" in text


def test_an_end_goes_behind_its_opening_that_is_held_and_never_before_the_digest() -> None:
    notifier = Notifier(ONE).take(slow("first")).deliver().take(slow("a"))
    notifier.after(100, RetryAfter(500, "busy"))
    notifier.now_s += 100
    notifier.take(ending("a"))
    assert notifier.deliver().got("slack") == notifier.got("slack")[:1], "the digest with its opening is not there yet"
    notifier.after(450)
    notifier.after(450)
    assert [one.message.state for one in notifier.sent] == ["opened", "digest", "resolved"]


def test_newer_messages_do_not_keep_the_digest_back_for_ever() -> None:
    notifier = Notifier(ONE).take(slow("first")).deliver()
    notifier.now_s += 50
    notifier.take(slow("held"))
    notifier.now_s += 50
    notifier.take(slow("next")).deliver()  # as it did before: a free place goes to whoever asks first
    notifier.now_s += 100
    assert notifier.take(slow("later")).deliver().counts("slack")["held"] == 2
    notifier.after(0)
    assert notifier.sent[-1].message.state == "digest" and notifier.sent[-1].message.text.count("•") == 2


def test_a_digest_that_was_given_up_leaves_no_end_behind() -> None:
    notifier = Notifier(ONE).take(slow("first")).deliver().take(slow("a")).after(100, Refused("no such channel"))
    notifier.now_s += 1000
    notifier.take(ending("a"))
    assert notifier.reasons("slack")[-1] == "its opening was not sent here"
    assert not [key for key in notifier.state if key.startswith(("held:", "line:", "due:"))]


def test_a_storm_is_sent_at_once_and_once() -> None:
    notifier = Notifier(only("slack"))
    for number in range(5 + STORM_FROM):
        notifier.take(slow(f"a{number}"))
    notifier.after(STORM_LULL_S - 0.5)
    assert len(notifier.sent) == 5
    notifier.after(0.5)
    assert len(notifier.sent) == 6 and f"{STORM_FROM} messages were held back" in notifier.sent[5].message.text
    for number in range(2 * STORM_FROM):
        notifier.take(slow(f"b{number}")).after(1)
    assert len(notifier.sent) == 6, "once a window"


def test_a_storm_without_a_lull_is_sent_all_the_same() -> None:
    notifier = Notifier(only("slack"))
    for number in range(5 + STORM_FROM):
        notifier.take(slow(f"a{number}"))
    often_s = STORM_LULL_S / 2
    for number in range(int(STORM_LONGEST_S / often_s)):
        assert len(notifier.sent) <= 5
        notifier.take(slow(f"b{number}")).after(often_s)
    assert len(notifier.sent) == 6


def test_a_pause_of_ours_is_no_lull() -> None:
    """The machine was slow: what follows is published already, and waits to be decided."""
    notifier = Notifier(only("slack"))
    for number in range(5 + STORM_FROM):
        notifier.take(slow(f"a{number}"))
    (key,) = ready_digests(notifier.state, notifier.now_s + STORM_LULL_S)
    assert key.startswith("sent:")
    assert ready_digests(notifier.state, notifier.now_s + STORM_LULL_S, behind=True) == {}
    assert [*ready_digests(notifier.state, notifier.now_s + STORM_LONGEST_S, behind=True)] == [key]


def test_what_waits_for_its_group_when_a_storm_lulls_is_in_the_digest() -> None:
    notifier = Notifier(only("slack", group_wait_s=3 * STORM_LULL_S))
    for number in range(5 + STORM_FROM):
        notifier.take(slow(f"a{number}"))
    notifier.after(3 * STORM_LULL_S).take(slow("b1"), slow("b2"))
    notifier.after(2 * STORM_LULL_S)
    assert len(notifier.sent) == 5
    notifier.after(STORM_LULL_S).after(STORM_LULL_S)
    assert len(notifier.sent) == 6 and f"{STORM_FROM + 2} messages were held back" in notifier.sent[5].message.text


def test_2_000_at_once_are_one_digest_a_channel_that_keeps_slacks_limits() -> None:
    from tests.servers.slack import problem_with

    notifier = Notifier()
    for number in range(2_000):  # 10,000: tests/e2e/test_messages.py
        notifier.outcomes.clear()
        notifier.take(slow(f"a{number}", severity="critical" if number % 100 == 0 else "warning"))
    notifier.deliver().after(5)
    digests = {one.message.channel: one.message for one in notifier.sent if one.message.state == "digest"}
    assert set(digests) == {"slack", "email"}
    assert len(notifier.sent) == 12
    slack = digests["slack"]
    assert problem_with({"text": slack.text, "blocks": slack.blocks}) == "" and len(slack.text) <= 3_000
    assert "1,995 messages were held back: 19 critical, 1,976 warning" in slack.text
    assert slack.text.splitlines()[4].startswith("• 🔴 Critical")
    mail = digests["email"]
    assert mail.html.count("<tr>") == 1_996 and mail.text.count("Z-score 3") == 1_995, "a mail is never cut"
    assert len(mail.html.encode()) + len(mail.text.encode()) < (8 << 20) // 5, "servers take 10 MB and more"
    assert not [key for key in notifier.state if key.startswith(("held:", "line:", "due:"))]


def test_a_run_that_was_held_is_a_line_with_its_link() -> None:
    from tests.unit.notify.subjects import BALANCER, LIDO

    notifier = Notifier(ONE).take(slow("first")).deliver().take(run_of(LIDO, BALANCER)).after(100)
    assert "• ⚠️ 2 significant score changes, the largest Lido: 7.5 → 5.8 (-1.7)" in notifier.got("slack")[1]
    assert notifier.outcomes[-1].run_id == "2026-01-22" and notifier.outcomes[-1].outcome == "delivered"


def test_a_tick_that_is_repeated_after_a_crash_makes_the_same_digest() -> None:
    config = replace(CONFIG, rate_limit_count=1, rate_limit_window_s=100.0)
    first, second = dict[str, bytes](), dict[str, bytes]()
    for state in (first, second):
        for name in "abc":
            accept(state, slow(name), NOW_S, config)
    tick(first, NOW_S + 100, config)
    tick(first, NOW_S + 100, config)
    tick(second, NOW_S + 100, config)
    assert first == second
    left, right = (due_deliveries(state, NOW_S + 100, config) for state in (first, second))
    assert [one.key for one in left] == [one.key for one in right]
    assert OK.detail
