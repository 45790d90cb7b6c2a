"""What opens together and shares something is one message that leads with it, never sooner than the interval."""

from dataclasses import replace
from typing import Any

import pytest

from stream_detector.events import Affected, Metrics
from stream_detector.notify.config import Route
from stream_detector.notify.message import Refused
from stream_detector.notify.policy import expire
from stream_detector.notify.rendering.words import duration
from stream_detector.notify.shared_facets import cluster_by_facet, facets_of
from stream_detector.notify.stages.group_life import ENDS_WAIT_S, JOINABLE_S
from tests.events_made import action, uuid
from tests.servers.slack import problem_with
from tests.unit.notify.living import Notifier
from tests.unit.notify.subjects import CONFIG, NASTY, slow

WAIT_S, INTERVAL_S = 30.0, 300.0
ROUTE = Route(
    name="r",
    group_by=("execution", "build", "commit", "step", "c", "*"),
    group_wait_s=WAIT_S,
    group_interval_s=INTERVAL_S,
    rate_limit_count=50,
)
TOGETHER = replace(CONFIG, channels={"inbox": True, "slack": True, "email": True}, routes=(ROUTE,))

NUMBERS = "Current 130 s (2 m 10 s) | Baseline 100 s | Deviation +30 s | Z-score 3"


def of(workflow: str, name: str = "", **given: Any) -> Any:
    """An anomaly of one workflow; nothing is shared but what is given."""
    name = name or workflow
    values = {
        "entity_id": workflow,
        "entity_name": workflow,
        "execution_id": f"execution of {name}",
        "affected_entities": [],
        "labels": {},
        "incident": name,
        "profile": "robust",
    }
    return slow(name, **(values | given))


def end_of(workflow: str, **given: Any) -> Any:
    return of(
        workflow, f"end of {workflow}", incident=workflow, state="resolved", severity="info", duration_s=90.0, **given
    )


def test_anomalies_that_share_a_label_are_one_message_that_leads_with_it() -> None:
    notifier = Notifier(TOGETHER)
    for name in "abc":
        notifier.take(of(name, labels={"commit": "4f2a"})).after(5)
    assert notifier.sent == []
    notifier.after(WAIT_S - 15)
    assert [one.message.channel for one in notifier.sent] == ["slack", "email"]
    assert notifier.got("slack")[0] == (
        "🔴 3 anomalies with commit=4f2a\n"
        "\n"
        "They opened together (3 critical):\n"
        "\n"
        "• 🔴 Critical: Performance degradation in a: nightly took 130 s, usually it takes 100 s.\n"
        f"  {NUMBERS} | 2026-01-22 12:00 UTC\n  https://gvs.example.org/anomalies/{uuid('a')}\n"
        "• 🔴 Critical: Performance degradation in b: nightly took 130 s, usually it takes 100 s.\n"
        f"  {NUMBERS} | 2026-01-22 12:00 UTC\n  https://gvs.example.org/anomalies/{uuid('b')}\n"
        "• 🔴 Critical: Performance degradation in c: nightly took 130 s, usually it takes 100 s.\n"
        f"  {NUMBERS} | 2026-01-22 12:00 UTC\n  https://gvs.example.org/anomalies/{uuid('c')}\n"
        "\n"
        "What to look at:\n"
        "1. Look at commit=4f2a as a whole: all 3 anomalies have it in common\n"
        "2. Step compile took 45 s, usually 20 s: look at it first.\n"
        "3. Compare with execution 41, the last good one.\n"
        "\n"
        "All share: commit=4f2a | Since 2026-01-22 12:00 UTC\n"
        "Dashboard: https://gvs.example.org/anomalies"
    )
    assert notifier.counts("inbox") == {"delivered": 3}
    members = [one for one in notifier.outcomes if one.channel == "slack" and one.anomaly_id]
    assert {one.anomaly_id for one in members} == {uuid(name) for name in "abc"}
    assert all(one.outcome == "delivered" and "told in one message of 3" in one.reason for one in members)


