"""`publish` against a real broker, as a person calls it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from stream_detector.cli.publish import command
from stream_detector.devstack.folder import DataFolder
from stream_detector.kafka.create_topics import make_topics
from stream_detector.settings import Settings
from tests.unit.events.samples import completion, score, score_run


def publish(settings: Settings, file: Path, *flags: str) -> Result:
    asyncio.run(make_topics(settings))
    where = ["--broker", settings.broker, "--topic-prefix", settings.topic_prefix]
    return CliRunner().invoke(command, [str(file), *where, *flags])


def test_a_mixed_history_goes_to_its_topics(tansu: Any, make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(b"\n".join([completion(), score(), score("6.1"), score_run()]))
    result = publish(make_settings(broker=tansu.address), file, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["published"] == {"workflow-completions": 1, "scores": 2, "score-runs": 1}
    assert answer["refused"] == 0


def test_bad_lines_are_named_and_left_out(tansu: Any, make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion() + b"\n" + b"nonsense\n" * 30)
    result = publish(make_settings(broker=tansu.address), file, "--backfill")
    assert result.exit_code == 1
    assert "30 lines rejected" in result.stdout
    reported = result.stderr.splitlines()
    assert reported[0].startswith(f"{file}:2: not_json")
    assert len([line for line in reported if "not_json" in line]) == 20
    assert "stream-detector validate" in reported[20]


def test_a_file_of_no_known_form_is_wrong_usage(
    tansu: Any, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("a,b\n1,2\n")
    assert publish(make_settings(broker=tansu.address), file).exit_code == 2


def test_without_a_broker_it_says_which_setting(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion())
    words = [str(file), "--data-dir", str(tmp_path)]
    result = CliRunner().invoke(command, words, env={"STREAM_DETECTOR_BROKER": ""})
    assert result.exit_code == 2
    assert "STREAM_DETECTOR_BROKER is not set" in result.stderr and "--broker" in result.stderr


def test_without_settings_it_publishes_to_the_running_up_of_this_user(
    tansu: Any, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(broker=tansu.address)
    asyncio.run(make_topics(settings))
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion())
    folder = DataFolder(tmp_path / "data")
    named = {"broker": settings.broker, "database_url": "postgresql:///x", "api_token": "t", "api_port": "7"}
    folder.write_running(named | {"topic_prefix": settings.topic_prefix})
    try:
        result = CliRunner().invoke(command, [str(file), "--data-dir", str(folder.path), "--json"])
    finally:
        folder.close()
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["published"] == {"workflow-completions": 1}
