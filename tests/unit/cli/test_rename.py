"""What `rename` reports: where else the former id stands."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stream_detector.cli import CommandError, rename
from stream_detector.settings import Settings


def test_x20_rules_and_routes_that_name_the_id_are_listed_with_file_and_line(tmp_path: Path) -> None:
    config, routes = tmp_path / "settings.toml", tmp_path / "routes.toml"
    config.write_text('profile = "robust"\nprofile_rules = "app -> classic, app-2 -> robust"\n')
    routes.write_text('[[route]]\nmatch = { workflow = "app-2" }\n# app\n[[route]]\nmatch = { workflow = "app" }\n')
    settings = Settings(routes_file=str(routes), profile_rules="app -> classic", origin={"profile_rules": "file"})
    assert rename.in_files(settings, str(config), "app") == [
        f'{config}:2: profile_rules = "app -> classic, app-2 -> robust"',
        f'{routes}:5: match = {{ workflow = "app" }}',
    ]
    assert rename.in_files(settings, str(config), "other") == []
    assert rename.in_files(Settings(routes_file=str(tmp_path / "absent")), "", "app") == []


def test_x20_a_rule_of_the_environment_is_listed_by_its_variable() -> None:
    settings = Settings(profile_rules="app -> classic", origin={"profile_rules": "environment"})
    (line,) = rename.in_files(settings, "", "app")
    assert line.startswith("STREAM_DETECTOR_PROFILE_RULES (environment)")


def test_x20_the_command_waits_for_the_baselines_and_lists_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    done = {"has_baseline": True, "silences": ["s1"], "ping_keys": ["cron"]}
    answers: list[Any] = [done, {"items": []}, {"items": [{}]}]
    monkeypatch.setattr(rename, "call_api", lambda *_, **__: answers.pop(0))
    result = CliRunner().invoke(rename.command, ["old", "new"])
    assert result.exit_code == 0, result.output
    assert answers == []
    lines = result.output.splitlines()
    assert lines[0].startswith("old continues as new")
    assert lines[1] == "still name old:"
    assert "silence s1" in lines[2] and "ping key cron" in lines[3]


def test_x20_baselines_that_do_not_come_are_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    done = {"has_baseline": True, "silences": [], "ping_keys": []}
    monkeypatch.setattr(rename, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(rename, "call_api", lambda *_, body=None, **__: done if body else {"items": []})
    with pytest.raises(CommandError) as caught:
        rename.command.main(["old", "new"], standalone_mode=False)
    assert caught.value.exit_code == 3 and "doctor" in caught.value.message