@pytest.mark.parametrize(
    ("shared", "words"),
    [
        ({"affected_entities": [Affected("step", "compile")]}, "share step compile"),
        ({"execution_id": "77", "entity_id": "W", "entity_name": "W"}, "share execution 77 of W"),
        ({"labels": {"build": "9", "team": "ci"}}, "with build=9"),
    ],
)
def test_a_step_an_execution_or_a_build(shared: dict[str, Any], words: str) -> None:
    other = Metrics(
        current_value=3, baseline_value=0, deviation=3, z_score=None, confidence=0.9, unit="runs", direction="up"
    )
    three = of("a", **shared), of("b", **shared), of("d", metrics=other, **shared)
    notifier = Notifier(TOGETHER).take(*three).after(WAIT_S)
    assert notifier.got("slack")[0].splitlines()[0] == f"🔴 3 anomalies {words}"


def test_what_shares_nothing_is_sent_by_itself_and_whole() -> None:
    notifier = Notifier(TOGETHER).take(of("a", labels={"x": "1"}), of("b", labels={"x": "2"})).after(WAIT_S)
    assert [text.splitlines()[0] for text in notifier.got("slack")] == [
        "🔴 Critical: Performance degradation in a",
        "🔴 Critical: Performance degradation in b",
    ]
    assert "Z-score: 3" in notifier.got("slack")[0]


def test_one_alone_waits_no_longer_than_group_wait() -> None:
    notifier = Notifier(TOGETHER).take(of("a")).after(WAIT_S - 1)
    assert notifier.sent == []
    assert len(notifier.after(1).sent) == 2


def test_what_joins_a_group_comes_with_its_next_message_not_sooner() -> None:
    notifier = Notifier(TOGETHER).take(of("a", labels={"c": "1"}), of("b", labels={"c": "1"})).after(WAIT_S)
    notifier.take(of("d", labels={"c": "1"})).after(INTERVAL_S - 1)
    assert len(notifier.got("slack")) == 1
    notifier.after(1)
    assert len(notifier.got("slack")) == 2
    assert notifier.got("slack")[1].splitlines()[:3] == [
        "🔴 3 anomalies with c=1",
        "",
        "News of it: 1 critical. In all 3, of which 3 are ongoing:",
    ]


def test_the_end_of_all_is_sent_with_the_interval_and_says_so() -> None:
    notifier = Notifier(TOGETHER).take(of("a", labels={"c": "1"}), of("b", labels={"c": "1"})).after(WAIT_S)
    notifier.take(end_of("a"), end_of("b")).after(INTERVAL_S)
    text = notifier.got("slack")[1]
    assert text.splitlines()[0] == "✅ Resolved: all 2 anomalies with c=1"
    assert text.count("✅ Resolved: Performance degradation") == 2 and "after 1 m 30 s" in text


def test_ends_wait_for_each_other_so_that_a_group_ends_once() -> None:
    notifier = Notifier(TOGETHER).take(*(of(name, labels={"c": "1"}) for name in "abd")).after(WAIT_S)
    notifier.take(end_of("a")).after(INTERVAL_S).take(end_of("b")).after(INTERVAL_S)
    assert len(notifier.got("slack")) == 1, "one of it goes on"
    notifier.take(end_of("d")).after(0)
    assert len(notifier.got("slack")) == 2
    text = notifier.got("slack")[1]
    assert text.startswith("✅ Resolved: all 3 anomalies with c=1") and text.count("• ✅ Resolved") == 3
    assert notifier.counts("inbox") == {"delivered": 6}, "the inbox gets each at once"


