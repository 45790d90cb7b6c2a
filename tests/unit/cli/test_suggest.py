"""`validate --suggest` (X23): the proposal, used unchanged, reads the file."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stream_detector.cli.validate import command

RUNS = [
    {"uuid": f"a-{n}", "pipeline": {"name": "etl", "id": 7}, "state": state, "startedAt": 1769040000000 + n * 3_600_000,
     "endedAt": 1769040093500 + n * 3_600_000, "elapsed": 93.5, "git": {"branch": "main"}, "a.b": "x"}
    for n, state in enumerate(("finished", "failed", "finished"))
]  # fmt: skip
TABLE = """Build Number;Job;Result;Start;Duration (ms);Branch
17;nightly;SUCCESS;2026-01-21 01:00:00;93500,5;main
18;nightly;FAILURE;2026-01-21 02:00:00;93500;main
19;hourly;ABORTED;2026-01-21 02:00:00;;dev
"""
DAYS = "id,dag_id,success,execution_date,end_date,runtime\n" + "".join(
    f"{n},load,{ok},21.01.2026 1{n}:00,21.01.2026 1{n}:05,00:05:00\n" for n, ok in ((1, "true"), (2, "false"))
)
CRON = "\n".join(
    json.dumps({"job": "backup", "exit_code": n % 2, "begin": f"2026-01-2{n}T00:00:00Z", "took_seconds": 12.5})
    for n in range(1, 5)
)
SCORES = "Day,Who,Points\n2026-01-21,ab,7.50\n2026-01-22,cd,7.6\n"
OWN = "\n".join(
    json.dumps({"execution_id": f"r{n}", "workflow_id": "w", "status": "success", "started_at": "2026-01-21T00:00:00Z",
                "finished_at": "2026-01-21T00:01:44Z", "duration_ms": 104567})
    for n in range(3)
)  # fmt: skip


def run(file: Path, *flags: str) -> Result:
    return CliRunner().invoke(command, [str(file), *flags])


def proposal(tmp_path: Path, content: str) -> tuple[str, dict[str, Any]]:
    """The proposed mapping, and the summary of `validate` with it."""
    file, saved = tmp_path / "history", tmp_path / "mapping.toml"
    file.write_text(content)
    result = run(file, "--suggest")
    assert result.exit_code == 0, result.output
    saved.write_text(result.stdout)
    return result.stdout, json.loads(run(file, "--map", str(saved), "--json").stdout.splitlines()[-1])


PROPOSED: dict[str, tuple[str, dict[str, int], list[str]]] = {
    "list in an object": (
        json.dumps({"total": 3, "data": {"runs": RUNS}}, indent=1),
        {"completion": 3},
        ['each = "data.runs"', 'started_at = { field = "startedAt", unit = "ms" }'],
    ),
    "array": (
        json.dumps(RUNS),
        {"completion": 3},
        ['workflow_id = "pipeline.name"', 'branch = "git.branch"', 'failed = "failure"'],
    ),
    "lines": (
        "\n".join(map(json.dumps, RUNS)),
        {"completion": 3},
        ['execution_id = "uuid"', 'duration_s = { field = "elapsed", unit = "s" }'],
    ),
    "table": (
        TABLE,
        {"completion": 3},
        ['started_at = { field = "Start", zone = "UTC" }', 'duration_s = { field = "Duration (ms)", unit = "ms" }'],
    ),
    "dates and flags": (
        DAYS,
        {"completion": 2},
        [
            'started_at = { field = "execution_date", format = "%d.%m.%Y %H:%M", zone = "UTC" }',
            'false = "failure"',
        ],
    ),
    "exit codes": (
        CRON,
        {"completion": 4},
        ['execution_id = "{job}@{begin}"', '0 = "success"', '"*" = "failure"'],
    ),
    "scores": (SCORES, {"score": 2}, ['kind = "score"', 'entity_id = "Who"']),
    "ours with duration_ms": (OWN, {"completion": 3}, ['duration_s = { field = "duration_ms", unit = "ms" }']),
}


@pytest.mark.parametrize(("content", "events", "lines"), PROPOSED.values(), ids=PROPOSED)
def test_x23_the_proposal_used_unchanged_reads_the_file(
    tmp_path: Path, content: str, events: dict[str, int], lines: list[str]
) -> None:
    text, summary = proposal(tmp_path, content)
    assert (summary["events"], summary["refused"]) == (events, 0)
    assert not [line for line in lines if line not in text.splitlines()], text


def test_x23_what_was_not_found_is_named(tmp_path: Path) -> None:
    file = tmp_path / "history.csv"
    file.write_text("a,b,c\n1,2,3\n")
    result = run(file, "--suggest")
    assert result.exit_code == 1 and "no field looks like a status" in result.stderr
    file.write_text("Build;Job;Status;Started\n1;night;erfolgreich;28.11.2026 02:00\n2;night;rot;29.11.2026 02:00\n")
    result = run(file, "--suggest")
    assert result.exit_code == 1
    assert '"Status" may be the status, but its words are not known: "erfolgreich", "rot"' in result.stderr
    file.write_text("just a text\n")
    result = run(file, "--suggest")
    assert result.exit_code == 2 and "neither JSON nor a table" in result.stderr


@pytest.mark.parametrize(
    ("name", "is_marked"),
    [("took", True), ("duration", True), ("duration_s", False), ("elapsed_seconds", False), ("duration_ms", False)],
)
def test_x23_a_unit_that_nothing_gives_is_marked(tmp_path: Path, name: str, is_marked: bool) -> None:
    file = tmp_path / "history.csv"
    rows = "".join(f"{number},night,ok,2026-01-2{number}T00:00:00Z,5000\n" for number in range(3))
    file.write_text(f"id,job,status,end,{name}\n{rows}")
    (line,) = [line for line in run(file, "--suggest").stdout.splitlines() if line.startswith("duration_s")]
    assert line.endswith("  # check: the unit") is is_marked


def test_x23_an_unknown_word_of_status_is_marked_and_what_is_not_read_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    words = ("ok", "odd", "failed")
    file.write_text("\n".join(json.dumps(one | {"state": word}) for one, word in zip(RUNS, words, strict=True)))
    result = run(file, "--suggest")
    assert 'odd = "error"  # unknown word' in result.stdout and "it reads 3 events" in result.stderr
    file.write_text("\n".join([*map(json.dumps, RUNS), json.dumps(RUNS[0] | {"startedAt": "soon"}), "{"]))
    result = run(file, "--suggest")
    assert result.exit_code == 1


def test_x23_the_command_takes_standard_input_and_names_a_bad_mapping(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["-", "--suggest"], input=CRON)
    assert result.exit_code == 0 and "it reads 4 events of -" in result.stderr
    (tmp_path / "m.toml").write_text("status = 1")
    file = tmp_path / "history.jsonl"
    file.write_text(CRON)
    result = run(file, "--map", str(tmp_path / "m.toml"))
    assert result.exit_code == 2 and "status must be the name of a field" in result.stderr
