"""X30: what `publish` reads from a file names files as its source, and is the very bytes of the file otherwise."""

import json

import pytest

from stream_detector.cli.publish import with_source
from stream_detector.events import Completion, Start
from stream_detector.events.decode import decode_completion
from stream_detector.events.files import value_reader
from tests.unit.events.samples import COMPLETION

START = {"state": "started", "execution_id": "1", "workflow_id": "w", "started_at": "2026-01-22T00:00:00Z"}


@pytest.mark.parametrize("event", [COMPLETION | {"later_field": [1]}, START])
def test_x30_an_execution_without_a_source_has_that_of_files(event: dict[str, str]) -> None:
    value = json.dumps(event).encode()
    (line,) = value_reader(-1)(value)
    given = with_source(line)
    assert json.loads(given) == event | {"source": "file"} and given.startswith(value[:-1])
    read = decode_completion(given, (), -1)
    assert isinstance(read, Completion | Start) and read.source == "file"


@pytest.mark.parametrize(
    "value",
    [
        json.dumps(COMPLETION | {"source": "nightly-cron"}).encode(),
        json.dumps(COMPLETION | {"source": None}).encode(),
        b'{"specversion":"1.0","id":"1","source":"/","type":"x","data":' + json.dumps(COMPLETION).encode() + b"}",
        b'{"entity_id":"lido","entity_name":"Lido","score":5.8,"scored_at":"2026-01-22T00:00:00Z"}',
        b'{"run_id":"r","status":"started","at":"2026-01-22T00:00:00Z"}',
    ],
)
def test_x30_whatever_names_one_or_is_no_execution_stays_as_it_is(value: bytes) -> None:
    (line,) = value_reader(-1)(value)
    assert line.error is None and with_source(line) == value


def test_x30_a_payload_of_another_system_keeps_the_name_of_its_source() -> None:
    run = {"dag_id": "a", "dag_run_id": "r", "state": "success", "end_date": "2026-01-22T00:00:00Z"}
    (line,) = value_reader(-1)(json.dumps(run).encode())
    assert json.loads(with_source(line))["source"] == "airflow"