def test_an_end_goes_with_the_news_of_its_group() -> None:
    notifier = Notifier(TOGETHER).take(*(of(name, labels={"c": "1"}) for name in "ab")).after(WAIT_S)
    notifier.take(end_of("a"), of("d", labels={"c": "1"})).after(INTERVAL_S)
    assert notifier.got("slack")[1].splitlines()[:5] == [
        "🔴 3 anomalies with c=1",
        "",
        "News of it: 1 critical, 1 resolved. In all 3, of which 2 are ongoing:",
        "",
        "• 🔴 Critical: Performance degradation in d: nightly took 130 s, usually it takes 100 s.",
    ]


def test_an_end_does_not_wait_for_ever() -> None:
    notifier = Notifier(TOGETHER).take(*(of(name, labels={"c": "1"}) for name in "ab")).after(WAIT_S)
    notifier.take(end_of("a")).after(ENDS_WAIT_S - 1)
    assert len(notifier.got("slack")) == 1
    notifier.after(1)
    assert "News of it: 1 resolved. In all 2, of which 1 are ongoing:" in notifier.got("slack")[1]


@pytest.mark.parametrize(
    "gone",
    [
        [action("1", "silence", entity="workflow:b"), end_of("b")],
        [action("1", "retire", entity="workflow:b")],
    ],
)
def test_a_member_that_nobody_hears_of_any_more_keeps_no_end_back(gone: list[Any]) -> None:
    notifier = Notifier(TOGETHER).take(*(of(name, labels={"c": "1"}) for name in "ab")).after(WAIT_S)
    notifier.take(end_of("a")).after(INTERVAL_S)
    assert len(notifier.got("slack")) == 1
    notifier.take(*gone).after(0)
    assert "✅ Resolved: all 2 anomalies with c=1" in notifier.got("slack")[1]


def test_a_group_says_of_all_only_what_all_share() -> None:
    both = {"build": "9", "team": "ci"}
    notifier = Notifier(TOGETHER).take(of("a", labels=both), of("b", labels=both)).after(WAIT_S)
    assert notifier.got("slack")[0].startswith("🔴 2 anomalies with build=9")
    notifier.take(of("d", labels={"build": "9", "team": "web"})).after(INTERVAL_S)
    assert notifier.got("slack")[1].startswith("🔴 3 anomalies with build=9\n")
    notifier.take(of("e", labels={"build": "10", "team": "ci"})).after(INTERVAL_S)
    assert notifier.got("slack")[2].startswith("🔴 Critical: Performance degradation in e"), "it shares nothing with d"


def test_what_opens_soon_after_one_alone_and_shares_with_it_makes_a_group() -> None:
    notifier = Notifier(TOGETHER).take(of("a", labels={"c": "1"})).after(WAIT_S)
    notifier.take(of("b", labels={"c": "1"})).after(INTERVAL_S - 1)
    assert len(notifier.got("slack")) == 1
    notifier.after(1)
    assert notifier.got("slack")[1].startswith("🔴 2 anomalies with ")
    assert "c=1" in notifier.got("slack")[1].splitlines()[0]
    assert "News of it: 1 critical. In all 2, of which 2 are ongoing:" in notifier.got("slack")[1]


def test_what_opens_long_after_a_group_is_another() -> None:
    notifier = Notifier(TOGETHER).take(of("a", labels={"c": "1"})).after(WAIT_S)
    notifier.after(JOINABLE_S).take(of("b", labels={"c": "1"})).after(WAIT_S)
    assert notifier.got("slack")[1].startswith("🔴 Critical: Performance degradation in b")


def test_what_has_no_end_is_never_said_to_be_over_nor_to_go_on() -> None:
    given = {"profile": "classic", "labels": {"c": "1"}}
    notifier = Notifier(TOGETHER).take(of("a", **given), of("b", **given)).after(WAIT_S)
    notifier.take(of("d", **given)).after(INTERVAL_S)
    assert "News of it: 1 critical. In all 3:" in notifier.got("slack")[1]


def again_every(seconds: float) -> Any:
    return replace(TOGETHER, channels={"slack": True}, routes=(replace(ROUTE, repeat_interval_s=seconds),))


