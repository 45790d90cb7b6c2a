"""Commands about the Kafka of an `up --broker apache`: which runs, and what they answer where there is none."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from stream_detector.cli import main
from stream_detector.devstack.folder import DataFolder

COMMANDS = [
    ("setup", "--repartition", "8"),
    ("reset-source", "--topic", "scores", "--partition", "0", "--to", "latest"),
    ("recorder", "rewind", "--to", "2026-11-30T14:00:00Z"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_broker_and_without_such_a_folder_both_are_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*command, "--data-dir", str(tmp_path)])
    assert done.exit_code == 2
    for words in ("BROKER (--broker) is not set", str(tmp_path), "up --broker apache", "--data-dir"):
        assert words in done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_x16_while_that_up_runs_it_is_named_and_nothing_is_started(tmp_path: Path, command: tuple[str, ...]) -> None:
    folder = DataFolder(tmp_path)
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "cluster-id").write_text("x")
    try:
        done = CliRunner().invoke(main, [*command, "--data-dir", str(tmp_path)])
    finally:
        folder.close()
    assert done.exit_code == 1
    assert "another `stream-detector up`" in done.output and "stop it" in done.output
    assert "starts Kafka and PostgreSQL by itself" in done.output
