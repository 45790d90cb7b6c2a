"""X30: a line of a file with the time of its record is the event as it was on the topic."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stream_detector.events import Completion, Start
from stream_detector.events.files import read_history, value_reader
from stream_detector.events.lines import Line
from stream_detector.events.times import epoch_ms
from tests.unit.events.samples import AT, AT_MS, COMPLETION, SCORE, SCORE_RUN

START = {"state": "started", "execution_id": "e1", "workflow_id": "nightly", "started_at": "2026-01-22T00:00:00Z"}


def stamped(event: Any, record_at: Any = AT, **more: Any) -> str:
    return json.dumps({"record_at": record_at, "event": event} | more)


def read(tmp_path: Path, *lines: str, record_ms: int = -1) -> list[Line]:
    file = tmp_path / "history.jsonl"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return list(read_history(file, record_ms=record_ms))


@pytest.mark.parametrize("event", [COMPLETION, START, SCORE, SCORE_RUN], ids=["end", "start", "score", "run"])
def test_x30_the_event_is_the_same_and_its_record_has_the_time(tmp_path: Path, event: dict[str, Any]) -> None:
    plain, with_time = read(tmp_path, json.dumps(event), stamped(event, "2026-01-22T01:05:00.250+01:00"))
    assert with_time.record_ms == AT_MS + 250 and plain.record_ms is None
    assert (with_time.event, with_time.kind, with_time.number) == (plain.event, plain.kind, 2)
    assert json.loads(with_time.value) == event


def test_x30_every_form_of_json_may_have_them_and_other_systems_payloads_too(tmp_path: Path) -> None:
    run = {"dag_id": "a", "dag_run_id": "r", "state": "success", "end_date": AT}
    array = json.dumps([json.loads(stamped(COMPLETION)), json.loads(stamped(run)), COMPLETION])
    first, second, third = read(tmp_path, array)
    assert [each.record_ms for each in (first, second, third)] == [AT_MS, AT_MS, None]
    assert isinstance(second.event, Completion) and second.event.source == "airflow"
    assert not second.is_foreign, "what has a record time stays where it is in the file"
    (wrapped,) = read(tmp_path, stamped({"specversion": "1.0", "id": "1", "source": "/", "type": "x", "data": START}))
    assert isinstance(wrapped.event, Start) and wrapped.record_ms == AT_MS
    both = read(tmp_path, stamped([COMPLETION, run]))  # a record may hold several events
    assert [each.record_ms for each in both] == [AT_MS, AT_MS]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (stamped(COMPLETION, "2026-01-22T00:05:00"), "no_zone"),
        (stamped(COMPLETION, "yesterday"), "bad_time"),
        (stamped(COMPLETION, None), "bad_time"),
        (stamped(COMPLETION, 1769040300000), "bad_time"),
        (stamped(COMPLETION, "1970-01-01T00:00:00Z"), "bad_time"),
        (stamped(COMPLETION | {"finished_at": "2026-01-22T01:00:00Z", "started_at": "2026-01-22T00:30:00Z"}), "future"),
        (stamped(COMPLETION | {"status": "green"}), "unknown_value"),
        (stamped(7), "wrong_type"),
        (stamped({"odd": 1}), "unsupported_format"),
        (stamped(json.loads(stamped(COMPLETION))), "unsupported_format"),
        (stamped(COMPLETION, more=1), "unsupported_format"),
        (stamped(COMPLETION)[:-1] + ', "record_at": "2026-01-22T00:00:00Z"}', "duplicate_field"),
        (json.dumps({"record_at": AT}), "unsupported_format"),
    ],
)
def test_x30_what_is_wrong_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    bad, good = read(tmp_path, line, stamped(COMPLETION))
    assert bad.event is None and bad.error is not None and bad.error.reason == reason
    assert good.event is not None


def test_x30_a_record_stamped_with_the_start_of_its_execution_is_believed_as_on_the_topic(tmp_path: Path) -> None:
    long_run = COMPLETION | {"finished_at": "2026-01-22T05:00:00Z"}
    (line,) = read(tmp_path, stamped(long_run, "2026-01-22T00:00:10Z"))
    assert line.error is None


def test_x30_no_record_is_from_the_future(tmp_path: Path) -> None:
    (line,) = read(tmp_path, stamped(COMPLETION, "2026-01-23T00:00:00Z"), record_ms=AT_MS)
    assert line.error is not None and line.error.reason == "future" and "$.record_at" in line.error.message
    (line,) = read(tmp_path, stamped(COMPLETION, "2026-01-22T00:10:00Z"), record_ms=AT_MS)
    assert line.record_ms == epoch_ms(datetime(2026, 1, 22, 0, 10, tzinfo=UTC))


def test_x30_over_http_it_is_no_event() -> None:
    (line,) = value_reader(AT_MS)(stamped(COMPLETION).encode())
    assert line.error is not None and line.error.reason == "unsupported_format"
