"""Files of other systems by a mapping (X23): tables and JSON, and a mapping that only changes one field of ours."""

import io
import json

import pytest

from stream_detector.events import Completion, Score
from stream_detector.events.files import HistoryError, read_events
from stream_detector.events.lines import Line
from stream_detector.events.mapping.load import parse_mapping

TABLE_MAP = """
execution_id = "Build Number"
workflow_id = "ci/{Job}"
status = "Result"
started_at = { field = "Start", zone = "Europe/Berlin" }
duration_s = { field = "Duration (ms)", unit = "ms" }
[status_values]
OK = "success"
FAILED = "failure"
running = "ignore"
[labels]
branch = "Branch"
"""
TABLE = """Build Number;Job;Result;Start;Duration (ms);Branch
17;nightly;ok;2026-01-21 01:00:00;93500,5;main
18;nightly;FAILED;2026-01-21T02:00;;
19;nightly;Running;2026-01-21 03:00:00;1;main
20;nightly;odd;2026-01-21 03:00:00;1;main
21;nightly
"""
IGNORING_MAP = """
execution_id = "id"
workflow_id = "job"
status = "state"
started_at = "from"
finished_at = "to"
[status_values]
done = "success"
"*" = "ignore"
"""
ONE_LINE = 'duration_s = { field = "duration_ms", unit = "ms" }'


def read(content: str | bytes, mapping: str) -> list[Line]:
    data = content if isinstance(content, bytes) else content.encode()
    return list(read_events(io.BytesIO(data), "history", record_ms=-1, mapping=parse_mapping(mapping, "m", "m.toml")))


def test_x23_a_table_of_other_columns() -> None:
    first, second, *bad = read(TABLE, TABLE_MAP)
    assert isinstance(first.event, Completion) and isinstance(second.event, Completion)
    assert (first.number, first.event.execution_id, first.event.workflow_id) == (2, "17", "ci/nightly")
    assert (first.event.status, first.event.duration_s, first.event.labels) == ("success", 93.5005, {"branch": "main"})
    assert first.event.started_at.isoformat() == "2026-01-21T00:00:00+00:00"
    assert (second.event.duration_s, second.event.labels) == (None, {})
    assert [(line.number, line.error and line.error.reason) for line in bad] == [
        (5, "unknown_value"),
        (6, "missing_field"),
    ]


def test_x23_columns_may_differ_in_capitals_and_a_missing_one_is_named() -> None:
    assert len(read(TABLE.replace("Build Number", "BUILD_NUMBER"), TABLE_MAP)) == 4
    with pytest.raises(HistoryError, match=r"no column Build Number, which the mapping names; it has No, Job"):
        read(TABLE.replace("Build Number", "No"), TABLE_MAP)


def test_x23_one_line_converts_the_unit_and_keeps_the_rest() -> None:
    header = "execution_id,Workflow ID,status,started_at,finished_at,duration_ms,label.team"
    row = "1,w,success,2026-01-21T00:00:00Z,2026-01-21T00:05:00Z,298400,core"
    (line,) = read(f"{header}\n{row}\n", ONE_LINE)
    assert isinstance(line.event, Completion), line.error
    assert (line.event.duration_s, line.event.labels, line.event.workflow_id) == (298.4, {"team": "core"}, "w")
    (line,) = read(f"{header},duration_s\n{row},\n", '[status_values]\nsuccess = "failure"')
    assert isinstance(line.event, Completion) and (line.event.duration_s, line.event.status) == (None, "failure")
    value = b"""{"execution_id": "1", "workflow_id": "w", "status": "success", "started_at": "2026-01-21T00:00:00Z",
        "finished_at": "2026-01-21T00:05:00Z", "duration_ms": 298400, "labels": {"a": "b"}}"""
    for content in (
        value,
        b"[" + value + b",\n" + value + b"]",
        value.replace(b"\n", b" ") + b"\n" + value.replace(b"\n", b" "),
    ):
        for line in read(content, ONE_LINE):
            assert isinstance(line.event, Completion)
            assert (line.event.duration_s, line.event.labels) == (298.4, {"a": "b"})


def test_x23_epoch_columns_and_scores() -> None:
    mapping = 'kind = "score"\nentity_id = "Name"\nscore = "Points"\nscored_at = { field = "At", unit = "s" }\n'
    (line,) = read("Name;Points;At\nLido;7,50;1769040000\n", mapping)
    assert isinstance(line.event, Score)
    assert (str(line.event.score), line.event.scored_at.isoformat()) == ("7.50", "2026-01-22T00:00:00+00:00")


def test_x23_a_doubled_key_and_broken_json_are_refused_with_their_line() -> None:
    lines = read(b'{"execution_id": 1, "execution_id": 2}\n{"a": \nnonsense\n', ONE_LINE)
    assert [(line.number, line.error and line.error.reason) for line in lines] == [
        (1, "duplicate_field"),
        (2, "not_json"),
        (3, "not_json"),
    ]


def test_x23_what_a_mapping_ignores_is_counted() -> None:
    times = {"from": "2026-11-01T00:00:00Z", "to": "2026-11-01T00:01:00Z"}
    states = ["done", "running", "done", "waiting", "running"]
    rows = [{"id": str(n), "job": "b", "state": state} | times for n, state in enumerate(states)]
    forms = [
        "id,job,state,from,to\n" + "".join(",".join(row.values()) + "\n" for row in rows),
        "".join(json.dumps(row) + "\n" for row in rows),
    ]
    for content in forms:
        notes: list[str] = []
        mapping = parse_mapping(IGNORING_MAP, "m", "m.toml")
        found = [*read_events(io.BytesIO(content.encode()), "a", record_ms=-1, mapping=mapping, note=notes.append)]
        assert len(found) == 2 and all(line.event for line in found)
        (noted,) = notes
        assert "3 payloads" in noted and "no event by the mapping" in noted
