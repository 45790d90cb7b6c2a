"""Every value that the contract refuses, its reason, and that the message names what to do without repeating it."""

import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_detector.events import RefusedError
from stream_detector.events.decode import decode_action, decode_completion, decode_score, decode_score_run
from stream_detector.events.documents import MAX_BYTES, MAX_DEPTH
from stream_detector.events.refused import Reason
from tests.unit.events.samples import AT_MS, COMPLETION, action, completion, score, score_run

_LESS = {name: value for name, value in COMPLETION.items() if name != "workflow_id"}


def _nested(levels: int) -> Any:
    return "[" * levels + "]" * levels


def _with_raw(field: str, raw: bytes) -> bytes:
    return completion(RAW=1).replace(b'"RAW": 1', b'"%s": %s' % (field.encode(), raw))


REFUSED_COMPLETIONS: list[tuple[str, bytes | None, Reason]] = [
    ("no value", None, "null_value"),
    ("empty", b"", "not_json"),
    ("not JSON", b"hello", "not_json"),
    ("cut off", completion()[:-5], "not_json"),
    ("a byte after it", completion() + b"x", "not_json"),
    ("a control character", _with_raw("workflow_name", b'"a\x01"'), "not_json"),
    ("an array", b"[]", "wrong_type"),
    ("null", b"null", "wrong_type"),
    ("wrong type", completion(workflow_id=7), "wrong_type"),
    ("a flag as a number", completion(duration_s=True), "wrong_type"),
    ("a fraction of an attempt", completion(attempt=1.5), "wrong_type"),
    ("null for a list", completion(steps=None), "wrong_type"),
    ("a time as a number", completion(started_at=1769040300), "wrong_type"),
    ("missing field", str(_LESS).replace("'", '"').encode(), "missing_field"),
    ("empty id", completion(execution_id=""), "missing_field"),
    ("unknown status", completion(status="SECRET"), "unknown_value"),
    ("NaN", _with_raw("duration_s", b"NaN"), "bad_number"),
    ("infinity", _with_raw("duration_s", b"Infinity"), "bad_number"),
    ("minus infinity", _with_raw("duration_s", b"-Infinity"), "bad_number"),
    # A number in quotes is one since X20; what is no number of JSON in them is none. See test_written.py.
    ("no number as text", completion(duration_s="fast"), "bad_number"),
    ("a decimal comma", completion(duration_s="1,5"), "bad_number"),
    ("attempt as text", completion(attempt="first"), "bad_number"),
    ("used as text", completion(resources={"memory": {"used": "0x1"}}), "bad_number"),
    ("beyond 1e12 as text", completion(duration_s="1100000000000"), "out_of_range"),
    ("beyond what a float holds", _with_raw("duration_s", b"1e400"), "out_of_range"),
    ("400 digits", _with_raw("duration_s", b"9" * 400), "out_of_range"),
    ("beyond 1e12", completion(duration_s=1.1e12), "out_of_range"),
    ("negative duration", completion(duration_s=-0.1), "out_of_range"),
    ("negative duration of a step", completion(steps=[{"name": "x", "duration_s": -1}]), "out_of_range"),
    ("a limit of 0", completion(resources={"memory": {"used": 1, "limit": 0}}), "out_of_range"),
    ("attempt 0", completion(attempt=0), "out_of_range"),
    ("end before start", completion(started_at="2026-01-22T00:05:01Z"), "end_before_start"),
    ("no zone", completion(started_at="2026-01-22T00:00:00"), "no_zone"),
    ("no time", completion(started_at="yesterday"), "bad_time"),
    ("year 1970", completion(started_at="1970-01-01T00:00:00Z"), "bad_time"),
    ("year 2100", completion(finished_at="2100-01-01T00:00:00Z"), "bad_time"),
    ("year 1", completion(started_at="0001-01-01T00:00:00+14:00"), "bad_time"),
    ("the future", completion(finished_at="2026-01-22T00:20:00Z"), "future"),
    ("10 MB", completion(workflow_name="x" * 10_000_000), "too_large"),
    ("one byte too many", completion(more="x" * MAX_BYTES), "too_large"),
    ("nested deeply", _with_raw("more", _nested(MAX_DEPTH).encode()), "too_deep"),
    ("nested deeply in turns", _with_raw("more", b'[{"a":' * 64 + b"1" + b"}]" * 64), "too_deep"),
    ("nested deeply, brackets in text", _with_raw("more", b'["}]",' * 128 + b"1" + b"]" * 128), "too_deep"),
    ("nested beyond the interpreter", _with_raw("more", _nested(200_000).encode()), "too_deep"),
    ("unclosed beyond the interpreter", b"[" * 500_000, "wrong_type"),
    ("U+0000", completion(workflow_name="a\0b"), "nul_character"),
    ("U+0000 in an unknown field", completion(more={"a": ["\0"]}), "nul_character"),
    ("U+0000 in a name of a label", completion(labels={"\0": "x"}), "nul_character"),
    ("not UTF-8", _with_raw("workflow_name", b'"\xff"'), "not_utf8"),
    ("not UTF-8 in an unknown field", _with_raw("more", b'"\xff"'), "not_utf8"),
    ("half a surrogate pair", _with_raw("workflow_name", b'"\\ud800"'), "not_utf8"),
    ("half a surrogate pair in an unknown field", _with_raw("more", b'"\\ud800"'), "not_utf8"),
    ("UTF-16", completion().decode().encode("utf-16"), "not_utf8"),
    ("id of 257 characters", completion(execution_id="x" * 257), "too_long"),
    ("name of 513 characters", completion(workflow_name="x" * 513), "too_long"),
    ("1,001 steps", completion(steps=[{"name": "x"}] * 1001), "too_long"),
    ("65 labels", completion(labels={str(i): "x" for i in range(65)}), "too_long"),
    ("long label", completion(labels={"x": "x" * 513}), "too_long"),
    ("long name of a label", completion(labels={"x" * 257: "x"}), "too_long"),
    ("a url that is a script", completion(url="javascript:alert(1)"), "bad_url"),
    ("a url with a line break", completion(url="https://example.org\n"), "bad_url"),
    ("a url with a space", completion(url="https://example.org/a b"), "bad_url"),
    ("url of 2,049 characters", completion(url="https://" + "x" * 2041), "too_long"),
]


