"""The published schemas agree with the types, with the decoders, and with the list of topics."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from stream_detector.events import RefusedError
from stream_detector.events import examples as e
from stream_detector.events.dead_letter import dead_letter_headers
from stream_detector.events.decode import (
    decode_action,
    decode_anomaly,
    decode_completion,
    decode_notification,
    decode_run_summary,
    decode_score,
    decode_score_run,
)
from stream_detector.events.encode import encode
from stream_detector.kafka.topics import BY_NAME, TOPICS
from tests.unit.events.samples import action, completion, score, score_run

FOLDER = Path(__file__).parents[2] / "schemas"
FAR_MS = 4_102_444_800_000
ASYNC_API = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text("utf-8"))


@cache
def validator(name: str) -> Draft202012Validator:
    schema = json.loads((FOLDER / f"{name}.v1.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("name", sorted(e.EXAMPLES))
def test_each_example_is_valid(name: str) -> None:
    assert not [*validator(name).iter_errors(json.loads(encode(e.EXAMPLES[name])))]


def test_a_dead_letters_headers_are_valid() -> None:
    error = RefusedError("decode", "not_json", "not JSON")
    headers = dead_letter_headers([], topic="scores", partition=0, offset=1, timestamp_ms=-1, error=error)
    texts = {name: (value or b"").decode() for name, value in headers}
    assert texts and not [*validator("dead-letter").iter_errors(texts)]


def _accepts(decode: Callable[..., Any], value: bytes) -> bool:
    try:
        decode(value, (), FAR_MS)
    except (RefusedError, msgspec.ValidationError):
        return False
    return True


GOOD_AND_BAD: list[tuple[str, Callable[..., Any], bytes]] = [
    ("workflow-completion", decode_completion, value)
    for value in (
        completion(),
        encode(e.COMPLETION),
        completion(unknown=[1]),
        completion(duration_s=None, workflow_name=None, url=None),
        completion(duration_s=0),
        completion(started_at="2026-01-22T01:00:00+01:00"),
        completion(steps=[{"name": "x"}] * 1000),
        completion(execution_id="x" * 256, url="https://" + "x" * 2040),
        completion(execution_id="x" * 257),
        completion(execution_id=""),
        completion(workflow_id=7),
        completion(workflow_name="x" * 513),
        completion(status="green"),
        completion(duration_s=-1),
        completion(duration_s="1"),
        completion(duration_s="1,5"),
        completion(attempt="2", steps=[{"name": "x", "duration_s": "1.5"}]),
        completion(resources={"memory": {"used": "1"}}),
        completion(resources={"memory": {"used": "a lot"}}),
        completion(started_at="2026-01-22 00:00:00+00"),
        completion(started_at="2026-01-22T00:00Z[UTC]"),
        completion(started_at="Thu Jan 22 00:00:00 UTC 2026"),
        completion(started_at="2026-01-22"),
        completion(duration_s=2e12),
        completion(duration_s=True),
        completion(started_at="2026-01-22T00:00:00"),
        completion(started_at=1769040300),
        completion(attempt=0),
        completion(attempt=1.5),
        completion(steps=None),
        completion(steps=[{"name": "x"}] * 1001),
        completion(steps=[{"status": "success"}]),
        completion(resources={"memory": {"used": 1, "limit": 0}}),
        completion(resources={"memory": {"used": "1"}}),
        completion(labels={str(i): "x" for i in range(65)}),
        completion(labels={"x" * 257: "x"}),
        completion(labels={"x": 1}),
        completion(url="ftp://example.org"),
        completion(url="https://example.org\n"),
        completion(url="https://" + "x" * 2041),
        b'{"execution_id":"1"}',
        b"[]",
        b"null",
    )
]
_START = json.loads(encode(e.START))
GOOD_AND_BAD += [
    ("workflow-start", decode_completion, json.dumps(_START | changes).encode())
    for changes in (
        {},
        {"unknown": 1},
        {"queued_at": None, "limit_s": None, "variant": None, "source": None},
        {"started_at": "2026-01-22 00:00:00+00", "limit_s": "90", "attempt": "2"},
        {"state": "queued"},
        {"limit_s": 0},
        {"limit_s": "1h"},
        {"attempt": 0},
        {"source": "x" * 65},
        {"source": ""},
        {"execution_id": ""},
        {"started_at": "2026-01-22T00:00:00"},
        {"url": "ftp://example.org"},
    )
]
GOOD_AND_BAD += [
    ("score", decode_score, value)
    for value in (
        score("7.50"),
        score("-1e12"),
        score(previous_score=None),
        score(previous_score=7),
        encode(e.SCORE),
        score('"7.5"'),
        score("null"),
        score("1.1e12"),
        score(previous_score="7"),
        score(entity_name=None),
        score(scored_at="now"),
        score(scored_at="2026-01-22"),
        score('"7,5"'),
        score(previous_score="7.50"),
        score(run_id=""),
    )
]
GOOD_AND_BAD += [
    ("score-run", decode_score_run, value)
    for value in (
        score_run(),
        score_run(expected=0),
        score_run(expected=-1),
        score_run(status="begun"),
        score_run(run_id="x" * 257),
    )
]
GOOD_AND_BAD += [
    ("action", decode_action, value)
    for value in (action(), encode(e.ACTION), action(kind="explode"), action(by=None), action(matchers={"a": 1}))
]


@pytest.mark.parametrize(("name", "decode", "value"), GOOD_AND_BAD, ids=[str(i) for i in range(len(GOOD_AND_BAD))])
def test_schema_and_decoder_agree(name: str, decode: Callable[..., Any], value: bytes) -> None:
    assert validator(name).is_valid(json.loads(value)) == _accepts(decode, value)


def test_schema_and_decoder_agree_on_what_we_write() -> None:
    for name, decode in (
        ("anomaly", decode_anomaly),
        ("run-summary", decode_run_summary),
        ("notification", decode_notification),
    ):
        good = json.loads(encode(e.EXAMPLES[name]))
        for field in good:
            for changed in (
                {k: v for k, v in good.items() if k != field},
                good | {field: ["no"]},
                good | {field: None},
            ):
                accepted = True
                try:
                    decode(msgspec.json.encode(changed))
                except RefusedError:
                    accepted = False
                assert validator(name).is_valid(changed) == accepted, (name, field, changed.get(field))


def test_every_topic_is_in_the_asyncapi_document() -> None:
    assert ASYNC_API["asyncapi"].startswith("3.")
    assert {channel["address"] for channel in ASYNC_API["channels"].values()} == set(BY_NAME)
    for topic in TOPICS:
        channel = ASYNC_API["channels"][topic.name]
        kafka = channel["bindings"]["kafka"]
        said = kafka["topicConfiguration"] | {"cleanup.policy": ",".join(kafka["topicConfiguration"]["cleanup.policy"])}
        assert {name: str(value) for name, value in said.items()} == topic.config(), topic.name
        assert kafka.get("partitions") == topic.partitions
        assert (channel["x-key"], channel["x-written-by"]) == (topic.key, topic.written_by)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    def references(item: Any) -> list[str]:
        if isinstance(item, dict):
            return [item["$ref"]] if "$ref" in item else [r for value in item.values() for r in references(value)]
        return [r for value in item for r in references(value)] if isinstance(item, list) else []

    for reference in references(ASYNC_API):
        if reference.startswith("./"):
            assert (FOLDER / reference).is_file(), reference
            continue
        place: Any = ASYNC_API
        for word in reference.removeprefix("#/").split("/"):
            place = place[word]


def test_every_message_of_the_asyncapi_document_has_the_example_of_its_schema() -> None:
    messages = ASYNC_API["components"]["messages"]
    of_schema = {
        message["payload"]["schema"]["$ref"].removeprefix("./").removesuffix(".v1.json"): message["examples"]
        for message in messages.values()
        if "schema" in message["payload"]
    }
    assert {name: [ex["payload"] for ex in examples] for name, examples in of_schema.items()} == {
        name: [json.loads(encode(event))] for name, event in e.EXAMPLES.items()
    }
    validator("dead-letter").validate(messages["deadLetter"]["examples"][0]["headers"])


def test_the_cloud_event_of_alerts_is_described_as_it_is_sent() -> None:
    (trait,) = ASYNC_API["components"]["messages"]["anomaly"]["traits"]
    headers = ASYNC_API["components"]["messageTraits"][trait["$ref"].rpartition("/")[2]]["headers"]
    assert headers["properties"]["ce_type"]["enum"] == ["stream_detector.anomaly.v1"]
    assert set(headers["required"]) == set(headers["properties"])
