"""X5: a message for several anomalies names what may be the cause, and has everything for each of them."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from stream_detector.events import Affected, Anomaly, Metrics
from stream_detector.events.label_counts import LabelCounts
from stream_detector.notify.config import Route
from stream_detector.notify.shared_facets import GROUP_BY
from tests.events_made import NOON, uuid
from tests.servers.slack import problem_with
from tests.unit.notify.living import Notifier
from tests.unit.notify.subjects import CONFIG, slow

WAIT_S = 2.0
ROUTE = Route(name="r", group_by=GROUP_BY, group_wait_s=WAIT_S, group_interval_s=60.0, rate_limit_count=50)
CONFIGURED = replace(CONFIG, channels={"slack": True, "email": True}, routes=(ROUTE,))


def of(workflow: str, **given: Any) -> Anomaly:
    values = {
        "entity_id": workflow,
        "entity_name": workflow,
        "execution_id": f"{workflow}-1",
        "affected_entities": [],
        "labels": {},
        "incident": workflow,
        "profile": "robust",
    }
    return slow(given.pop("name", workflow), **(values | given))


def hour(executions: int, counter: str = "one", **labels: int) -> LabelCounts:
    return LabelCounts(counter, executions, labels)


def headings(notifier: Notifier) -> list[str]:
    return [text.splitlines()[0] for text in notifier.got("slack")]


def four(notifier: Notifier, labels: dict[str, str], *counts: LabelCounts, names: str = "abde") -> Notifier:
    for number, name in enumerate(names):
        known = counts[number % len(counts)] if counts else None
        notifier.take(of(name, labels={**labels, "own": name}), counts=known)
    return notifier.after(WAIT_S)


def test_x5_the_default_branch_joins_no_unrelated_workflows() -> None:
    notifier = Notifier(CONFIGURED)
    for name in ("import", "report"):
        notifier.take(of(name, labels={"branch": "main"}), counts=hour(400, branch=20))
    assert headings(notifier.after(WAIT_S)) == [
        "🔴 Critical: Performance degradation in import",
        "🔴 Critical: Performance degradation in report",
    ]


def test_x5_a_label_that_few_others_have_is_named_with_its_evidence() -> None:
    notifier = four(Notifier(CONFIGURED), {"image": "base:9"}, hour(404, image=16))
    assert headings(notifier) == ["🔴 4 anomalies share image=base:9"]
    step = "1. Look at what image=base:9 brought: 4 of 4 executions with anomalies have it, and 3 % of the 400 others"
    assert step in notifier.got("slack")[0] and step in notifier.got("email")[0]


@pytest.mark.parametrize(
    ("labels", "counts", "why"),
    [
        ({"image": "base:9"}, hour(404, image=300), "most executions have it"),
        ({"image": "base:9"}, hour(404, image=82), "more than a fifth have it"),
        ({"branch": "main"}, hour(404, branch=16), "the default branch"),
        ({"ref": "refs/heads/main"}, hour(404, ref=16), "the default branch"),
        ({"trigger": "schedule"}, hour(404, trigger=16), "a trigger"),
        ({"deployment.environment": "staging"}, hour(404, **{"deployment.environment": 16}), "an environment"),
        ({"image": "base:9"}, hour(4, image=4), "there were no others to compare with"),
        ({"image": "base:9"}, None, "the detector is of an earlier version and counts nothing"),
    ],
)
def test_x5_what_all_have_is_no_cause(labels: dict[str, str], counts: LabelCounts | None, why: str) -> None:
    notifier = four(Notifier(CONFIGURED), labels, *filter(None, [counts]))
    assert headings(notifier) == [f"🔴 Critical: Performance degradation in {name}" for name in "abde"], why


def test_x5_fewer_than_four_times_as_often_among_the_odd_is_no_cause() -> None:
    notifier = Notifier(CONFIGURED)
    for name in "abd":
        notifier.take(of(name, labels={"image": "9"}), counts=hour(110, image=18))
    for name in "efghi":
        notifier.take(of(name, labels={"image": "8"}), counts=hour(110, image=90))
    assert len(headings(notifier.after(WAIT_S))) == 8, "3 of 8 odd have it and 15 of 102 others: 2.6 times"


def test_x5_two_are_a_coincidence_and_two_types_of_one_execution_are_one() -> None:
    notifier = Notifier(CONFIGURED)
    spike = {"anomaly_type": "SpikeInFailures", "incident": "a spike", "name": "a spike"}
    for one in (
        of("a", labels={"image": "9"}),
        of("b", labels={"image": "9"}),
        of("a", labels={"image": "9"}, **spike),
    ):
        notifier.take(one, counts=hour(400, image=3))
    assert headings(notifier.after(WAIT_S)) == [
        "🔴 Critical: Spike in failures and performance degradation in a",
        "🔴 Critical: Performance degradation in b",
    ]


def test_x5_what_a_route_selects_is_no_cause() -> None:
    route = replace(ROUTE, match={"team": ("payments",)})
    notifier = Notifier(replace(CONFIGURED, routes=(route,)))
    four(notifier, {"team": "payments"}, hour(400, team=12))
    assert len(headings(notifier)) == 4, "all of this route are of that team"
    four(notifier, {"team": "payments", "image": "9"}, hour(400, team=12, image=5), names="fghi")
    assert headings(notifier)[4:] == ["🔴 4 anomalies share image=9"]


def test_x5_the_counts_of_several_detectors_are_added_up() -> None:
    first, later, second = hour(20, "one", image=2), hour(100, "one", image=6), hour(120, "two", image=10)
    notifier = four(Notifier(CONFIGURED), {"image": "9"}, first, second, later)
    assert "4 of 4 executions with anomalies have it, and 6 % of the 216 others" in notifier.got("slack")[0]


def test_x5_the_cause_is_named_even_where_everything_ran_in_one_build() -> None:
    notifier = Notifier(CONFIGURED)
    for number in range(8):
        labels = {"build": "1951", "image": "9" if number < 4 else "8"}
        image = 6 if number < 4 else 90
        notifier.take(of(f"w{number}", labels=labels), counts=hour(100, build=100, image=image))
    assert headings(notifier.after(WAIT_S)) == ["🔴 4 anomalies share image=9", "🔴 4 anomalies with build=1951"]
    of_build = notifier.got("slack")[1]
    assert "Look at build=1951 as a whole, and at what it runs on: 8 of 8 executions with anomalies have it" in of_build


def test_x5_what_joins_later_joins_by_the_cause_alone() -> None:
    labels = {"image": "9", "branch": "main"}
    notifier = four(Notifier(CONFIGURED), labels, hour(400, image=10, branch=300))
    notifier.take(of("later", labels={"branch": "main"}), counts=hour(400, branch=300)).after(60)
    notifier.take(of("also", labels=labels), counts=hour(400, image=10, branch=300)).after(60)
    assert headings(notifier) == [
        "🔴 4 anomalies share image=9",
        "🔴 Critical: Performance degradation in later",
        "🔴 5 anomalies share image=9",
    ]


def test_x5_one_slow_run_of_classic_is_one_message_with_both_types_named_once() -> None:
    both = [
        of("nightly", name=kind, incident=kind, anomaly_type=kind, profile="classic", state="opened")
        for kind in ("PerformanceDegradation", "UnusualExecutionTime")
    ]
    notifier = Notifier(CONFIGURED).take(*both).after(WAIT_S)
    assert len(notifier.sent) == 2, "one a channel"
    for channel in ("slack", "email"):
        text = notifier.got(channel)[0]
        assert text.startswith("🔴 Critical: Unusual execution time and performance degradation in nightly\n")
        assert "Type: UnusualExecutionTime, PerformanceDegradation\n" in text
        assert [text.count(fact) for fact in ("Current:", "Z-score: 3", "What to look at:", "Details:")] == [1] * 4
    told = [one.anomaly_id for one in notifier.outcomes if one.channel == "slack" and one.anomaly_id]
    assert sorted(filter(None, told)) == sorted({one.id for one in both}), "each of both has its outcome"
    assert notifier.counts("slack") == {"delivered": 3}
    notifier.after(7200)
    assert len(notifier.sent) == 2


def test_x5_both_types_of_a_run_are_one_entry_among_others() -> None:
    notifier = Notifier(CONFIGURED)
    for name in "abd":
        for kind in ("PerformanceDegradation", "UnusualExecutionTime"):
            one = of(name, name=name + kind, incident=name + kind, anomaly_type=kind, labels={"build": "7"})
            notifier.take(one)
    text = notifier.after(WAIT_S).got("slack")[0]
    assert text.count("•") == 3
    assert text.count("Unusual execution time and performance degradation in") == 3


def everything(number: int) -> Anomaly:
    metrics = Metrics(
        current_value=130.0 + number,
        baseline_value=100.0,
        deviation=30.0 + number,
        z_score=3.0 + number,
        confidence=0.9,
        unit="s",
        direction="up",
    )
    at = NOON - timedelta(hours=3, minutes=number)
    given = {"severity": ("critical", "warning")[number % 2], "metrics": metrics, "detected_at": at}
    return of(f"w{number}", labels={"build": "7"}, affected_entities=[Affected("step", "compile")], **given)


@pytest.mark.parametrize("many", [2, 7, 40])
def test_x5_each_of_several_has_its_mark_numbers_time_and_link(many: int) -> None:
    notifier = Notifier(CONFIGURED).take(*map(everything, range(many))).after(WAIT_S)
    slack, mail = (one.message for one in notifier.sent)
    blocks = json.dumps(slack.blocks, ensure_ascii=False)
    for number in range(many):
        mark = ("🔴 Critical", "🟠 Warning")[number % 2]
        numbers = f"Current {130 + number} s"
        rest = f"Baseline 100 s | Deviation +{30 + number} s | Z-score {3 + number}"
        link = f"https://gvs.example.org/anomalies/{uuid(f'w{number}')}"
        where = [mail.text, mail.html] + ([blocks] if many <= 19 else []) + ([slack.text] if many <= 7 else [])
        for shown in where:
            assert numbers in shown and rest in shown and link in shown
            assert f"{mark}: Performance degradation in w{number}" in shown
    assert problem_with({"text": slack.text, "blocks": slack.blocks}) == "" and len(slack.text) <= 3_000
    for shown in (slack.text, blocks, mail.text, mail.html):
        assert "What to look at" in shown and "Begin with" not in shown
    since = NOON - timedelta(hours=3, minutes=many - 1)
    assert f"Since {since:%Y-%m-%d %H:%M} UTC" in slack.text, "the event's time, not when we came to it"
    if many == 40:
        assert "more on the dashboard" in slack.text and "more on the dashboard" in blocks
        assert "more on the dashboard" not in mail.text + mail.html


def test_x5_a_digest_has_everything_for_each_and_steps() -> None:
    config = replace(CONFIG, channels={"slack": True, "email": True}, rate_limit_count=1)
    notifier = Notifier(config).take(*map(everything, range(6))).deliver().after(3600)
    for channel in ("slack", "email"):
        digest = notifier.got(channel)[1]
        assert digest.count("Current 13") == digest.count("Z-score ") == digest.count("anomalies/") == 5
        assert "What to look at:\n1. Step compile took 45 s" in digest and "2026-01-22 08:5" in digest


def test_x5_steps_that_all_name_come_once_and_the_most_severe_has_the_first_word() -> None:
    notifier = Notifier(CONFIGURED)
    for number, name in enumerate("abd"):
        steps = ["The commit changed since then", f"Open execution {name}"]
        notifier.take(
            of(name, labels={"build": "7"}, investigation_steps=steps[number % 2 :] if number == 1 else steps)
        )
    assert "Begin with a: The commit changed since then" in notifier.after(WAIT_S).got("slack")[0]
    notifier = Notifier(CONFIGURED)
    for name in "abd":
        steps = ["The commit changed since then", f"Open execution {name}"]
        notifier.take(of(name, labels={"build": "7"}, investigation_steps=steps))
    text = notifier.after(WAIT_S).got("slack")[0]
    assert "2. The commit changed since then\n3. Begin with a: Open execution a\n" in text


def test_x5_two_of_a_build_that_moved_apart_have_no_cause_in_common() -> None:
    faster = Metrics(
        current_value=50.0,
        baseline_value=100.0,
        deviation=-50.0,
        z_score=-5.0,
        confidence=0.9,
        unit="s",
        direction="down",
    )
    notifier = Notifier(CONFIGURED).take(of("a", labels={"build": "7"}), of("b", labels={"build": "7"}, metrics=faster))
    assert len(headings(notifier.after(WAIT_S))) == 2
    both = of("d", labels={"build": "8"}), of("e", labels={"build": "8"})
    assert headings(notifier.take(*both).after(WAIT_S))[2:] == ["🔴 2 anomalies with build=8"]