@pytest.mark.parametrize(("what", "value", "reason"), REFUSED_COMPLETIONS, ids=[row[0] for row in REFUSED_COMPLETIONS])
def test_completion_is_refused(what: str, value: bytes | None, reason: Reason) -> None:
    with pytest.raises(RefusedError) as caught:
        decode_completion(value, (), AT_MS)
    assert caught.value.reason == reason
    assert "SECRET" not in caught.value.message
    assert re.search(
        "; (send|add|check|correct|omit|shorten|remove|not a value|not one|encode|see|round)", str(caught.value)
    ) or (reason == "unknown_value")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ('"5,8"', "bad_number"),
        ('"0.123456789012345678901"', "bad_number"),
        ('""', "bad_number"),
        ('"1e13"', "out_of_range"),
        ("NaN", "bad_number"),
        ("-Infinity", "bad_number"),
        ("0.123456789012345678901", "bad_number"),
        ("1.00000000000000000000", "bad_number"),
        ("1e-21", "bad_number"),
        ("1" * 100, "out_of_range"),
        ("1000000000000.1", "out_of_range"),
        ("1e13", "out_of_range"),
        ("-1e400", "out_of_range"),
        ("1e99999999999999999999", "out_of_range"),
        ("true", "wrong_type"),
        ("null", "wrong_type"),
        ("[]", "wrong_type"),
        ("01", "not_json"),
    ],
)
def test_number_of_a_score_is_refused(raw: str, reason: Reason) -> None:
    with pytest.raises(RefusedError) as caught:
        decode_score(score(raw), (), AT_MS)
    assert caught.value.reason == reason
    if raw != "null":
        with pytest.raises(RefusedError) as caught:
            decode_score(score("1", previous_score="BEFORE").replace(b'"BEFORE"', raw.encode()), (), AT_MS)
        assert caught.value.reason == reason


def test_future_and_unbelievable_times_of_the_other_events() -> None:
    for decode, value, reason in (
        (decode_score, score(scored_at="2026-01-22T01:00:00Z"), "future"),
        (decode_score, score(scored_at="1970-01-01T00:00:00Z"), "bad_time"),
        (decode_score_run, score_run(at="2026-01-22T01:00:00Z"), "future"),
        (decode_score_run, score_run(at="2100-01-01T00:00:00Z"), "bad_time"),
        (decode_score_run, score_run(expected=-1), "out_of_range"),
        (decode_action, action(at="2026-01-22T01:00:00Z"), "future"),
        (decode_action, action(until="2200-01-22T01:00:00Z"), "bad_time"),
        (decode_action, action(entity=""), "missing_field"),
        (decode_action, action(kind="silence", entity=""), "missing_field"),
        (decode_action, action(kind="explode"), "unknown_value"),
    ):
        with pytest.raises(RefusedError) as caught:
            decode(value, (), AT_MS)  # type: ignore[operator]
        assert caught.value.reason == reason, value


def test_every_reason_is_a_known_one() -> None:
    assert {reason for *_, reason in REFUSED_COMPLETIONS} <= set(get_args(Reason))


_HEADER_NAMES = st.sampled_from(["content-type", "ce_specversion", "ce_type", "mode"])
_HEADER_VALUES = st.binary(max_size=40) | st.sampled_from([b"application/cloudevents+json", b"1.0"]) | st.none()


@given(
    st.binary(max_size=400)
    | st.text(max_size=200).map(str.encode)
    | st.tuples(st.binary(max_size=3), st.integers(0, 150), st.binary(max_size=3)).map(
        lambda cut: completion()[: cut[1]] + cut[0] + completion()[cut[1] :] + cut[2]
    ),
    st.lists(st.tuples(_HEADER_NAMES, _HEADER_VALUES), max_size=3),
)
def test_no_bytes_raise_anything_else(value: bytes, headers: list[tuple[str, bytes | None]]) -> None:
    for decode in (decode_completion, decode_score, decode_score_run, decode_action):
        for framed in (value, b"\0\0\0\0\1" + value):
            try:
                decode(framed, headers, AT_MS)
            except RefusedError as error:
                assert error.reason in get_args(Reason)
