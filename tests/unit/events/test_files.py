import gzip
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import UNSET

from stream_detector.events import Completion, Score, ScoreRun
from stream_detector.events.completion import recorded_duration_s
from stream_detector.events.decode import decode_completion
from stream_detector.events.documents import MAX_BYTES
from stream_detector.events.files import HistoryError, read_history
from stream_detector.events.inputs import INPUT_TOPICS
from stream_detector.events.lines import Line
from stream_detector.kafka import topics
from tests.unit.events.samples import AT_MS, completion, score, score_run

CI = """environment,build_id,test_id,ran_at,duration_s,failed
linux,7,1,2026-01-21 10:00:00.5,1.5,0
linux,7,2,2026-01-21 10:00:00.5,2,1
linux,8,1,2026-01-21 11:00:00,0.25,0
linux,7,1,2026-01-21 12:00:00,1,0
"""
POLLS = """run_id,date,entity_name,score
a,2026-01-20,Lido,7.50
a,2026-01-20,Balancer,5.0
b,2026-01-21,Lido,5.8
"""


def read(folder: Path, content: str | bytes, name: str = "history.csv", *, builds: bool = False) -> list[Line]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_history(path, record_ms=AT_MS, builds=builds))


def test_json_lines_of_every_kind_keep_their_bytes(tmp_path: Path) -> None:
    values = [completion(later=1), score("7.50"), score_run()]
    lines = read(tmp_path, b"\xef\xbb\xbf" + values[0] + b"\r\n\n" + values[1] + b"\n" + values[2])
    assert [(line.number, line.kind, line.value) for line in lines] == [
        (1, "completion", values[0]),
        (3, "score", values[1]),
        (4, "score_run", values[2]),
    ]
    assert [line.key for line in lines] == [b"nightly", b"lido", b"r1"]


def test_gzip_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    assert len(read(tmp_path, gzip.compress(completion() + b"\n" + score()), "any.name")) == 2


def test_a_cloud_event_is_known_by_its_data(tmp_path: Path) -> None:
    envelope = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + score() + b"}"
    (line,) = read(tmp_path, envelope)
    assert (line.kind, line.key, line.value) == ("score", b"lido", envelope)


def test_bad_lines_carry_their_number_and_the_rest_goes_on(tmp_path: Path) -> None:
    content = b"\n".join(
        [
            completion(duration_s="fast"),
            b"{",
            b'{"a":1}',
            completion(more="x" * MAX_BYTES),
            b'{"entity_id":"a"}',
            b'"\xff"',
            completion(finished_at="2027-01-01T00:00:00Z"),
            completion(),
        ]
    )
    reasons = [(line.number, line.error and line.error.reason) for line in read(tmp_path, content)]
    assert reasons == [
        (1, "bad_number"),
        (2, "not_json"),
        (3, "unsupported_format"),
        (4, "too_large"),
        (5, "missing_field"),
        (6, "not_utf8"),
        (7, "future"),
        (8, None),
    ]


def test_x11_what_is_published_now_has_no_start_as_its_timestamp(tmp_path: Path) -> None:
    """On Kafka such a record may be one that is stamped with its start; a line of a file is not."""
    long = completion(started_at="2026-01-22T00:05:00Z", finished_at="2026-01-22T09:00:00Z")
    assert decode_completion(long, (), AT_MS).finished_at.hour == 9
    (line,) = read(tmp_path, long)
    assert line.error is not None and line.error.reason == "future"


def test_x4_an_empty_cell_is_no_duration_and_a_missing_column_leaves_it_to_the_times(tmp_path: Path) -> None:
    fields = "1,w,success,2026-01-22T00:00:00Z,2026-01-22T00:01:00Z"
    (empty,) = read(tmp_path, f"execution_id,workflow_id,status,started_at,finished_at,duration_s\n{fields},\n")
    (absent,) = read(tmp_path, f"execution_id,workflow_id,status,started_at,finished_at\n{fields}\n")
    assert isinstance(empty.event, Completion) and isinstance(absent.event, Completion)
    assert (empty.event.duration_s, absent.event.duration_s) == (None, UNSET)
    assert (recorded_duration_s(empty.event), recorded_duration_s(absent.event)) == (0.0, 60.0)


def test_a_table_of_completions(tmp_path: Path) -> None:
    content = (
        "execution_id,workflow_id,status,started_at,finished_at,duration_s,attempt,label.team,ignored\n"
        "1,w,success,2026-01-22T00:00:00Z,2026-01-22T00:01:00Z,59.5,2,core,x\n"
        "2,w,failure,2026-01-22T00:00:00Z,2026-01-22T00:01:00Z,,,,\n"
        "3,w,failure,2026-01-22T00:00:00,2026-01-22T00:01:00Z,,,,\n"
        "4,w,failure,2026-01-22T00:00:00Z,2026-01-22T00:01:00Z,fast,,,\n"
        "5,w\n"
    )
    first, second, *bad = read(tmp_path, content)
    assert isinstance(first.event, Completion) and isinstance(second.event, Completion)
    assert (first.event.duration_s, first.event.attempt, first.event.labels) == (59.5, 2, {"team": "core"})
    assert (second.event.duration_s, second.event.attempt, second.event.labels) == (None, 1, {})
    assert [(line.number, line.error and line.error.reason) for line in bad] == [
        (4, "no_zone"),
        (5, "bad_number"),
        (6, "missing_field"),
    ]


