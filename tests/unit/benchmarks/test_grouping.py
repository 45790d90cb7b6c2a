"""The count of messages on a history made for it: ten tests that slow down in one build, and one that does so alone."""

import csv
import gzip
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.grouping import Told, events_of, figures, found_in, tell
from benchmarks.measure import WrongResultError
from stream_detector.notify.config import Route
from stream_detector.notify.shared_facets import GROUP_BY

pytestmark = pytest.mark.drill

UNLIMITED = 10**6
ALONE = Route(name="alone", rate_limit_count=UNLIMITED)
TOGETHER = Route(name="together", rate_limit_count=UNLIMITED, group_by=GROUP_BY, group_wait_s=30, group_interval_s=300)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "ci.csv.gz"
    with gzip.open(path, "wt", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["environment", "build_id", "test_id", "ran_at", "duration_s", "failed"])
        for build in range(80):
            at = datetime(2026, 1, 1) + timedelta(hours=build)
            for test in range(12):
                slow = (build == 60 and test < 10) or (build == 70 and test == 11)
                rows.writerow(["e", build, test, at, 40.0 if slow else 10 + (build * 7 + test) % 5 / 10, 0])
    return path


def test_ten_that_open_in_one_build_are_one_message_and_one_end(history: Path) -> None:
    anomalies = found_in(events_of(history), "robust")
    alone, together = tell(anomalies, ALONE), tell(anomalies, TOGETHER)
    assert alone == Told(messages=22, openings=11, opened=11, lone=11)
    assert together == Told(messages=4, openings=2, opened=11, lone=1)
    assert figures(alone, together, builds=2) == {
        "alone": {"messages": 22, "openings": 11, "opened": 11, "lone": 11},
        "together": {"messages": 4, "openings": 2, "opened": 11, "lone": 1},
        "fewer": 5.5,
        "fewer_openings": 5.5,
        "fewer_openings_by_build": 5.5,
    }


def test_a_message_that_is_lost_gives_no_figure(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_detector.notify.forecast.accept", lambda *_: [])
    with pytest.raises(WrongResultError):
        tell(found_in(events_of(history), "robust"), TOGETHER)
