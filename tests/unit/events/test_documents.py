"""What holds for a whole document, at its edges."""

import msgspec
import pytest

from stream_detector.events import RefusedError
from stream_detector.events.decode import decode_completion
from stream_detector.events.documents import MAX_BYTES, MAX_DEPTH, SHALLOW_BYTES, check_document
from stream_detector.events.reasons import refusal_for
from tests.unit.events.samples import AT_MS, completion, score_run


def reason_of(value: bytes) -> str:
    with pytest.raises(RefusedError) as caught:
        check_document(value)
    return caught.value.reason


def test_the_deepest_and_the_largest_that_are_accepted() -> None:
    check_document(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert reason_of(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)) == "too_deep"
    room = MAX_BYTES - len(completion(more=""))
    assert decode_completion(completion(more="x" * room), (), AT_MS)
    with pytest.raises(RefusedError, match=r"^too_large"):
        decode_completion(completion(more="x" * (room + 1)), (), AT_MS)


def test_brackets_in_text_are_no_nesting() -> None:
    check_document(b'["' + b"[" * 500 + b'",' + b"[" * 100 + b"]" * 100 + b"]")
    assert reason_of(b'["' + b"[" * 500 + b'",' + b"[" * 128 + b"]" * 128 + b"]") == "too_deep"


def test_no_event_of_so_few_bytes_can_nest_too_deeply() -> None:
    shortest = score_run(run_id="r", status="failed").replace(b" ", b"")
    assert len(shortest) + len(b',"":') + 2 * MAX_DEPTH > SHALLOW_BYTES


def test_what_only_the_second_look_sees() -> None:
    assert reason_of(b"[" * 50_000 + b"]" * 50_000) == "too_deep"
    assert reason_of(b'{"a":"\\ud800"}') == "not_utf8"
    assert reason_of(b'{"a":"\xff"}') == "not_utf8"


def test_errors_that_no_rule_knows_still_have_a_reason() -> None:
    assert refusal_for(msgspec.ValidationError("in other words"), b"{}").reason == "wrong_type"
    assert refusal_for(msgspec.DecodeError("cut"), b'{"a":NaN,"b":' + b"[" * 100_000).reason == "too_deep"
