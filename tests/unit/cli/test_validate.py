import json
from pathlib import Path

from click.testing import CliRunner, Result

from stream_detector.cli.validate import command
from tests.unit.events.samples import completion, score
from tests.unit.events.source_matrix import PAYLOADS


def validate(file: Path, *flags: str) -> Result:
    return CliRunner().invoke(command, [str(file), *flags])


def test_good_lines_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion() + b"\n" + score() + b"\n" + score())
    result = validate(file)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{file}: 1 completion, 2 scores valid, 0 rejected",
        "1 duration computed as finished_at - started_at (no duration_s)",
    ]


def test_x4_it_says_when_no_event_has_a_duration_and_how_many_were_computed(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion(duration_s=None) + b"\n" + completion(duration_s=0))
    assert "no event has a duration, so slow executions cannot be found" in validate(file).stdout
    file.write_bytes(b"\n".join([completion(), completion(), completion(duration_s=3), completion(duration_s=None)]))
    result = validate(file)
    assert "2 durations computed" in result.stdout and "no event" not in result.stdout
    summary = json.loads(validate(file, "--json").stdout.splitlines()[-1])
    assert summary["durations"] == {"computed": 2, "given": 1, "none": 1}


def test_x4_it_counts_what_has_no_duration_and_why(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    at = "2026-01-22T00:00:00Z"
    lines = [
        completion(),
        completion(started_at=at, finished_at=at),
        completion(duration_s=0),
        completion(duration_s=0.0),
        completion(duration_s=None),
    ]
    file.write_bytes(b"\n".join(lines))
    assert validate(file).stdout.splitlines()[1:] == [
        "1 duration computed as finished_at - started_at (no duration_s)",
        "4 completions without a duration (2 with duration_s 0, 1 with started_at = finished_at and no duration_s, "
        "1 with duration_s null): evaluated by the outcome alone",
    ]
    summary = json.loads(validate(file, "--json").stdout)
    assert summary["durations"] == {"computed": 1, "none": 4}
    assert summary["without_duration"] == {"zero": 2, "equal_times": 1, "null": 1}
    file.write_bytes(completion(duration_s=None))
    assert "1 completion without a duration (1 with duration_s null)" in validate(file).stdout
    file.write_bytes(completion(duration_s=3) + b"\n" + score())
    assert "without" not in validate(file).stdout and "without" not in validate(file, "--json").stdout


def test_each_bad_line_is_named_with_reason_and_advice(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion() + b"\n\n" + score('"5,8"') + b"\nhello\n")
    result = validate(file)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{file}:3: bad_number: $.score: the text is not a number; send it as, for example, 7.5",
        f"{file}:4: not_json: not JSON; send one JSON object as the record's value",
        f"{file}: 1 completion valid, 2 rejected",
        "1 duration computed as finished_at - started_at (no duration_s)",
    ]


def test_ids_that_look_the_same_are_reported_and_kept_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    ids = ["caf\u00e9", "cafe\u0301", "nightly build", "nightly\u00a0build", "nightly build ", "other", "Other"]
    file.write_bytes(b"\n".join([*(completion(workflow_id=each) for each in ids), score(entity_id="other")]))
    result = validate(file)
    assert result.exit_code == 0
    shown = [line for line in result.stdout.splitlines() if "look the same" in line]
    assert len(shown) == 2 and all(line.isascii() for line in shown)
    assert '"cafe\\u0301" and "caf\\u00e9" look the same' in shown[0]
    assert '"nightly build" and "nightly build " and "nightly\\u00a0build"' in shown[1]
    summary = json.loads(validate(file, "--json").stdout.splitlines()[-1])
    assert summary["lookalikes"] == [
        ["cafe\u0301", "caf\u00e9"],
        ["nightly build", "nightly build ", "nightly\u00a0build"],
    ]
    file.write_bytes(completion(workflow_id="caf\u00e9"))
    assert "lookalikes" not in validate(file, "--json").stdout and "look the same" not in validate(file).stdout


def test_what_a_rejected_line_holds_cannot_steer_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion(status="\u202efailed\u001b[2J\u2028x"))
    result = validate(file)
    assert result.exit_code == 1 and len(result.stdout.splitlines()) == 2
    assert not set(result.stdout) & set("\u202e\x1b\u2028")


def test_json_is_a_line_for_each_bad_one_and_a_summary(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion() + b"\n" + score("NaN"))
    result = validate(file, "--json")
    assert result.exit_code == 1
    bad, summary = map(json.loads, result.stdout.splitlines())
    assert (bad["line"], bad["stage"], bad["reason"]) == (2, "decode", "bad_number")
    assert summary == {
        "events": {"completion": 1},
        "refused": 1,
        "reasons": {"bad_number": 1},
        "durations": {"computed": 1},
    }


