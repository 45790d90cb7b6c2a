"""Parquet (X20): a table means the same as the one in a CSV file, with the same refusals."""

import csv
import gzip
import io
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec import UNSET

from stream_detector.events import Completion, Score
from stream_detector.events.files import HistoryError, read_events, read_history, read_sample
from stream_detector.events.lines import Line
from stream_detector.events.mapping.load import parse_mapping
from tests.unit.events.samples import AT_MS

AT = datetime(2026, 1, 21, 23, 0, 0, 250_000, tzinfo=UTC)
RUNS: dict[str, Any] = {
    "execution_id": ["1", "2", "3"],
    "workflow_id": ["w"] * 3,
    "status": ["success", "failure", "success"],
    "started_at": pa.array([AT] * 3, pa.timestamp("us", "Europe/Berlin")),
    "finished_at": pa.array([AT + timedelta(seconds=90)] * 3, pa.timestamp("ns", "UTC")),
    "duration_s": [89.5, None, 0.0],
    "attempt": [1, 2, None],
    "label.team": ["core", None, ""],
}


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    return written(pa.table(columns), **options)


def written(table: pa.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


def read(data: bytes, **options: Any) -> list[Line]:
    return list(read_events(io.BytesIO(data), "runs.parquet", record_ms=AT_MS, **options))


def outcomes(lines: Sequence[Line], first: int) -> list[Any]:
    return [
        (line.number - first, line.kind, line.event or (line.error and (line.error.reason, line.error.message)))
        for line in lines
    ]


def test_x20_the_rows_are_those_of_the_csv_table() -> None:
    text = "execution_id,workflow_id,status,started_at,finished_at,duration_s,attempt,label.team\n"
    for row in ("1,w,success,{0},{1},89.5,1,core", "2,w,failure,{0},{1},,2,", "3,w,success,{0},{1},0,,"):
        text += row.format("2026-01-21 23:00:00.25+00", "2026-01-21T23:01:30.25Z") + "\n"
    lines = read(parquet(RUNS))
    assert outcomes(lines, 1) == outcomes(read(text.encode()), 2)
    assert [line.error for line in lines] == [None] * 3
    assert isinstance(lines[1].event, Completion) and lines[1].event.duration_s is None
    without = read(parquet({name: RUNS[name] for name in RUNS if name != "duration_s"}))
    assert all(isinstance(line.event, Completion) and line.event.duration_s is UNSET for line in without)


def test_x20_what_a_csv_table_is_refused_for_is_refused() -> None:
    columns = {
        "execution_id": ["1", "2", None, "4", "5", "6"],
        "workflow_id": ["w"] * 6,
        "status": ["success", "sucess", "success", "success", "success", "success"],
        "started_at": ["2026-01-21T23:00:00Z"] * 3 + ["2026-01-21 23:00:00", "2026-01-21", "2026-01-21T23:00:00Z"],
        "finished_at": ["2026-01-21T23:00:00Z"] * 6,
        "duration_s": ["1.5", "1", "1", "1", "1", "1,234"],
    }
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerows([columns, *zip(*columns.values(), strict=True)])
    lines = read(parquet(columns))
    assert outcomes(lines, 1) == outcomes(read(stream.getvalue().encode()), 2)
    assert [line.error is None for line in lines] == [True, False, False, False, False, False]


def test_x20_a_time_without_a_zone_is_refused_and_a_mapping_names_its_zone() -> None:
    naive = RUNS | {"started_at": pa.array([datetime(2026, 1, 22)] * 3, pa.timestamp("us"))}
    assert {line.error and line.error.reason for line in read(parquet(naive))} == {"no_zone"}
    mapping = parse_mapping('started_at = { field = "started_at", zone = "Europe/Berlin" }', "m", "m.toml")
    assert [line.error for line in read(parquet(naive), mapping=mapping)] == [None] * 3


def test_x20_numbers_keep_their_digits() -> None:
    table = {
        "entity_id": pa.array([2**53 + 1, -1, 2, 3], pa.int64()),
        "entity_name": pa.array(["a", "b", "a", "b"]).dictionary_encode(),
        "score": pa.array([Decimal("7.50"), Decimal("0.00000001"), Decimal("-3"), None], pa.decimal128(20, 8)),
        "scored_at": pa.array([date(2026, 1, 20)] * 4, pa.date32()),
    }
    found = [str(line.event.score) if isinstance(line.event, Score) else line.error for line in read(parquet(table))]
    assert [Decimal(str(score)) for score in found[:3]] == [Decimal("7.5"), Decimal("1E-8"), Decimal(-3)]
    assert str(found[3]).startswith("validate missing_field") or "score" in str(found[3])
    assert [line.key for line in read(parquet(table))][:2] == [b"9007199254740993", b"-1"]
    (single,) = read(parquet({name: table[name][:1] for name in table} | {"score": pa.array([7.1], pa.float32())}))
    assert isinstance(single.event, Score) and str(single.event.score) == "7.1"
    (infinite,) = read(parquet({name: table[name][:1] for name in table} | {"score": pa.array([float("nan")])}))
    assert infinite.error is not None and infinite.error.reason == "bad_number"


def test_x20_a_duration_is_in_seconds_whatever_its_unit_is() -> None:
    for unit in ("s", "ms", "us", "ns"):
        taken = pa.array([timedelta(seconds=90), None, timedelta(0)], pa.duration(unit))
        events = [line.event for line in read(parquet(RUNS | {"duration_s": taken}))]
        assert [event.duration_s for event in events if isinstance(event, Completion)] == [90.0, None, 0.0], unit


def test_x20_nested_columns_are_labels_steps_and_resources() -> None:
    steps = [[{"name": "build", "status": "success", "duration_s": 1.5}, {"name": "x", "status": None}], [], None]
    memory = {"used": 3.0, "limit": 4.0}
    nested = {name: RUNS[name] for name in RUNS if name != "label.team"} | {
        "labels": pa.array([{"team": "core", "env": None}, None, {"team": None, "env": "eu"}]),
        "steps": pa.array(steps),
        "resources": pa.array([[("memory", memory)], None, []], pa.map_(pa.string(), pa.array([memory]).type)),
    }
    first, second, third = (line.event for line in read(parquet(nested)) if isinstance(line.event, Completion))
    assert [event.labels for event in (first, second, third)] == [{"team": "core"}, {}, {"env": "eu"}]
    assert [(step.name, step.status, step.duration_s) for step in first.steps] == [
        ("build", "success", 1.5),
        ("x", None, None),
    ]
    assert (first.resources["memory"].used, second.steps, third.resources) == (3.0, [], {})
    mapped = pa.map_(pa.string(), pa.string())
    as_map = nested | {"labels": pa.array([[("team", "core")], None, []], mapped)}
    assert [line.event for line in read(parquet(as_map))][:2] == [first, second]
    twice = nested | {"labels": pa.array([[("a", "1"), ("a", "2")], None, []], mapped)}
    with pytest.raises(HistoryError, match="cannot be read"):
        read(parquet(twice))


def test_x20_objects_in_cells_of_a_csv_table_are_read_and_refused_alike() -> None:
    head = "execution_id,workflow_id,status,started_at,finished_at,labels,labels.env,steps\n"
    row = "1,w,success,2026-01-21T23:00:00Z,2026-01-21T23:00:00Z,"
    good, plain, listed = read(
        (head + row + '"{""team"": ""core""}",eu,"[{""name"": ""b""}]"\n' + row + "core,,\n" + row + "[],,\n").encode()
    )
    assert isinstance(good.event, Completion) and good.event.labels == {"team": "core", "env": "eu"}
    assert [step.name for step in good.event.steps] == ["b"]
    for line in (plain, listed):
        assert line.error is not None and line.error.reason == "wrong_type" and "JSON object" in line.error.message


def test_x20_columns_that_stand_twice_or_are_not_text_are_refused() -> None:
    columns = [pa.array(["1"]), *(pa.array(["x"]) for _ in range(4))]
    names = ["execution_id", "workflow_id", "status", "started_at", "finished_at"]
    (line,) = read(written(pa.table([*columns, columns[0]], names=[*names, "Execution ID"])))
    assert line.error is not None and line.error.reason == "duplicate_field"
    bad = pa.array([b"\xff\xfe"]).cast(pa.binary())
    for data in (bad, pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())):
        (line,) = read(written(pa.table([data, *columns[1:]], names=names)))
        assert line.error is not None and line.error.reason == "not_utf8"
    with pytest.raises(HistoryError, match="no column"):
        read(written(pa.table(columns[:3], names=names[:3])))


