"""X20: of every payload each value replaced by an odd one: only what identifies its execution can lose it."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import Raw

from stream_detector.events import RefusedError
from stream_detector.events.decode import DECODERS
from stream_detector.events.documents import MAX_BYTES
from stream_detector.events.encode import encode
from stream_detector.events.inputs import Event, kind_of_event
from stream_detector.events.sources import SOURCES, find_source
from stream_detector.events.sources.source import Source
from tests.unit.events.samples_of_sources import REMOVED, places, with_value
from tests.unit.events.source_matrix import PAYLOADS

ODD: tuple[Any, ...] = (
    REMOVED, None, True, [], {}, [None], "", "odd", "x" * 3000, "a\x00b", "\U0001f680", -1, 0, 2**53 + 1, 10**30, 1e308,
    "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999-12:00", "2026-01-22 00:05:00",
)  # fmt: skip
TOLERANT = [source for source in SOURCES.values() if source.name not in ("github", "gitlab")]
FILES = [(source, path) for source in TOLERANT for path in sorted(PAYLOADS.glob(f"{source.name}_*.json"))]
by_file = pytest.mark.parametrize(("source", "path"), FILES, ids=lambda value: getattr(value, "stem", ""))

NEEDED = {
    "jenkins": {
        "_class",
        "jobs",
        "allBuilds",
        "build",
        "building",
        "number",
        "result",
        "timestamp",
        "url",
        "phase",
        "status",
        "full_url",
        "fullUrl",
        "name",
    },
    "circleci": {
        *("type", "workflow", "id", "name", "status", "happened_at", "stopped_at", "slug", "project"),
        *("items", "next_page_token", "pipeline_id", "project_slug"),
    },
    "azure": {
        *("eventType", "resource", "id", "result", "status", "finishTime", "definition", "name"),
        *("value", "count", "buildNumber"),
    },
    "airflow": {"dag_id", "dag_run_id", "run_id", "state", "end_date"},
    "openlineage": {"eventType", "eventTime", "run", "runId", "job", "namespace", "name"},
    "dbt": {"metadata", "invocation_id", "generated_at", "results", "status"},
    "buildkite": {"event", "build", "id", "state", "blocked", "finished_at", "created_at"},
    "bitbucket": {
        "repository",
        "full_name",
        "commit_status",
        "key",
        "state",
        "updated_on",
        "uuid",
        "result",
        "name",
        "completed_on",
    },
    "teamcity": {"eventType", "payload", "id", "buildTypeId", "status", "state", "finishDate", "webUrl"},
    "tekton": {"kind", "metadata", "uid", "conditions", "completionTime", "status", "taskRun"},
    "argo": {"kind", "metadata", "uid", "phase", "finishedAt", "status"},
    "otel": {"resourceSpans", "resource", "scopeSpans", "spans", "attributes", "traceId", "spanId", "endTimeUnixNano"},
    "cdevents": {"context", "type", "timestamp", "subject", "id", "source", "pipelineName", "taskName", "outcome"},
}
"""Names of the values that identify an execution, or decide which form a payload has: an odd one may refuse it."""


def checked(source: Source, value: bytes, expected: Sequence[Event] = ()) -> int | None:
    """How many events the payload has, each held to the contract; None where it is refused."""
    try:
        reading = source.read(value)
    except RefusedError as error:
        assert error.message and "\n" not in error.message
        return None
    for event in reading.events if reading.events != expected else ():
        assert DECODERS[kind_of_event(event)](encode(event), (), -1) == event
    assert bool(reading.events or reading.refused) is not bool(reading.ignored)
    return len(reading.events)


@by_file
def test_x20_one_odd_detail_never_loses_a_delivery(source: Source, path: Any) -> None:
    document = json.loads(path.read_bytes())
    expected = checked(source, json.dumps(document).encode())
    whole = source.read(json.dumps(document).encode()).events
    assert expected
    for place in places(document):
        for odd in ODD:
            found = checked(source, with_value(document, place, odd), whole)
            if not NEEDED[source.name] & set(place):
                assert found == expected, (place, odd)


@by_file
def test_x20_no_payload_of_one_source_is_recognised_by_another(source: Source, path: Any) -> None:
    value = json.dumps(json.loads(path.read_bytes())).encode()
    assert find_source(value) is source
    fields = {name: json.dumps(inner).encode() for name, inner in json.loads(value).items()}
    raw = {name: Raw(inner) for name, inner in fields.items()}
    assert [each.name for each in SOURCES.values() if each.recognises(raw)] == [source.name]
    assert len(value) < MAX_BYTES