def test_a_group_that_is_active_is_sent_again_until_somebody_takes_all_of_it_or_it_ends() -> None:
    notifier = Notifier(again_every(3600.0)).take(*(of(name, labels={"c": "1"}) for name in "abd")).after(WAIT_S)
    notifier.after(3600)
    assert notifier.got("slack")[1].splitlines()[:3] == [
        "🔴 Still going on after 1 h: 3 of 3 anomalies that share c=1 are ongoing",
        "",
        "Nobody has acknowledged them. This is said again until somebody does, or they have ended.",
    ]
    notifier.take(action("1", "acknowledge", incident_id=uuid("a")), end_of("b")).after(3600)
    text = notifier.got("slack")[2]
    assert text.startswith("🔴 Still going on after 2 h: 1 of 3 anomalies that share c=1 are ongoing")
    notifier.take(action("2", "acknowledge", incident_id=uuid("d"))).after(3600).after(3600)
    assert not [text for text in notifier.got("slack")[3:] if "Still going on" in text]


def test_one_chain_of_reminders_whatever_is_sent_meanwhile() -> None:
    notifier = Notifier(again_every(3600.0)).take(of("a", severity="warning")).after(WAIT_S).after(1800)
    notifier.take(of("a", "worse", incident="a", state="ongoing")).after(0)
    for _ in range(12):
        notifier.after(1800)
    notes = [one.message.note for one in notifier.sent if one.message.note]
    assert len(notes) == 6 and notes == [f"Still going on after {duration(1800 + 3600 * n)}" for n in range(1, 7)]


def test_an_end_long_after_its_group_was_sent_is_sent_by_it_whatever_was_forgotten_meanwhile() -> None:
    notifier = Notifier(TOGETHER).take(*(of(name, labels={"c": "1"}) for name in "ab")).after(WAIT_S)
    notifier.now_s += 100 * JOINABLE_S
    for name in "ab":
        notifier.take(end_of(name))
        expire(notifier.state, notifier.now_s)
    assert "✅ Resolved: all 2 anomalies with c=1" in notifier.after(0).got("slack")[1]


def test_a_group_that_is_over_leaves_nothing_behind() -> None:
    notifier = Notifier(TOGETHER).take(*(of(name, labels={"c": "1"}) for name in "ab"), of("lone")).after(WAIT_S)
    notifier.take(end_of("a"), end_of("b"), end_of("lone")).after(INTERVAL_S)
    expire(notifier.state, notifier.now_s + JOINABLE_S + ENDS_WAIT_S + INTERVAL_S)
    assert not [key for key in notifier.state if key.startswith(("group:", "facet:", "incident:", "again:"))]


def test_a_lone_incident_keeps_the_interval_too_and_its_end_is_whole() -> None:
    notifier = Notifier(TOGETHER).take(of("a")).after(WAIT_S).take(end_of("a")).after(INTERVAL_S - 1)
    assert len(notifier.got("slack")) == 1
    notifier.after(1)
    assert notifier.got("slack")[1].startswith("✅ Resolved: Performance degradation in a")


def test_what_opens_and_ends_while_it_waits_is_sent_once_as_ended() -> None:
    notifier = Notifier(TOGETHER).take(of("a"), end_of("a")).after(WAIT_S)
    assert [text.splitlines()[0] for text in notifier.got("slack")] == ["✅ Resolved: Performance degradation in a"]
    assert "goes with what became of it" in " ".join(notifier.reasons("slack"))


def test_a_silence_holds_also_for_what_waits() -> None:
    notifier = Notifier(TOGETHER).take(of("a"), action("1", "silence", entity="workflow:a")).after(WAIT_S)
    assert notifier.sent == []
    assert notifier.reasons("slack") == ["silenced by ann until 2026-01-23 12:00 UTC"]