def test_a_table_of_scores_keeps_decimals(tmp_path: Path) -> None:
    content = "entity_id,entity_name,score,scored_at,previous_score\nlido,Lido,7.50,2026-01-22T00:00:00Z,\n"
    (line,) = read(tmp_path, content)
    assert isinstance(line.event, Score)
    assert str(line.event.score) == "7.50"


def test_ci_rows_are_executions_of_finer_workflows(tmp_path: Path) -> None:
    events = [line.event for line in read(tmp_path, CI)]
    assert all(isinstance(event, Completion) for event in events)
    seen = [(e.workflow_id, e.execution_id, e.attempt, e.status) for e in events if isinstance(e, Completion)]
    assert seen == [
        ("linux/1", "linux/7/1", 1, "success"),
        ("linux/2", "linux/7/2", 1, "failure"),
        ("linux/1", "linux/8/1", 1, "success"),
        ("linux/1", "linux/7/1", 2, "success"),
    ]


def test_ci_builds_have_their_tests_as_steps_and_come_in_order_of_end(tmp_path: Path) -> None:
    first, second = read(tmp_path, CI, builds=True)
    assert isinstance(first.event, Completion) and isinstance(second.event, Completion)
    assert (first.event.execution_id, first.event.status, first.number) == ("linux/8", "success", 4)
    assert (second.event.execution_id, second.event.status, second.event.duration_s) == ("linux/7", "failure", 4.5)
    assert [step.name for step in second.event.steps] == ["test 1", "test 2", "test 1"]
    assert second.event.finished_at.isoformat() == "2026-01-21T12:00:01+00:00"


def test_bad_ci_rows_carry_their_number(tmp_path: Path) -> None:
    rows = "linux,9,1,2026-01-21 10:00:00,-1,0\nlinux,9,1,today,1,0\nlinux,9,1,2026-01-21 10:00:00,1,maybe\nlinux,9\n"
    header = CI.splitlines()[0] + "\n"
    reasons = [(line.number, line.error and line.error.reason) for line in read(tmp_path, header + rows)]
    assert reasons == [(2, "out_of_range"), (3, "bad_time"), (4, "unknown_value"), (5, "missing_field")]
    reasons = [(line.number, line.error and line.error.reason) for line in read(tmp_path, header + rows, builds=True)]
    assert sorted(number for number, _ in reasons) == [2, 3, 4, 5]


def test_a_duration_that_no_calendar_holds_is_refused_by_its_size(tmp_path: Path) -> None:
    (line,) = read(tmp_path, CI.splitlines()[0] + "\nlinux,9,1,2026-01-21 10:00:00,1e300,0\n")
    assert line.error is not None and line.error.reason == "out_of_range"


def test_a_cell_of_endless_length_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="invalid CSV in line 2"):
        read(tmp_path, POLLS.splitlines()[0] + '\n"' + "x" * 1_100_000)


def test_poll_averages_are_runs_with_start_and_end(tmp_path: Path) -> None:
    lines = read(tmp_path, POLLS)
    assert [line.kind for line in lines] == [
        "score_run",
        "score",
        "score",
        "score_run",
        "score_run",
        "score",
        "score_run",
    ]
    start, lido, _, end = (line.event for line in lines[:4])
    assert isinstance(start, ScoreRun) and isinstance(lido, Score) and isinstance(end, ScoreRun)
    assert (start.status, start.expected, end.status, end.expected) == ("started", 2, "completed", 2)
    assert (lido.score, lido.run_id) == (Decimal("7.50"), "a")
    assert start.at < lido.scored_at < end.at


def test_bad_poll_rows_carry_their_number(tmp_path: Path) -> None:
    rows = "run_id,date,entity_name,score\na,2026-01-20,Lido,high\na,2026-01-20\nb,someday,Lido,1\n"
    bad = [(line.number, line.error.reason) for line in read(tmp_path, rows) if line.error]
    assert bad == [(2, "bad_number"), (3, "missing_field"), (4, "bad_time")]


def test_a_series_is_a_workflow_named_like_the_file(tmp_path: Path) -> None:
    content = "timestamp,value\n2026-01-21 14:30:00,0.132\n2026-01-21 14:35:00,-3\n2026-01-21 14:40:00,x\n"
    good, negative, bad = read(tmp_path, content, "cpu.csv")
    assert isinstance(good.event, Completion)
    assert (good.event.workflow_id, good.event.duration_s) == ("cpu", 0.132)
    assert negative.error is not None and (negative.number, negative.error.reason) == (3, "out_of_range")
    assert bad.error is not None and bad.error.reason == "bad_number"


@pytest.mark.parametrize(
    "content", [b"", b"\n \n", b"a,b\n1,2\n", b"\x1f\x8bgarbage", gzip.compress(completion(), mtime=0)[:30]]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(HistoryError, match=r"history\.csv"):
        read(tmp_path, content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="nowhere"):
        list(read_history(tmp_path / "nowhere", record_ms=AT_MS))


def test_kinds_go_to_the_input_topics() -> None:
    executions = dict.fromkeys(["completion", "start"], topics.COMPLETIONS)
    assert executions | {"score": topics.SCORES, "score_run": topics.SCORE_RUNS} == INPUT_TOPICS
