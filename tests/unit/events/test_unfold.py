"""Values that hold several events: every form, the limits, and that an entry's number depends on the value alone."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from stream_detector.events import RefusedError, Start
from stream_detector.events.decode import decode_action, decode_completion, decode_score, decode_score_run
from stream_detector.events.encode import encode
from stream_detector.events.examples import EXAMPLES
from stream_detector.events.files import value_reader
from stream_detector.events.headers import Headers
from stream_detector.events.sources.source import IgnoredError
from stream_detector.events.unfold import MOST_EVENTS, SeveralEventsError, headers_within, unfold
from tests.events_made import completion, score

PAYLOADS = Path(__file__).with_name("payloads")
GITHUB = (PAYLOADS / "github_workflow_run.json").read_bytes()
RUNS = (PAYLOADS / "github_workflow_runs.json").read_bytes()
OWN = [encode(completion(f"e{number}", f"flow-{number}")) for number in range(3)]
BATCH = "application/cloudevents-batch+json"


def array(*elements: bytes) -> bytes:
    return b"[" + b",".join(elements) + b"]"


def cloud_event(number: int, data: bytes) -> bytes:
    head = {"specversion": "1.0", "id": str(number), "source": "/ci", "type": "stream_detector.workflow_completion.v1"}
    return json.dumps(head).encode()[:-1] + b',"data":' + data + b"}"


def connect(payload: bytes) -> bytes:
    return b'{"schema":{"type":"array"},"payload":' + payload + b"}"


def debezium(after: bytes) -> bytes:
    return b'{"before":null,"after":' + after + b',"source":{"table":"runs"},"op":"c"}'


def several(value: bytes, headers: Headers = (), decode: Any = decode_completion) -> list[Any]:
    """The event of each entry, or the reason for which it is refused, as a worker reads the record."""
    with pytest.raises(SeveralEventsError) as caught:
        decode(value, headers, -1)
    found: list[Any] = []
    for entry in caught.value.entries:
        try:
            if entry.error is not None:
                raise entry.error
            found.append(decode(entry.value, headers_within(headers), -1))
        except RefusedError as error:
            found.append("ignored" if isinstance(error, IgnoredError) else error.reason)
    return found


def ids(found: list[Any]) -> list[Any]:
    return [getattr(each, "execution_id", each) for each in found]


FORMS: dict[str, tuple[bytes, Headers]] = {
    "an array": (array(*OWN), ()),
    "with a byte order mark, over lines": (b"\xef\xbb\xbf [\n" + b"\n,\n".join(OWN) + b"\n]\n", ()),
    "a batch of CloudEvents": (array(*[cloud_event(n, one) for n, one in enumerate(OWN)]), ()),
    "a batch that its header names": (
        array(*[cloud_event(n, one) for n, one in enumerate(OWN)]),
        [("content-type", BATCH.encode())],
    ),
    "an array in a CloudEvent": (cloud_event(1, array(*OWN)), ()),
    "arrays in a batch": (array(cloud_event(1, array(*OWN[:2])), cloud_event(2, OWN[2])), ()),
    "in Connect's envelope": (connect(array(*OWN)), ()),
    "in Debezium's": (debezium(array(*OWN)), ()),
    "in both": (connect(debezium(array(*OWN))), ()),
    "each in Debezium's": (array(*map(debezium, OWN)), ()),
    "in a JSON string": (json.dumps(array(*OWN).decode()).encode(), ()),
    "each in a JSON string": (array(*[json.dumps(one.decode()).encode() for one in OWN]), ()),
    "in Confluent's frame": (b"\x00\x00\x00\x00\x07" + array(*OWN), ()),
    "behind a header that names a source": (array(*OWN), [("source", b"github")]),
}


@pytest.mark.parametrize("form", FORMS)
def test_x20_each_event_of_a_record_is_read_whatever_is_around_it(form: str) -> None:
    value, headers = FORMS[form]
    assert ids(several(value, headers)) == ["e0", "e1", "e2"]
    assert ids(several(value, headers)) == ["e0", "e1", "e2"], "the same numbers at the second reading"


@pytest.mark.parametrize("form", [form for form in FORMS if FORMS[form][1] == ()])
def test_x20_a_file_and_a_request_read_the_same(form: str) -> None:
    value = FORMS[form][0].removeprefix(b"\xef\xbb\xbf")
    assert [line.event for line in value_reader(-1)(value)] == several(value)


def test_x20_one_event_in_an_array_is_that_event() -> None:
    assert decode_completion(array(OWN[0]), (), -1) == decode_completion(OWN[0], (), -1)
    assert decode_completion(connect(array(GITHUB)), (), -1) == decode_completion(GITHUB, (), -1)


def test_x20_payloads_of_sources_in_an_array_and_ours_among_them() -> None:
    pipeline = (PAYLOADS / "gitlab_pipeline.json").read_bytes()
    lineage = (PAYLOADS / "openlineage_run_event.json").read_bytes()
    running = json.dumps(json.loads(RUNS)["workflow_runs"][1]).encode()
    assert type(decode_completion(running, (), -1)) is Start
    found = ids(several(array(GITHUB, pipeline, running, OWN[0], lineage, RUNS)))
    assert [str(each).partition(":")[0] for each in found] == [
        *("github", "gitlab", "github", "e0", "openlineage"),
        *("github", "github", "unknown_value"),
    ]


def test_x20_a_refused_entry_stands_where_it_was_and_is_a_payload_by_itself() -> None:
    """Its own bytes go to dead letters, so that it alone is published again."""
    runs = json.loads(RUNS)
    (odd,) = [run for run in runs["workflow_runs"] if run["conclusion"] == "vanished"]
    runs["workflow_runs"].insert(0, runs["workflow_runs"].pop(runs["workflow_runs"].index(odd)))
    with pytest.raises(SeveralEventsError) as caught:
        decode_completion(json.dumps(runs).encode(), (), -1)
    entries = caught.value.entries
    assert [entry.error is None for entry in entries] == [False, True, True]
    with pytest.raises(RefusedError, match='conclusion is none of the known words: "vanished", not action_required, '):
        decode_completion(entries[0].value, (), -1)
    repaired = json.loads(entries[0].value) | {"conclusion": "failure"}
    assert decode_completion(json.dumps(repaired).encode(), (), -1).execution_id == f"github:{odd['id']}"


def span(number: int, result: str = "success") -> dict[str, Any]:
    attributes = {"cicd.pipeline.name": "nightly", "cicd.pipeline.result": result}
    return {
        "traceId": f"t{number}",
        "spanId": "s",
        "startTimeUnixNano": "1769083200000000000",
        "endTimeUnixNano": "1769083260000000000",
        "attributes": [{"key": key, "value": {"stringValue": text}} for key, text in attributes.items()],
    }


def test_x20_the_spans_of_one_request_are_one_execution_each() -> None:
    service = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    spans = [span(1), span(2, "as usual"), span(3)]
    request = json.dumps({"resourceSpans": [{"resource": service, "scopeSpans": [{"spans": spans}]}]}).encode()
    assert ids(several(request)) == ["otel:t1:s", "unknown_value", "otel:t3:s"]
    bad = unfold(request)[1].value
    repaired = decode_completion(bad.replace(b"as usual", b"failure"), (), -1)
    assert (repaired.execution_id, repaired.workflow_id) == ("otel:t2:s", "otel:shop:nightly")


def test_x20_the_suites_of_a_report_are_one_execution_each() -> None:
    case = '<testcase name="a" time="1"/>'
    suite = '<testsuite name="{}" timestamp="{}" time="1">' + case + "</testsuite>"
    report = "<testsuites>" + "".join(
        suite.format(name, at) for name, at in (("a", "2026-01-22T00:05:00"), ("ü", "at noon"), ("c", "2026-01-22"))
    )
    value = (report + "</testsuites>").encode()
    found = ids(several(value))
    assert [str(each).partition("@")[0] for each in found] == ["junit:a", "bad_time", "junit:c"]
    assert unfold(value)[1].value == suite.format("ü", "at noon").encode()


def test_x20_dbt_has_one_execution_with_its_steps() -> None:
    value = (PAYLOADS / "dbt_run_results.json").read_bytes()
    assert len(unfold(value)) == 1
    assert ids(several(array(value, OWN[0])))[1] == "e0"


def test_x20_scores_and_runs_too_and_what_belongs_elsewhere_is_refused_by_itself() -> None:
    scores = array(encode(score("a")), OWN[0], encode(score("b")))
    found = several(scores, (), decode_score)
    assert [getattr(each, "entity_id", each) for each in found] == ["a", "missing_field", "b"]
    run = encode(EXAMPLES["score-run"])
    assert len(several(array(run, run), (), decode_score_run)) == 2
    assert several(array(GITHUB, encode(score("a"))), (), decode_score)[0] == "unsupported_format"


def test_x20_only_topics_that_others_write_to_hold_arrays() -> None:
    action = encode(EXAMPLES["action"])
    with pytest.raises(RefusedError) as caught:
        decode_action(array(action, action), (), -1)
    assert not isinstance(caught.value, SeveralEventsError)
    assert caught.value.reason == "wrong_type"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"[]", "wrong_type"),
        (b" [ ] ", "wrong_type"),
        (connect(b"[]"), "wrong_type"),
        (b"[1]", "wrong_type"),
        (b"[[[[[[[[1]]]]]]]]", "wrong_type"),
        (b"[{}", "not_json"),
        (b"[{}]]", "not_json"),
        (b"[" * 100_000, "wrong_type"),
        (b"[{}," * 1_000, "wrong_type"),
        (array(*[b"{}"] * (MOST_EVENTS + 1)), "too_large"),
        (array(*[array(*[b"1"] * 100)] * 200), "too_large"),
        (array(*[b"1"] * 490_000), "too_large"),
        (array(*[b"{}"] * 500_000), "too_large"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_x20_what_is_no_record_of_events_is_refused_as_a_whole(value: bytes, reason: str) -> None:
    with pytest.raises(RefusedError) as caught:
        decode_completion(value, (), -1)
    assert not isinstance(caught.value, SeveralEventsError) and caught.value.reason == reason
    if reason == "too_large" and len(value) <= 1_000_000:
        assert "publish at most 10,000" in caught.value.message


def test_x20_each_of_what_is_wrong_in_an_array_has_its_reason() -> None:
    bad = [b"null", b"3", b'"text"', b"[]", b"{}", b'{"execution_id":1}', b"[7]", debezium(b"null")]
    reasons = several(array(OWN[0], *bad, OWN[1]))
    assert ids(reasons[:1] + reasons[-1:]) == ["e0", "e1"]
    assert len(reasons) == len(bad) + 2 and reasons[-2] == "ignored"
    assert all(isinstance(each, str) for each in reasons[1:-1])


def test_x20_what_is_kept_of_refused_entries_is_bounded() -> None:
    """A mapping's refusals have no bytes of their own, so each would be kept with those of the record."""
    entry = b'{"resourceSpans":"' + b"x" * 300 + b'"}'
    value = array(*[entry] * 3_000)
    kept = unfold(value, most=MOST_EVENTS)
    assert all(each.error is not None for each in kept)
    assert sum(len(each.value) for each in kept) <= 4_000_000


