"""`stream-detector replay`: counts as a table, anomalies as JSON lines, no server."""

import csv
import gzip
import json
import random
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from click.testing import CliRunner

from stream_detector.cli import main
from stream_detector.events import Completion
from stream_detector.events.encode import encode
from tests.events_made import NOON, completion
from tests.unit.detect.events_of import HUNDRED_TEN, feed, found, outcomes, run, runs, score, workflow


@pytest.fixture
def history(tmp_path):
    events = [*runs(HUNDRED_TEN), run(11, 252.0), *outcomes("FFFFFS", 12)]
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"\n".join([*map(encode, events), b"{not json", b'{"run_id":"r"}']) + b"\n")
    return path, events


def replay(*arguments: str, code: int = 0):
    result = CliRunner().invoke(main, ["replay", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_json_lines_are_the_anomalies_of_step(history):
    path, events = history
    lines = replay(str(path), "--profile", "classic", "--json").stdout.splitlines()
    expected = found(feed(workflow(), events))
    assert [json.loads(line)["id"] for line in lines] == [one.id for one in expected]
    assert {json.loads(line)["execution_id"] for line in lines} == {one.execution_id for one in expected}


def test_the_table_counts_by_type_severity_and_key(history):
    shown = replay(str(history[0]), "--profile", "classic").stdout
    assert "UnusualExecutionTime" in shown
    assert "classic: events: 18 applied; incidents resolved: 1" in shown
    assert "messages at severity warning or higher as the notifier would send them" in shown
    assert "workflow:nightly" in shown
    assert "rejected: " in shown


def test_profiles_side_by_side_and_settings(history):
    shown = replay(str(history[0]), "--compare", "classic,robust", "--set", "notify_severity=critical").stdout
    assert "classic: messages at severity critical or higher" in shown
    assert "robust: messages at severity critical or higher" in shown


def test_score_runs_are_told_as_one_message_each(tmp_path):
    path = tmp_path / "scores.jsonl"
    scores = [score("7.5", 0, run_id="q"), score("5.8", 1, run_id="r")]
    end = b'{"run_id":"r","status":"completed","at":"2026-01-02T00:01:00Z"}'
    path.write_bytes(b"\n".join([*map(encode, scores), end]) + b"\n")
    shown = " ".join(replay(str(path)).stdout.split())
    assert "within the rate limit: slack 1 (2 score runs)" in shown
    assert "SignificantScoreChange" not in replay(str(path), "--set", "score_threshold=2").stdout


def test_scores_without_a_run_are_counted_as_the_one_message_that_is_sent(tmp_path):
    path = tmp_path / "scores.jsonl"
    entities = "abcdefghijklmn"
    first = [score("5", 0, entity_id=one, entity_name=one) for one in entities]
    moved = [score("7", 1 + n / 86_400, entity_id=one, entity_name=one) for n, one in enumerate(entities)]
    path.write_bytes(b"\n".join(encode(each) for each in first + moved) + b"\n")
    shown = " ".join(replay(str(path)).stdout.split())
    assert "SignificantScoreChange" in shown
    assert "within the rate limit: slack 1 (2 score runs)" in shown


def test_the_rate_limit_and_its_digest_are_part_of_the_forecast(tmp_path):
    path = tmp_path / "history.jsonl"
    events = [
        run(n, 100.0, "failure" if n % 20 >= 17 else "success", workflow_id=f"w{w}")
        for w in range(8)
        for n in range(20)
    ]
    path.write_bytes(b"\n".join(encode(each) for each in sorted(events, key=lambda each: each.finished_at)) + b"\n")
    alone = "group_by=none"
    many = " ".join(replay(str(path), "--set", alone, "--set", "rate_limit_count=100").stdout.split())
    few = " ".join(replay(str(path), "--set", alone, "--set", "rate_limit_count=2").stdout.split())
    assert "within the rate limit: slack 8" in many
    assert "within the rate limit: slack 3" in few, "two and the digest of the rest"


def test_an_entity_missing_from_a_run_is_told_by_replay(tmp_path):
    path = tmp_path / "scores.jsonl"
    lines = []
    for day, (run_id, entities) in enumerate({"r1": "abc", "r2": "ab", "r3": "a"}.items()):
        lines += [encode(score("5", day, entity_id=one, run_id=run_id)) for one in entities]
        expected = max(2, len(entities))  # of r3 the other one never comes: reported at the end of the file
        end = {"run_id": run_id, "status": "completed", "at": f"2026-01-0{day + 1}T00:00:00Z", "expected": expected}
        lines.append(json.dumps(end).encode())
    path.write_bytes(b"\n".join(lines) + b"\n")
    told = [json.loads(line) for line in replay(str(path), "--json").stdout.splitlines()]
    assert [(one["anomaly_type"], one["run_id"], one["entity_id"]) for one in told] == [
        ("PatternDeviation", "r2", "c"),
        ("PatternDeviation", "r3", "b"),
    ]
    assert "PatternDeviation" in replay(str(path)).stdout


def test_a_ci_table_is_read_by_test_or_by_build(tmp_path):
    path = tmp_path / "ci.csv.gz"
    with gzip.open(path, "wt", newline="") as file:
        table = csv.writer(file)
        table.writerow(["environment", "build_id", "test_id", "ran_at", "duration_s", "failed"])
        for build in range(4):
            at = run(build).finished_at + timedelta(hours=build)
            for test in range(2):
                table.writerow(["e", build, test, at.strftime("%Y-%m-%d %H:%M:%S.%f"), 1.5, 0])
    assert "events: 8 applied" in replay(str(path)).stdout
    assert "events: 4 applied" in replay(str(path), "--builds").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "threshold"], "must be NAME=VALUE"),
        (["--set", "nothing=1"], "must be NAME=VALUE"),
        (["--compare", "classic,plain"], "classic or robust"),
        (["--set", "score_threshold=nan"], "positive"),
    ],
)
def test_a_wrong_word_exits_with_2(history, arguments, message):
    assert message in replay(str(history[0]), *arguments, code=2).output


