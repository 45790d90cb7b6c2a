"""The page about notifications knows every setting of messages, stage and outcome."""

from pathlib import Path
from typing import get_args

from stream_detector.events import Outcome
from stream_detector.settings import SPECS

PAGE = (Path(__file__).parents[3] / "docs" / "notifications.md").read_text("utf-8")


def test_every_setting_of_messages_is_explained_with_an_example() -> None:
    names = [name.upper() for name, spec in SPECS.items() if spec["group"] == "Notifications"]
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    for name in names:
        assert any(row.startswith(f"| `{name}`") and row.count("|") == 5 for row in rows), name


def test_every_outcome_is_explained() -> None:
    assert [outcome for outcome in get_args(Outcome) if f"`{outcome}`" not in PAGE] == []
