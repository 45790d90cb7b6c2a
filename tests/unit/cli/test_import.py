"""`stream-detector import`: dumps in the forms that people have, the report, and its equality with `replay`."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cramjam
import pytest
from click.testing import CliRunner, Result

from stream_detector.cli import main
from stream_detector.cli.file_options import FileOptions
from stream_detector.cli.replayed_history import ReplayedHistory
from stream_detector.composition import detection_config
from stream_detector.events.files.order import in_order_of_time
from stream_detector.notify.configure import notify_config
from stream_detector.settings import Settings
from tests.servers.github_runs import (
    HISTORIES,
    NOW,
    REPOSITORY,
    broken_for_a_day,
    dump,
    github_run,
    history,
    listing,
)

RUNS = history(2_400, NOW, change=broken_for_a_day)


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Result]:
    def call(*words: str, content: bytes | None = None, code: int = 0) -> Result:
        where = ["--dry-run", "--data-dir", str(tmp_path / "data")]
        result = CliRunner().invoke(main, ["import", "github", *words, *where], input=content)
        assert result.exit_code == code, result.output
        return result

    return call


def replayed(file: Path) -> list[dict[str, Any]]:
    """The messages that `replay` counts, one by one."""
    settings = Settings()
    history = ReplayedHistory(detection_config(settings), notify_config(settings))
    for line in in_order_of_time(FileOptions(file).read(record_ms=-1)):
        assert line.event is not None
        history.apply(line.event)
    forecast = history.finish().forecast
    assert forecast is not None
    return [{"title": message.title, "text": message.text} for message in forecast.sent]


@pytest.mark.parametrize("name", sorted(HISTORIES))
def test_x22_the_report_has_the_messages_of_replay(imported: Callable[..., Result], tmp_path: Path, name: str) -> None:
    file = tmp_path / "runs.json"
    file.write_bytes(dump(HISTORIES[name]()))
    report = json.loads(imported("--from", str(file), "--json").stdout)
    expected = replayed(file)
    assert [{"title": one["title"], "text": one["text"]} for one in report["messages"]] == expected
    assert len(expected) > 3, "a history in which something happens"
    shown = CliRunner().invoke(main, ["replay", str(file)]).stdout
    assert f"within the rate limit: slack {len(expected)}" in " ".join(shown.split())


def test_x22_the_report_is_one_screen_and_links_to_the_page(imported: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "runs.json"
    file.write_bytes(dump(RUNS))
    shown = imported("--from", str(file)).stdout
    lines = shown.splitlines()
    assert len(lines) <= 24
    assert lines[0].startswith(f"GitHub Actions {file}: 2,400 runs of 4 workflows, 2026-08-22 to 2026-11-20")
    assert any(line.startswith("In these 90 days you would have got ") and " messages: " in line for line in lines)
    assert "  by slack (which is not on), about " in shown
    assert "Nothing was published" in shown and "/workflows" in shown


FORMS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "pages one after the other on a line": dump,
    "pages on a line each": lambda runs: dump(runs).replace(b'}{"total', b'}\n{"total'),
    "pages over many lines": lambda runs: b"".join(
        json.dumps(listing(runs[at : at + 100]), indent=2).encode() for at in range(0, len(runs), 100)
    ),
    "gh api --paginate --slurp": lambda runs: json.dumps(
        [listing(runs[at : at + 100]) for at in range(0, len(runs), 100)]
    ).encode(),
    "jq -c .workflow_runs[]": lambda runs: b"\n".join(json.dumps(run).encode() for run in runs),
    "arrays one after the other": lambda runs: b"".join(
        json.dumps(runs[at : at + 100]).encode() for at in range(0, len(runs), 100)
    ),
    "jq -s": lambda runs: json.dumps(runs, indent=2).encode(),
    "gzip": lambda runs: gzip.compress(dump(runs)),
    "zstd": lambda runs: bytes(cramjam.zstd.compress(dump(runs))),
    "oldest first": lambda runs: dump(runs[::-1]),
    "each twice": lambda runs: dump(runs) + dump(runs[::-1]),
}


@pytest.mark.parametrize("form", sorted(FORMS))
def test_x22_each_form_of_a_dump_gives_the_same_report(imported: Callable[..., Result], form: str) -> None:
    runs = history(450, NOW)
    expected = json.loads(imported("--from", "-", "--json", content=dump(runs)).stdout)
    found = json.loads(imported("--from", "-", "--json", content=FORMS[form](runs)).stdout)
    assert found == expected
    assert found["runs"] == 450 and not found["refused"]


def test_x22_what_cannot_be_read_is_counted_with_its_reason(imported: Callable[..., Result]) -> None:
    odd = github_run(1, NOW) | {"conclusion": "exploded"}
    content = dump([*history(50, NOW), odd]) + b'{"entity_id": "x"}' + b'{"workflow_runs": [{"id'
    report = json.loads(imported("--from", "-", "--json", content=content).stdout)
    assert report["runs"] == 50
    assert sorted(reason.partition(":")[0] for reason in report["refused"]) == [
        "missing_field",
        "not_json",
        "unknown_value",
    ]


def test_x22_a_dump_of_which_nothing_is_read_ends_with_1_and_how_one_is_made(imported: Callable[..., Result]) -> None:
    listed = b'[{"databaseId": 1, "conclusion": "success", "workflowName": "ci"}]'
    shown = imported("--from", "-", content=listed, code=1).stdout
    assert "1 run not read: " in shown and "How a dump of GitHub Actions is made: docs/sources.md" in shown


def test_x22_runs_of_another_system_in_the_file_are_named(imported: Callable[..., Result]) -> None:
    pipeline = (Path(__file__).parents[1] / "events" / "payloads" / "gitlab_pipeline.json").read_bytes()
    shown = imported("--from", "-", content=dump(history(9, NOW)) + pipeline).stdout
    assert "1 run not of GitHub Actions: read in the format that the file has" in shown


def test_x22_days_leave_out_what_is_older(imported: Callable[..., Result]) -> None:
    runs = history(90, datetime.now(UTC))
    assert json.loads(imported("--from", "-", "--days", "10", "--json", content=dump(runs)).stdout)["runs"] in (9, 10)


def test_x22_a_quiet_history_is_reported_as_that(imported: Callable[..., Result]) -> None:
    runs = [github_run(number, NOW) for number in range(3)]
    assert "In this day you would have got no message" in imported("--from", "-", content=dump(runs)).stdout


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "name OWNER/REPO, or a dump with --from FILE"),
        ((REPOSITORY, "--from", "-"), "name OWNER/REPO, or a dump with --from FILE"),
        (("shop",), "'shop' is not a repository: use OWNER/REPO, for example"),
        ((REPOSITORY, "--token", "ghp_x"), "stays in the shell's history: revoke it, and set GITHUB_TOKEN instead"),
        ((REPOSITORY, "--url", "github.com"), "must begin with https:// or http://"),
        ((REPOSITORY, "--url", "https://127.0.0.1:1", "--ca-file", "/nowhere.pem"), "no certificates can be read"),
        (("--from", "/nowhere.json"), "does not exist"),
    ],
)
def test_x22_bad_input_gets_what_to_change(imported: Callable[..., Result], words: tuple[str, ...], text: str) -> None:
    result = imported(*words, code=2)
    assert text in " ".join(result.output.split())
    assert "ghp_x" not in result.output


def test_x22_a_file_without_a_run_is_an_error(imported: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "empty.json"
    file.write_bytes(json.dumps(listing([])).encode())
    assert "no event is in the file" in imported("--from", str(file), code=2).output
    assert list((tmp_path / "data" / "imports").glob("*/events.jsonl")) == []


def test_x22_the_help_has_no_token_and_each_provider() -> None:
    shown = CliRunner().invoke(main, ["import", "github", "--help"]).output
    assert "--token" not in shown and "GITHUB_TOKEN" in shown
    assert "github" in CliRunner().invoke(main, ["import", "--help"]).output