def test_a_file_of_no_known_format_exits_with_2(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello\nworld\n")
    assert "neither JSON Lines nor a known CSV format" in replay(str(path), code=2).output


def test_an_empty_result_is_a_table_too(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_bytes(encode(run(0)) + b"\n")
    assert "robust: events: 1 applied" in replay(str(path)).stdout


def test_single_workflows_may_have_another_profile(history):
    lines = replay(str(history[0]), "--set", "profile_rules=night* -> classic", "--json").stdout.splitlines()
    assert {json.loads(line)["profile"] for line in lines} == {"classic"}
    assert "PATTERN -> PROFILE" in replay(str(history[0]), "--set", "profile_rules=night*", code=2).output


def mixed(draw: random.Random, *, slow_from: int = 28, failing_from: int = 28) -> Iterator[Completion]:
    """Four weeks of a project with ten pushes a day of 60 s and a nightly of 11 minutes."""
    for day in range(28):
        for n in range(11):
            trigger, duration_s = ("push", 60.0) if n else ("schedule", 660.0)
            duration_s *= draw.lognormvariate(0.0, 0.06) * (3 if n and day >= slow_from else 1)
            yield completion(
                f"{day}-{n}",
                "acme/shop",
                finished_at=NOON + timedelta(days=day, hours=n),
                duration_s=round(duration_s),
                status="failure" if not n and day >= failing_from else "success",
                labels={"trigger": trigger, "branch": "main"},
            )


@pytest.mark.parametrize("seed", range(2))
def test_x21_variant_by_shows_what_one_baseline_hides(tmp_path, seed):
    """Those of the cases `replay_m_gl_nightly_fails_mixed` and `replay_m_gl_push_3x_mixed`."""
    path, by = tmp_path / "mixed.jsonl", ("--json", "--set", "variant_by=trigger")
    path.write_bytes(b"\n".join(map(encode, mixed(random.Random(seed), failing_from=21))))
    found = [json.loads(line) for line in replay(str(path), *by).stdout.splitlines()]
    assert [(one["anomaly_type"], one["severity"], one["variant"]) for one in found] == [
        ("ConsecutiveFailures", "warning", "schedule"),
        ("ConsecutiveFailures", "critical", "schedule"),
    ]
    assert not replay(str(path), "--json").stdout
    path.write_bytes(b"\n".join(map(encode, mixed(random.Random(seed), slow_from=21))))
    shown = replay(str(path), *by)
    found = [json.loads(line) for line in shown.stdout.splitlines()]
    assert {one["variant"] for one in found} == {"push"}
    assert "PerformanceDegradation" in {one["anomaly_type"] for one in found}
    sent = re.search(r"slack (\d+)", shown.stderr)
    assert sent and 1 <= int(sent.group(1)) <= 4
    assert not replay(str(path), "--json").stdout
