"""The command line: exit codes, messages, help."""

import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stream_detector import __version__
from stream_detector.cli import COMMANDS, main
from stream_detector.cli.settings_page import settings_page
from stream_detector.devstack.ports import free_port
from stream_detector.settings import SPECS

ROOT = Path(__file__).parents[3]


def call(*words, **environ):
    return CliRunner().invoke(main, words, env=environ)


def test_version():
    assert call("--version").output == f"stream-detector, version {__version__}\n"


def test_help_lists_every_command_with_a_line():
    output = call("--help").output
    for name in COMMANDS:
        assert any(line.startswith(f"  {name} ") and line.split()[1:] for line in output.splitlines()), name


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(name):
    result = call(name, "--help")
    assert result.exit_code == 0
    commands = main.get_command(None, name)
    texts = [result.output]
    texts += [call(name, sub, "--help").output for sub in getattr(commands, "commands", {})]
    assert any(f"stream-detector {name}" in text for text in texts)


def test_an_unknown_command_is_wrong_usage_and_lists_those_there_are():
    result = call("detect")
    assert result.exit_code == 2
    assert "No such command 'detect'" in result.output
    assert "detector" in result.output


def test_s09_a_wrong_setting_ends_with_2_and_one_line():
    result = call("config", "show", GVS_ANOMALY_THRESHOLD="abc")
    assert result.exit_code == 2
    assert result.output == ("Error: GVS_ANOMALY_THRESHOLD='abc': must be a positive, finite number, for example 0.5\n")


def test_config_show_says_value_and_origin_and_hides_secrets():
    result = call("config", "show", "--json", "--partitions", "7", STREAM_DETECTOR_API_TOKEN="geheim")
    shown = json.loads(result.output)
    assert set(shown) == set(SPECS)
    assert shown["partitions"] == {"value": "7", "origin": "flag"}
    assert shown["api_token"] == {"value": "(set)", "origin": "environment"}
    assert "geheim" not in call("config", "show", STREAM_DETECTOR_API_TOKEN="geheim").output


def test_config_docs_is_the_page():
    assert call("config", "docs").output == settings_page()


def test_no_secret_is_a_flag_but_the_database_url():
    flags = {option for command in ("up", "detector") for option in call(command, "--help").output.split()}
    for name, spec in SPECS.items():
        if spec["secret"] and name != "database_url":
            assert f"--{name.replace('_', '-')}" not in flags
            result = call("detector", f"--{name.replace('_', '-')}", "x")
            assert result.exit_code == 2, name


@pytest.mark.parametrize("role", ["detector", "recorder", "notifier", "api"])
def test_a_role_without_a_broker_says_what_to_set(role):
    result = call(role)
    assert result.exit_code == 2
    assert "STREAM_DETECTOR_BROKER is not set" in result.output


@pytest.mark.parametrize("role", ["recorder", "api"])
def test_a_role_without_a_database_says_what_to_set(role):
    result = call(role, "--broker", "127.0.0.1:1")
    assert result.exit_code == 2
    assert "STREAM_DETECTOR_DATABASE_URL is not set" in result.output


@pytest.mark.parametrize("words", [("up", "--once"), ("up", "--json"), ("up", "--data", "a", "--data-dir", "b")])
def test_up_refuses_words_that_do_not_go_together(words):
    assert call(*words).exit_code == 2


def test_up_starts_nothing_with_a_setting_that_a_role_would_refuse(tmp_path):
    folder = tmp_path / "data"
    half_set = {"STREAM_DETECTOR_SMTP_URL": "smtp://mail.example", "STREAM_DETECTOR_EMAIL_FROM": "a@b.example"}
    for words, environ, named in (
        (("--api-host", "0.0.0.0"), {}, "STREAM_DETECTOR_API_TOKEN"),
        ((), half_set, "STREAM_DETECTOR_EMAIL_TO"),
    ):
        result = call("up", "--data-dir", str(folder), *words, **environ)
        assert result.exit_code == 2
        assert named in result.output
        assert not folder.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("publish", str(ROOT / "tests/unit/events/payloads/github_workflow_run.json")),
        ("dead-letters", "list"),
        ("dead-letters", "show", "0-1"),
        ("dead-letters", "retry", "0-1"),
        ("setup",),
    ],
)
def test_a_command_that_needs_the_broker_finds_the_running_up_and_else_names_the_flag(words, tmp_path, monkeypatch):
    result = call(*words, "--data-dir", str(tmp_path))
    assert result.exit_code == 2
    assert "STREAM_DETECTOR_BROKER" in result.output and "--broker" in result.output
    assert "no `stream-detector up` of this user is running" in result.output
    monkeypatch.setattr("stream_detector.cli.publish.PATIENCE_S", 0.0)
    monkeypatch.setattr("stream_detector.cli.setup.PATIENCE_S", 0.0)
    port = free_port()
    running = {"broker": f"127.0.0.1:{port}", "database_url": "", "api_token": "t", "api_port": "7"}
    (tmp_path / "running.json").write_text(json.dumps(running))
    result = call(*words, "--data-dir", str(tmp_path))
    assert result.exit_code == 1 and str(port) in result.output, result.output


def test_a_broker_flag_is_named_where_another_installation_is_set(tmp_path):
    result = call("dead-letters", "list", "--data-dir", str(tmp_path), "--database-url", "postgresql:///x")
    assert "--broker" in result.output and "is not used" in result.output


def test_setup_without_addresses_says_so(tmp_path):
    result = call("setup", "--data-dir", str(tmp_path))
    assert result.exit_code == 2
    assert "neither STREAM_DETECTOR_BROKER nor STREAM_DETECTOR_DATABASE_URL is set" in result.output


def test_every_command_that_a_text_names_exists():
    """Errors, log lines and docs send people to commands: `stream-detector NAME [SUBCOMMAND]`."""
    context = click.Context(main)
    known = {name: main.get_command(context, name) for name in main.list_commands(context)}
    texts = [
        *(ROOT / "stream_detector").rglob("*.py"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.yml"),
    ]
    named, missing = 0, []
    for path in [*texts, ROOT / "README.md", ROOT / "CHANGELOG.md"]:
        for found in re.finditer(r"`stream-detector ([a-z-]+)(?: ([a-z-]+))?", path.read_text("utf-8")):
            command, named = known.get(found[1]), named + 1
            is_known = command is not None
            if isinstance(command, click.Group) and found[2]:
                is_known = found[2] in command.list_commands(context)
            if not is_known:
                missing.append(f"{path.name}: {found[0]}")
    assert named > 40 and missing == []
