"""S14 to S18: what the message of a run has when it did not go as usual; that of a good run is in `golden/`."""

from dataclasses import replace
from typing import Any

import pytest

from stream_detector.events import Movement
from tests.servers.slack import problem_with
from tests.unit.notify.living import Notifier
from tests.unit.notify.subjects import BALANCER, CONFIG, LIDO, NASTY, change, run_of

FELL = change("DupY", "5.0", "2.0")
ROSE = change("DupY again", "2.0", "5.0", entity_id="dupy", entity_name="DupY")
WINDOW = "window~~2026-01-22T00:05Z"


def test_s18_an_entity_that_falls_and_rises_within_a_minute_has_a_line_for_each() -> None:
    one = Notifier(CONFIG).take(run_of(LIDO, FELL, ROSE, run_id=WINDOW)).deliver()
    for text in (*one.got("slack"), *one.got("email")):
        lines = [line for line in text.splitlines() if line.startswith("•")]
        assert lines == [
            "• DupY: 5.0 → 2.0 (-3.0) ⬇️",
            "• DupY: 2.0 → 5.0 (+3.0) ⬆️",
            "• Lido: 7.5 → 5.8 (-1.7) ⬇️",
        ]
    assert {each.message.severity for each in one.sent} == {"critical"}


GOOD = "Lido: 7.5 → 5.8 (-1.7) ⚠️ SIGNIFICANT CHANGE"


def slack_text(*summaries: Any) -> str:
    return Notifier(CONFIG).take(*summaries).deliver().got("slack")[-1]


@pytest.mark.parametrize(
    "given",
    [
        {"scored": 3, "expected": 3},
        {"scored": 4, "expected": 3},
        {"scored": 3},
        {"scored": 3, "status": "completed", "duration_s": 5.0},
    ],
)
def test_s16_a_good_run_has_its_line_and_nothing_else(given: dict[str, Any]) -> None:
    assert slack_text(run_of(LIDO, **given)) == GOOD


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"status": "failed", "error": "upstream 503", "scored": 2}, "Run r failed: upstream 503; 2 scored"),
        ({"status": "failed", "scored": 2, "failures": 1, "expected": 3}, "Run r failed; 2 of 3 scored, 1 failed"),
        ({"scored": 2, "failures": 1, "expected": 3}, "Run r: 2 of 3 scored, 1 failed"),
        ({"scored": 2, "expected": 3}, "Run r: 2 of 3 scored"),
        ({"scored": 2, "failures": 1}, "Run r: 2 scored, 1 failed"),
        (
            {"status": "timed_out", "scored": 1_200, "expected": 3_000},
            "Run r did not end within 15 m after its last event; 1,200 of 3,000 scored",
        ),
        (
            {"scored": 2, "not_waited_for": ["scores-1: 3 of 9", "rekeyed-0: 1 of 2"]},
            "Run r: records not waited for: scores-1: 3 of 9; rekeyed-0: 1 of 2",
        ),
    ],
)
def test_s14_a_run_that_did_not_go_well_has_a_line_about_it_on_every_channel(given: dict[str, Any], line: str) -> None:
    for changes in ([LIDO], [LIDO, BALANCER]):
        one = Notifier(CONFIG).take(run_of(*changes, run_id="r", **given)).deliver()
        (slack,), (mail,) = one.got("slack"), one.got("email")
        assert slack.startswith(f"{line}\n\n") and mail.startswith(f"{line}\n\n")
        assert "Lido: 7.5 → 5.8 (-1.7)" in slack
        for sent in one.sent:
            assert sent.message.title.startswith(line)
            assert line in f"{sent.message.blocks}{sent.message.html}"


def test_s14_a_failed_run_without_a_change_has_no_message() -> None:
    assert not Notifier(CONFIG).take(run_of(status="failed", error="upstream 503", scored=2)).deliver().sent


def test_s14_an_error_text_stays_one_line_within_the_limits_of_slack() -> None:
    changes = [change(f"entity {number} " + "x" * 60, "7.5", "5.8") for number in range(100)]
    nasty = run_of(*changes, run_id=NASTY * 2, status="failed", error=NASTY * 9, not_waited_for=[NASTY * 9])
    message = Notifier(CONFIG).take(nasty).deliver().sent[0].message
    assert problem_with({"text": message.text, "blocks": message.blocks}) == ""
    assert message.text.count("Dashboard: https://") == 1 and "more on the dashboard" in message.text
    assert "<!channel>" not in message.text


def test_x1_a_follow_up_names_the_run_that_it_follows() -> None:
    first = run_of(LIDO, run_id="r")
    late = run_of(LIDO, BALANCER, run_id="r", revision=2, new=[BALANCER.id], follow_up=1)
    assert slack_text(first, late) == (
        "Follow-up to the earlier message about run r: published after its end\n\n"
        "Balancer: 5.0 → 5.8 (+0.8) 📈 SIGNIFICANT CHANGE"
    )
    alone = run_of(BALANCER, run_id=WINDOW, revision=2, new=[BALANCER.id], follow_up=1)
    assert slack_text(run_of(run_id=WINDOW), alone).startswith(
        "Published after the end of the scores of 2026-01-22 00:05 UTC, which had no significant change until then\n\n"
    )


def test_x1_a_digest_has_the_line_too() -> None:
    one = Notifier(replace(CONFIG, rate_limit_count=1)).take(run_of(LIDO, run_id="first")).deliver()
    one.take(run_of(LIDO, run_id="r", status="failed", error="upstream 503", scored=2), run_of(LIDO, run_id="s"))
    one.after(3600)
    assert "Run r failed: upstream 503; 2 scored" in one.got("slack")[-1]


def moved(fell: int, rose: int = 0, unchanged: int = 0) -> dict[str, Any]:
    return {"movement": Movement(fell=fell, rose=rose, unchanged=unchanged), "scored": fell + rose + unchanged}


def test_x7_a_run_that_moved_as_a_whole_is_named_first_on_every_channel() -> None:
    for changes in ([LIDO], [LIDO, BALANCER]):
        one = Notifier(CONFIG).take(run_of(*changes, **moved(41, 2, 40))).deliver()
        for text in (*one.got("slack"), *one.got("email")):
            assert text.startswith("41 of 83 fell: look at the run first\n\n")
    slack = Notifier(CONFIG).take(run_of(LIDO, **moved(41, 2, 40))).deliver().got("slack")[0]
    assert slack == f"41 of 83 fell: look at the run first\n\n{GOOD}"


@pytest.mark.parametrize(
    "counts", [moved(1, 0, 82), moved(2, 0, 0), moved(27, 0, 56), moved(41, 40, 2), moved(0, 41, 42), {"scored": 83}]
)
def test_x7_s16_a_run_that_did_not_move_as_a_whole_has_its_line_and_nothing_else(counts: dict[str, Any]) -> None:
    assert slack_text(run_of(LIDO, **counts)) == GOOD


def test_x7_what_moved_as_a_whole_stands_behind_what_went_wrong_and_in_a_follow_up() -> None:
    failed = run_of(LIDO, run_id="r", status="failed", error="upstream 503", **moved(41, 2, 40))
    assert slack_text(failed).startswith(
        "Run r failed: upstream 503; 83 scored. 41 of 83 fell: look at the run first\n"
    )
    late = run_of(LIDO, run_id="r", revision=2, new=[LIDO.id], follow_up=1, **moved(41, 2, 40))
    assert "which had no significant change until then. 41 of 83 fell: look at the run first\n\n" in slack_text(late)
    assert slack_text(run_of(LIDO, BALANCER, **moved(3))).startswith("3 of 3 fell: ")
