"""The scoreboard: NAB's rules by hand, injections and their judgement, and a whole run on a small folder."""

import csv
import json
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from benchmarks import injected, nab, quality

pytestmark = pytest.mark.drill

START = datetime(2026, 1, 1, tzinfo=UTC)


def series(rows: int, *windows: tuple[int, int]) -> nab.Series:
    return nab.Series("s", [n * 300_000 for n in range(rows)], [1.0] * rows, list(windows))


def at(rows: int, *hits: int) -> list[float]:
    return [1.0 if row in hits else 0.0 for row in range(rows)]


def test_the_sigmoid_is_naps_own():
    assert nab.sigmoid(0.0) == 0.0
    assert nab.sigmoid(-1.0) == pytest.approx(0.98661, abs=1e-5)
    assert nab.sigmoid(3.1) == -1.0


def test_a_detector_that_says_nothing_has_0_and_a_perfect_one_100():
    corpus = [series(1000, (300, 399), (700, 799)), series(500)]
    nothing = [[0.0] * 1000, [0.0] * 500]
    assert nab.score(corpus, nothing) == {"standard": 0.0, "low_fp": 0.0, "low_fn": 0.0}
    perfect = [at(1000, 300, 700), [0.0] * 500]
    assert nab.score(corpus, perfect) == {"standard": 100.0, "low_fp": 100.0, "low_fn": 100.0}


def test_the_earliest_detection_of_a_window_counts():
    corpus = [series(1000, (300, 399))]
    early, late = (nab.score(corpus, [at(1000, hit, 399)])["standard"] for hit in (300, 380))
    assert early == 100.0
    expected = nab.sigmoid(-(399 - 380 + 1) / 100) / nab.sigmoid(-1.0)
    assert late == pytest.approx(100 * (1 + expected) / 2)


def test_a_false_alarm_costs_its_weight_and_less_just_after_a_window():
    corpus = [series(1000, (300, 399))]
    before = nab.score(corpus, [at(1000, 250, 300)])
    assert before["standard"] == pytest.approx(100 * (2 - 0.11) / 2)
    assert before["low_fp"] == pytest.approx(100 * (2 - 0.22) / 2)
    after = nab.score(corpus, [at(1000, 300, 405)])["standard"]
    assert before["standard"] < after < 100.0


def test_the_first_rows_are_for_learning():
    corpus = [series(1000, (300, 399))]
    assert nab.score(corpus, [at(1000, 10, 149, 300)])["standard"] == 100.0
    assert nab.score(corpus, [at(1000, 150, 300)])["standard"] < 100.0
    assert series(100_000).probation == 750


def test_one_threshold_serves_every_file():
    loud, quiet = series(1000, (300, 399)), series(1000, (300, 399))
    detections = [[10 * value for value in at(1000, 300)], [0.5 if n in (250, 300) else 0.0 for n in range(1000)]]
    assert nab.score([loud, quiet], detections)["standard"] == pytest.approx(100 * (4 - 0.11) / 4)


def test_the_windowed_gaussian_sees_what_is_far():
    random = Random(1)
    scores = nab.windowed_gaussian([random.gauss(0, 1) for _ in range(7000)] + [9.0])
    assert scores[0] == 0.0
    assert scores[-1] > 0.999999
    assert sum(scores) / len(scores) == pytest.approx(0.75, abs=0.02)


def lane(rows: int, *injections: tuple[int, int]) -> injected.Lane:
    runs = [injected.Run(START + timedelta(hours=n), 1.0, False) for n in range(rows)]
    return injected.Lane("k", runs, [injected.Injected(start, end, end + 10) for start, end in injections])


def test_hits_false_alarms_and_delay():
    judged = injected.tally(lane(200, (100, 110)), [10, 20, 26, 103, 105, 115, 150])
    assert (judged.asked, judged.found, judged.false, judged.delay) == (1, 1, 3, 4.0)
    assert judged.per_1000 == 15.0
    assert judged.precision == 0.25
    assert judged.f1 == pytest.approx(2 * 0.25 / 1.25)


