import json
from pathlib import Path

from click.testing import CliRunner, Result

from stream_detector.cli.validate import command
from tests.unit.events.samples import completion, score


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