def test_a_group_that_was_given_up_was_sent_nobody() -> None:
    notifier = Notifier(TOGETHER).take(of("a", labels={"c": "1"}), of("b", labels={"c": "1"}))
    notifier.after(WAIT_S, Refused("gone"))
    notifier.take(end_of("a"))
    assert notifier.reasons("slack")[-1] == "its opening was not sent here"
    assert not [key for key in notifier.state if key.startswith(("line:", "due:", "pooled:", "pool:"))]


def test_a_group_over_the_limit_is_held_line_by_line() -> None:
    config = replace(TOGETHER, routes=(replace(ROUTE, rate_limit_count=1, rate_limit_window_s=1000.0),))
    notifier = Notifier(config).take(of("a")).after(WAIT_S)
    notifier.take(of("b", labels={"c": "1"}), of("d", labels={"c": "1"})).after(WAIT_S)
    assert notifier.counts("slack")["held"] == 2
    notifier.after(1000)
    assert "2 messages were held back: 2 critical" in notifier.got("slack")[1]


def test_a_group_of_2_000_keeps_every_limit_and_leaves_nothing() -> None:
    notifier = Notifier(TOGETHER)
    for number in range(2_000):
        notifier.outcomes.clear()
        notifier.take(of(f"w{number}", labels={"build": "9"}))
    notifier.after(WAIT_S)
    slack, mail = (one.message for one in notifier.sent)
    assert slack.text.startswith("🔴 2,000 anomalies with build=9")
    assert problem_with({"text": slack.text, "blocks": slack.blocks}) == "" and len(slack.text) <= 3_000
    assert mail.html.count('<td class="line">') == 2_000, "a mail is never cut"
    assert not [key for key in notifier.state if key.startswith(("line:", "due:", "pooled:", "pool:"))]


def test_what_is_shared_is_escaped_for_its_place() -> None:
    notifier = Notifier(TOGETHER).take(of("a", labels={"c": NASTY}), of("b", labels={"c": NASTY})).after(WAIT_S)
    slack, mail = (one.message for one in notifier.sent)
    whole = slack.text + str(slack.blocks)
    assert "<!" not in whole and "<@" not in whole and "\u202e" not in whole + mail.html + mail.title
    assert "<b>x</b>" not in mail.html and "\r" not in mail.title + mail.html
    assert problem_with({"text": slack.text, "blocks": slack.blocks}) == ""


def test_a_facet_is_what_group_by_names_and_the_clusters_are_the_same_in_any_order() -> None:
    one = of("a", labels={"team": "x", "commit": "1"}, affected_entities=[Affected("step", "compile", "Compile")])
    assert facets_of(one, ["step", "team"]) == [("step", "Compile"), ("team", "x")]
    assert facets_of(one, ["workflow", "execution"]) == [
        ("workflow", "workflow:a"),
        ("execution", "execution of a of a"),
    ]
    two, three = of("b", labels={"team": "x", "commit": "1"}), of("c", labels={"team": "x"})
    found = [cluster[:2] for cluster in cluster_by_facet([one, two, three], ["team", "commit"])]
    assert found == [([("team", "x")], [0, 1, 2])]
    found = [cluster[:2] for cluster in cluster_by_facet([one, two, of("d")], ["commit", "*"])]
    assert found == [([("commit", "1"), ("team", "x")], [0, 1]), ([], [2])]
    again = cluster_by_facet([of("d"), two, one], ["commit", "*"])
    assert [(cluster.shared[:1], len(cluster.numbers)) for cluster in again] == [([("commit", "1")], 2), ([], 1)]


@pytest.mark.parametrize(("names", "words"), [("ab", "with 1 other that shares"), ("abc", "with 2 others that share")])
def test_the_reason_counts_the_others_in_proper_words(names: str, words: str) -> None:
    notifier = Notifier(TOGETHER).take(*(of(name, labels={"commit": "4f2a"}) for name in names)).after(WAIT_S)
    assert any(words in each.reason for each in notifier.outcomes if each.channel == "slack")