def test_x20_from_a_file_a_pipe_and_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = {name: pa.chunked_array([RUNS[name]] * 3000) for name in ("workflow_id", "status")}
    at = pa.array([AT] * 9000, pa.timestamp("us", "UTC"))
    data = parquet(
        many | {"execution_id": [str(n) for n in range(9000)], "started_at": at, "finished_at": at}, row_group_size=2500
    )
    file = tmp_path / "runs.parquet"
    for content in (data, gzip.compress(data)):
        file.write_bytes(content)
        numbers = [line.number for line in read_history(file, record_ms=AT_MS)]
        assert numbers == list(range(1, 9001))
        with file.open("rb") as piped:
            stdin = type("stdin", (), {"buffer": io.BufferedReader(_Pipe(piped))})
            monkeypatch.setattr(sys, "stdin", stdin)
            assert [line.number for line in read_history(Path("-"), record_ms=AT_MS)] == numbers


class _Pipe(io.RawIOBase):
    def __init__(self, source: io.BufferedReader) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.readinto(buffer)


def test_x20_a_damaged_file_and_a_missing_extra_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet(RUNS)
    for broken in (data[:-10], data[:4] + b"\x00" * 60 + data[64:], b"PAR1" + b"\x00" * 100):
        with pytest.raises(HistoryError, match="cannot be read as Parquet"):
            read(broken)
    with pytest.raises(HistoryError, match="encrypted"):
        read(b"PARE" + b"\x00" * 100)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(HistoryError, match=r"pip install 'stream-detector\[parquet\]'.*CSV"):
        read(data)


def test_x20_mappings_and_their_proposals_read_parquet(tmp_path: Path) -> None:
    data = parquet(
        {
            "build": [{"no": 7, "result": "PASSED"}, {"no": 8, "result": "BROKEN"}],
            "job": ["nightly"] * 2,
            "ended": pa.array([AT] * 2, pa.timestamp("ms", "UTC")),
            "took_ms": [1500, 2500],
        }
    )
    mapping = parse_mapping(
        'execution_id = "build.no"\nworkflow_id = "job"\nstatus = "build.result"\nfinished_at = "ended"\n'
        'duration_s = { field = "took_ms", unit = "ms" }\n[status_values]\nPASSED = "success"\nBROKEN = "failure"\n',
        "m",
        "m.toml",
    )
    events = [line.event for line in read(data, mapping=mapping)]
    assert [
        (event.execution_id, event.status, event.duration_s) for event in events if isinstance(event, Completion)
    ] == [("7", "success", 1.5), ("8", "failure", 2.5)]
    file = tmp_path / "builds.parquet"
    file.write_bytes(data)
    assert read_sample(file, most=1)[0]["build.no"] == "7"