def test_the_headers_of_an_entry_name_no_envelope() -> None:
    headers = [("Content-Type", BATCH.encode()), ("ce_id", b"1"), ("mode", b"backfill"), ("traceparent", b"00")]
    assert headers_within(headers) == headers[2:]


def test_x20_json_lines_in_a_record_are_events_each() -> None:
    first, second = OWN[:2]
    for value in (first + b"\n" + second, b"\n" + first + b"\r\n\r\n" + second + b"\r\n"):
        with pytest.raises(SeveralEventsError) as several:
            decode_completion(value, (), -1)
        assert [entry.value.strip() for entry in several.value.entries] == [first, second]
    with pytest.raises(SeveralEventsError) as several:
        decode_completion(first + b"\n{half\n" + second, (), -1)
    assert [entry.value.strip() for entry in several.value.entries] == [first, b"{half", second]
    pretty = json.dumps(json.loads(first), indent=1).encode()
    assert decode_completion(pretty, (), -1) == decode_completion(first, (), -1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'{"build": 1}', "no event with execution_id.*docs/sources.md"),
        (encode(score()), "an event of another topic; publish it to scores"),
        (OWN[0].replace(b'"started_at":"', b'"started_at":7,"x":"'), "a number where a time is expected.*in a mapping"),
        (b"{}", "the field execution_id is missing; send it"),
        (b'{"build": 1}\0\0', "not JSON"),
        (b'{"build": 1', "not JSON"),
        (gzip.compress(b"{}", mtime=0), "compressed with gzip; publish the JSON"),
        (b"\x28\xb5\x2f\xfd\x04", "compressed with zstd; publish the JSON"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16; encode the event as UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-16; encode the event as UTF-8"),
        (b"x\0\0\0", "not JSON"),
    ],
)
def test_x20_what_is_no_event_is_refused_with_what_to_publish(value: bytes, text: str) -> None:
    with pytest.raises(RefusedError, match=text):
        decode_completion(value, (), -1)
