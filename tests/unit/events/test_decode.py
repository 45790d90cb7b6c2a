from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec import UNSET

from stream_detector.events import RefusedError
from stream_detector.events.completion import recorded_duration_s
from stream_detector.events.decode import (
    decode_action,
    decode_completion,
    decode_score,
    decode_score_run,
    is_backfill,
)
from stream_detector.events.encode import encode
from stream_detector.events.times import EARLIEST_MS, epoch_ms
from tests.unit.events.samples import AT_MS, action, completion, score, score_run


def test_the_least_completion_is_enough() -> None:
    event = decode_completion(completion(), (), AT_MS)
    assert (event.workflow_id, event.status, event.attempt, event.steps) == ("nightly", "success", 1, [])
    assert event.finished_at == datetime(2026, 1, 22, 0, 5, tzinfo=UTC)


def test_x4_a_duration_that_is_absent_and_one_that_is_null_are_two_things() -> None:
    absent, null, zero = (
        decode_completion(completion(**fields), (), AT_MS) for fields in ({}, {"duration_s": None}, {"duration_s": 0})
    )
    assert (absent.duration_s, null.duration_s, zero.duration_s) == (UNSET, None, 0)
    assert [recorded_duration_s(event) for event in (absent, null, zero)] == [300.0, 0.0, 0.0]
    assert [decode_completion(encode(event), (), AT_MS) for event in (absent, null, zero)] == [absent, null, zero]
    assert b"duration_s" not in encode(absent) and b'"duration_s":null' in encode(null)


def test_x4_times_that_are_the_same_say_no_duration() -> None:
    event = decode_completion(completion(started_at="2026-01-22T00:05:00Z"), (), AT_MS)
    assert recorded_duration_s(event) == 0.0


def test_x4_times_in_two_zones_and_fractions_of_a_second() -> None:
    event = decode_completion(
        completion(started_at="2026-01-22T01:00:00.25+01:00", finished_at="2026-01-22T00:00:01Z"), (), AT_MS
    )
    assert recorded_duration_s(event) == 0.75


def test_unknown_fields_are_left_aside() -> None:
    event = decode_completion(completion(later={"a": [1, None]}, steps=[{"name": "x", "new": 1}]), (), AT_MS)
    assert event.steps[0].name == "x"


def test_instants_become_utc() -> None:
    event = decode_completion(completion(started_at="2026-01-22T02:00:00+02:00"), (), AT_MS)
    assert event.started_at == datetime(2026, 1, 22, tzinfo=UTC)
    assert event.started_at.tzinfo is UTC
    assert decode_score(score(scored_at="2026-01-22T01:05:00+01:00"), (), AT_MS).scored_at.tzinfo is UTC
    assert decode_score_run(score_run(at="2026-01-22T01:05:00+01:00"), (), AT_MS).at.tzinfo is UTC
    assert decode_action(action(until="2036-01-22T01:05:00+01:00"), (), AT_MS).until == datetime(
        2036, 1, 22, 0, 5, tzinfo=UTC
    )


def test_s03_scores_keep_their_digits() -> None:
    difference = decode_score(score("8.2"), (), AT_MS).score - decode_score(score("7.7"), (), AT_MS).score
    assert difference == Decimal("0.5")
    assert str(decode_score(score("7.50"), (), AT_MS).score) == "7.50"
    assert str(decode_score(score("0.12345678901234567891"), (), AT_MS).score) == "0.12345678901234567891"
    assert str(decode_score(score("1e3"), (), AT_MS).score) == "1000"
    assert decode_score(score("-1e12"), (), AT_MS).score == Decimal(-(10**12))


def test_s05_no_previous_score_differs_from_an_unknown_one() -> None:
    assert decode_score(score(), (), AT_MS).previous_score is UNSET
    assert decode_score(score(previous_score=None), (), AT_MS).previous_score is None
    assert decode_score(score(previous_score=7), (), AT_MS).previous_score == Decimal(7)


def test_ten_minutes_ahead_of_the_record_is_not_yet_the_future() -> None:
    ten_minutes_ms = 600_000
    assert decode_completion(completion(), (), AT_MS - ten_minutes_ms)
    with pytest.raises(RefusedError, match=r"^future"):
        decode_completion(completion(), (), AT_MS - ten_minutes_ms - 1)


@pytest.mark.parametrize("record_ms", [-1, -(2**62), 0, AT_MS // 1000, EARLIEST_MS - 1])
def test_x11_a_record_timestamp_before_2000_is_not_believed(record_ms: int) -> None:
    assert decode_completion(completion(), (), record_ms)
    assert decode_score(score(), (), record_ms)
    assert decode_score_run(score_run(), (), record_ms)
    assert decode_action(action(), (), record_ms)


def test_x11_a_record_from_2000_on_is_believed() -> None:
    with pytest.raises(RefusedError, match=r"^future"):
        decode_completion(completion(), (), EARLIEST_MS)


@pytest.mark.parametrize("off_ms", [0, -60_000, 60_000])
def test_x11_a_run_that_is_stamped_with_its_start_is_no_future(off_ms: int) -> None:
    value = completion(started_at="2026-01-22T00:00:00Z", finished_at="2026-01-23T09:00:00Z")
    start_ms = epoch_ms(datetime(2026, 1, 22, tzinfo=UTC))
    assert decode_completion(value, (), start_ms + off_ms).finished_at.day == 23
    for other in (start_ms - 60_001, start_ms + 60_001):
        with pytest.raises(RefusedError, match=r"^future"):
            decode_completion(value, (), other)


def test_x11_a_year_is_no_run() -> None:
    value = completion(started_at="2026-01-22T00:00:00Z", finished_at="2027-01-22T00:00:00Z")
    with pytest.raises(RefusedError, match=r"^future"):
        decode_completion(value, (), epoch_ms(datetime(2026, 1, 22, tzinfo=UTC)))


def test_x11_what_is_refused_says_which_clock_it_means() -> None:
    with pytest.raises(RefusedError) as caught:
        decode_completion(completion(), (), AT_MS - 7_200_000)
    assert "$.finished_at 2026-01-22T00:05:00Z is more than 10 minutes after the record timestamp" in str(caught.value)
    assert "2026-01-21T22:05:00Z; correct the clock that gave $.finished_at, or the one that stamps" in str(
        caught.value
    )


def test_silence_by_matchers_needs_no_entity_and_may_end_in_the_future() -> None:
    value = action(kind="silence", entity="", matchers={"team": "core"}, until="2030-01-01T00:00:00Z")
    event = decode_action(value, (), AT_MS)
    assert event.matchers == {"team": "core"}


def test_backfill_is_a_header() -> None:
    assert is_backfill([("trace", b"1"), ("mode", b"backfill")])
    assert not is_backfill([("mode", b"live"), ("Mode", None)])
    assert not is_backfill([])


def test_a_thousand_steps_and_text_with_brackets_are_no_nesting() -> None:
    steps = [{"name": "a]}[{", "status": "success"}] * 1000
    assert len(decode_completion(completion(steps=steps), (), AT_MS).steps) == 1000


def test_an_escaped_backslash_is_not_the_character() -> None:
    assert decode_completion(completion(workflow_name="\\u0000 \\ud800"), (), AT_MS).workflow_name == "\\u0000 \\ud800"
    assert decode_completion(completion(workflow_name="😀"), (), AT_MS).workflow_name == "😀"