def test_a_ci_table_as_builds(tmp_path: Path) -> None:
    file = tmp_path / "ci.csv"
    rows = "linux,7,1,2026-01-21 10:00:00,1.5,0\nlinux,7,2,2026-01-21 10:00:00,2,1\n"
    file.write_text("environment,build_id,test_id,ran_at,duration_s,failed\n" + rows)
    assert "2 completions" in validate(file).stdout
    assert "1 completion valid" in validate(file, "--builds").stdout


def test_a_file_that_is_none_of_ours_is_wrong_usage(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("a,b\n1,2\n")
    result = validate(file)
    assert result.exit_code == 2
    assert "neither JSON Lines nor a known CSV format" in result.stderr
    assert validate(tmp_path / "nowhere").exit_code == 2


def test_x20_fields_that_are_ignored_are_named_with_the_field_that_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion(duration_ms=298400, team="core") + b"\n" + completion(Workflow_Name="Nightly", foo=1))
    result = validate(file)
    assert result.exit_code == 0
    assert (
        "the field duration_ms is ignored (1 completion): did you mean duration_s, in seconds? "
        'A mapping (--map) of the line duration_s = { field = "duration_ms", unit = "ms" } converts it' in result.stdout
    )
    assert "the field Workflow_Name is ignored (1 completion): did you mean workflow_name?" in result.stdout
    assert "the field foo is ignored (1 completion)\n" in result.stdout
    summary = json.loads(validate(file, "--json").stdout)
    assert summary["unknown_fields"] == {"duration_ms": 1, "team": 1, "Workflow_Name": 1, "foo": 1}
    assert len(summary["warnings"]) == 4
    table = tmp_path / "history.csv"
    table.write_text(
        "execution_id,workflow_id,status,started_at,finished_at,duration_ms\n"
        "r-1,nightly,success,2026-01-20T00:00:00Z,2026-01-20T00:05:00Z,298400\n"
    )
    assert "the field duration_ms is ignored (1 completion): did you mean duration_s" in validate(table).stdout


def test_x20_whole_seconds_and_ids_that_never_come_again_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(b"\n".join(completion(execution_id=str(n), workflow_id=f"build-{n}") for n in range(3)))
    shown = validate(file).stdout
    assert "all times are in whole seconds" in shown and "each execution has a workflow_id of its own" in shown
    fine = [completion(execution_id=str(n), started_at="2026-01-22T00:00:00.5Z") for n in range(3)]
    file.write_bytes(b"\n".join(fine))
    assert "whole seconds" not in validate(file).stdout and "of its own" not in validate(file).stdout
    file.write_bytes(b"\n".join(completion(execution_id=str(n), duration_s=n + 1) for n in range(3)))
    assert "whole seconds" not in validate(file).stdout
    file.write_bytes(b"\n".join(score(entity_id=str(n), run_id=str(n)) for n in range(3)))
    assert "each score has an entity_id of its own" in validate(file).stdout
    file.write_bytes(b"\n".join(score(entity_id=str(n), run_id="1") for n in range(3)))
    assert "of its own" not in validate(file).stdout


def test_x20_standard_input_an_encoding_and_a_note(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["-"], input=b"[" + completion() + b"]")
    assert result.exit_code == 0 and result.stdout.startswith("-: 1 completion valid")
    file = tmp_path / "history.jsonl"
    file.write_bytes(completion().decode().encode("utf-16"))
    result = validate(file)
    assert result.exit_code == 0 and result.stderr == f"{file} is read as UTF-16\n"
    file.write_text("entity_id,entity_name,score,scored_at\n\u00c4re,A,7.5,2026-01-22T00:00:00Z\n", "cp1252")
    result = validate(file)
    assert result.exit_code == 1 and f"{file}:2: not_utf8: " in result.stdout and "--encoding cp1252" in result.stdout
    assert validate(file, "--encoding", "cp1252").exit_code == 0


def test_x20_ids_that_are_made_of_a_payload_are_not_taken_for_those_of_single_runs(tmp_path: Path) -> None:
    file = PAYLOADS / "dbt_run_results.json"
    result = validate(file, "--models")
    assert "3 completions valid" in result.stdout and "workflow_id of its own" not in result.stdout
    own = tmp_path / "own.jsonl"
    own.write_bytes(b"\n".join(completion(workflow_id=f"w-{number}") for number in range(3)))
    assert "workflow_id of its own" in validate(own).stdout


def test_x20_the_zone_of_test_reports_is_an_option(tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    file.write_text('<testsuite name="a" timestamp="2026-01-22T00:05:00"><testcase name="t" time="1"/></testsuite>')
    assert validate(file, "--zone", "Europe/Berlin").exit_code == 0
    refused = validate(file, "--zone", "Mars/Olympus")
    assert refused.exit_code == 2 and "Europe/Berlin" in refused.output