def test_an_interval_lies_around_its_figure():
    tallies = [injected.Tally(10, n % 10, 2, 100) for n in range(40)]
    low, high = injected.interval(tallies, lambda one: one.recall)
    assert low <= sum(tallies, injected.Tally()).recall <= high


def keys(rows: int = 400, count: int = 3) -> dict[str, list[injected.Run]]:
    random = Random(2)
    return {
        f"k{n}": [
            injected.Run(START + timedelta(hours=6 * row), random.lognormvariate(1, 0.1), random.random() < 0.02)
            for row in range(rows)
        ]
        for n in range(count)
    }


@pytest.mark.parametrize("multiplied", [False, True])
def test_injected_runs_are_longer_and_the_rest_is_as_it_was(multiplied):
    whole = keys()
    for one in injected.with_durations(whole, 1, multiplied=multiplied):
        changed = {row for item in one.injected for row in range(item.start, item.end)}
        assert changed
        for row, (before, after) in enumerate(zip(whole[one.key], one.runs, strict=True)):
            assert (after.duration_s > before.duration_s) is (row in changed)


def test_short_tests_are_left_out():
    whole = {"short": [injected.Run(START, 0.01, False)] * 400}
    assert injected.with_durations(whole, 0, multiplied=False) == []


def write(folder, name, header, rows):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(header)
        table.writerows(rows)
    return path


@pytest.fixture
def folder(tmp_path):
    rows = [
        ["env", row, key, run.at.strftime("%Y-%m-%d %H:%M:%S.%f"), run.duration_s, int(run.failed)]
        for key, runs in keys().items()
        for row, run in enumerate(runs)
    ]
    write(tmp_path, "ci/mine.csv", ["environment", "build_id", "test_id", "ran_at", "duration_s", "failed"], rows)
    scores = [
        ["2020-1", "2020-01-01", "A", "5.0"],
        ["2020-2", "2020-01-02", "A", "5.5"],
        ["2020-3", "2020-01-03", "A", "5.7"],
    ]
    write(tmp_path, "polls.csv", ["run_id", "date", "entity_name", "score"], scores)
    random = Random(3)
    values = [
        [f"2014-04-01 {n // 60 % 24:02}:{n % 60:02}:00", random.gauss(50, 1) + (40 if n == 900 else 0)]
        for n in range(1000)
    ]
    write(tmp_path, "nab/real/one.csv", ["timestamp", "value"], values)
    labels = tmp_path / "nab" / "labels" / "combined_windows.json"
    labels.parent.mkdir()
    labels.write_text(json.dumps({"real/one.csv": [[f"{values[880][0]}.000000", f"{values[930][0]}.000000"]]}))
    return tmp_path


def test_the_scoreboard_reads_any_folder(folder, capsys):
    quality.main(["--data", str(folder), "--json", "--seeds", "1"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result) == {"mine", "multiplied", "bursts", "nab", "scores", "cost_us_per_event", "state_bytes_max"}
    assert set(result["mine"]) == {"classic", "robust"}
    assert result["mine"]["robust"]["f1"] > result["mine"]["classic"]["f1"]
    assert set(result["bursts"]["mine"]) == {"precision", "recall", "delay", "classic"}
    assert result["scores"] == {
        "expected": 1,
        "found": 1,
        "extra": 0,
        "rounded": {"expected": 1, "found": 1, "extra": 0},
    }
    assert result["nab"]["standard"] > 50
    assert 0 < result["state_bytes_max"] <= 1024 + 160  # with a schedule


def test_peers_stand_beside_ours(folder, capsys):
    quality.main(["--data", str(folder), "--seeds", "1", "--peers"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"river GaussianScorer", "river HalfSpaceTrees", "river ADWIN", "river PageHinkley"} < set(result["mine"])
    assert result["nab"]["peers"]["null"]["standard"] == 0.0


def test_a_folder_that_is_not_there_is_said(tmp_path, capsys):
    with pytest.raises(SystemExit):
        quality.main(["--data", str(tmp_path / "none")])
    assert "is no folder" in capsys.readouterr().err
