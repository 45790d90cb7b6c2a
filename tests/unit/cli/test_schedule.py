"""X31: the times of a workflow as one line."""

from typing import Any

import pytest

from stream_detector.cli.schedule import _line, _remarks

EACH: dict[str, Any] = {
    "workflow_name": "Nightly", "variant": "schedule", "text": "weekdays 02:00 to 02:04 UTC",
    "came": 31, "expected": 31,
    "next_at": "2026-01-23T02:00:00Z", "due_at": "2026-01-23T02:20:00Z", "usual_duration_s": 1500.0,
    "missed_since": None, "missed": 0, "retired": False,
}  # fmt: skip


def test_x31_a_line_has_the_times_the_next_run_and_what_is_missed() -> None:
    line = "Nightly (schedule): weekdays 02:00 to 02:04 UTC; 31 of 31 came"
    usual = "next 2026-01-23 02:00, due by 2026-01-23 02:20 UTC; usually takes 25 m"
    assert _line(EACH) == f"{line}; {usual}"
    missed = {"missed_since": "2026-01-22T02:20:00Z", "missed": 2}
    assert _line(EACH | missed) == f"{line}; {usual}; MISSED since 2026-01-22 02:20 UTC, 2 in a row"
    retired = {
        "next_at": None,
        "due_at": None,
        "usual_duration_s": None,
        "expected": 0,
        "variant": None,
        "retired": True,
    }
    assert _line(EACH | retired) == "Nightly: weekdays 02:00 to 02:04 UTC; taken for retired"


@pytest.mark.parametrize(
    ("found", "missed", "words"),
    [
        ({"items": [], "next": None, "clock": False}, True, "CLOCK is off"),
        ({"items": [], "next": None, "clock": True}, True, "no run is missed"),
        ({"items": [], "next": None, "clock": True}, False, "learned after ten runs"),
        ({"items": [EACH], "next": "x", "clock": True}, False, "use --limit for more"),
    ],
)
def test_x31_an_empty_list_says_why(
    found: dict[str, Any], missed: bool, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _remarks(found, missed, 50)
    assert words in capsys.readouterr().err
