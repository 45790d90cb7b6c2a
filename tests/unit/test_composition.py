"""Settings become detection's configuration in one function, which everything that judges calls."""

import ast
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from stream_detector.composition import detection_config
from stream_detector.settings import Settings

PACKAGE = Path(__file__).parents[2] / "stream_detector"
CALLERS = (
    "cli/replay.py",
    "roles/detector.py",
    "serve/resources/settings.py",
    "serve/detection_settings.py",
)
BENCHMARKS = ("grouping.py", "history.py", "hot_path.py", "plots.py", "quality.py")


def called(path: Path) -> set[str]:
    """The names that a file calls as plain functions or classes."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    return {each.id for each in calls if isinstance(each, ast.Name)}


@pytest.mark.parametrize("path", CALLERS)
def test_what_judges_by_the_settings_asks_for_their_configuration(path: str) -> None:
    assert "detection_config" in called(PACKAGE / path)


def test_nothing_else_makes_a_configuration_or_reads_the_profile_rules() -> None:
    own = {PACKAGE / "composition.py", *(PACKAGE / "detect").rglob("*.py")}
    others = [path for path in PACKAGE.rglob("*.py") if path not in own]
    assert [str(path) for path in others if called(path) & {"Config", "profile_rules"}] == []


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmarks_judge_by_the_same_configuration(name: str) -> None:
    calls = called(PACKAGE.parent / "benchmarks" / name)
    assert "detection_config" in calls and "Config" not in calls


def test_every_detection_setting_has_its_effect() -> None:
    settings = replace(
        Settings(), profile="classic", score_threshold=Decimal("0.3"), profile_rules="deploy-* -> robust"
    )
    config = detection_config(settings)
    assert (config.profile, config.score_threshold) == ("classic", Decimal("0.3"))
    assert [rule.profile for rule in config.profile_rules] == ["robust"]
    off = replace(settings, duration_from_times=False)
    assert config.duration_from_times and not detection_config(off).duration_from_times
    with pytest.raises(ValueError, match="classic or robust"):
        detection_config(replace(settings, profile="next"))
