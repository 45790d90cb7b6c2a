"""Times and numbers as other programs write them (X20): read where they mean one thing, refused where they do not."""

from decimal import Decimal

import pytest

from stream_detector.events import Completion, RefusedError, Score
from stream_detector.events.decode import DECODERS, decode_completion, decode_score
from stream_detector.events.encode import encode
from stream_detector.events.times import from_epoch_ms
from stream_detector.events.written import rfc3339
from tests import events_made
from tests.unit.events.samples import AT_MS, completion, score, score_run

FIVE_PAST = [
    "2026-01-22 00:05:00+00",
    "2026-01-22 00:05:00.000+00:00",
    "2026-01-22T01:05:00+0100",
    "2026-01-22T00:05Z",
    "2026-01-22T01:05+01:00[Europe/Berlin]",
    "2026-01-22 00:05:00 UTC",
    "2026-01-22 00:05:00,000Z",
    "20260122T000500+0000",
    "Thu Jan 22 00:05:00 UTC 2026",
    "Thu, 22 Jan 2026 00:05:00 GMT",
    " 2026-01-22T00:05:00Z ",
]


@pytest.mark.parametrize("text", FIVE_PAST)
def test_x20_the_times_of_other_programs_are_that_instant(text: str) -> None:
    event = decode_completion(completion(finished_at=text), (), AT_MS)
    assert event.finished_at.isoformat() == "2026-01-22T00:05:00+00:00"
    assert decode_score(score(scored_at=text), (), AT_MS).scored_at == event.finished_at


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-01-22 00:05:00", "no_zone"),
        ("2026-01-22T00:05", "no_zone"),
        ("2026-01-22 00:05:00,5", "no_zone"),
        ("2026-01-22", "bad_time"),  # an execution takes less than a day
        ("22.01.2026 00:05:00", "bad_time"),
        ("01/02/2026 00:05:00 UTC", "bad_time"),
        ("Thu Jan 22 00:05:00 CET 2026", "bad_time"),
        ("2026-01-22 00:05:00 EST", "bad_time"),
        ("2026-02-30 00:05:00+00", "bad_time"),
        ("0000-01-22 00:05:00+00", "bad_time"),
        ("9999-01-22 00:05:00+00", "bad_time"),
        ("1769040300", "bad_time"),
    ],
)
def test_x20_what_could_be_another_instant_is_refused(text: str, reason: str) -> None:
    with pytest.raises(RefusedError) as caught:
        decode_completion(completion(finished_at=text), (), AT_MS)
    assert caught.value.reason == reason


def test_x20_a_day_is_enough_for_a_score() -> None:
    event = DECODERS["score"](score(scored_at="2026-01-22"), (), AT_MS)
    assert isinstance(event, Score) and event.scored_at.isoformat() == "2026-01-22T00:00:00+00:00"


def test_x20_numbers_in_quotes_keep_their_digits() -> None:
    assert str(decode_score(score('"7.50"', previous_score="7.5"), (), AT_MS).score) == "7.50"
    assert decode_score(score('"7.5"', previous_score="7.5"), (), AT_MS).previous_score == Decimal("7.5")
    value = completion(
        duration_s="298.4",
        attempt="2",
        steps=[{"name": "a", "duration_s": "1.5"}, {"name": "b"}],
        resources={"memory": {"used": "3.1", "limit": " 4 "}},
        labels={"build": "17"},
    )
    event = decode_completion(value, (), AT_MS)
    assert isinstance(event, Completion)
    assert (event.duration_s, event.attempt, event.steps[0].duration_s, event.steps[1].duration_s) == (
        298.4,
        2,
        1.5,
        None,
    )
    assert (event.resources["memory"].used, event.resources["memory"].limit, event.labels) == (3.1, 4, {"build": "17"})
    assert DECODERS["score_run"](score_run(expected="120"), (), AT_MS) == DECODERS["score_run"](
        score_run(expected=120), (), AT_MS
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("completion", completion(labels=None)),
        ("start", encode(events_made.start(started_at=from_epoch_ms(AT_MS)))[:-1] + b',"labels":null}'),
        ("score", score(labels=None)),
        ("score_run", score_run(labels=None)),
    ],
)
def test_x20_labels_that_are_null_are_none(kind: str, value: bytes) -> None:
    assert b'"labels":null' in value.replace(b" ", b"")
    event = DECODERS[kind](value, (), AT_MS)  # type: ignore[index]
    assert event.labels == {}
    with pytest.raises(RefusedError):
        DECODERS[kind](value.replace(b"null", b'"none"'), (), AT_MS)  # type: ignore[index]


def test_x20_a_status_that_is_no_status_names_those_that_are() -> None:
    with pytest.raises(RefusedError) as caught:
        decode_completion(completion(status="SUCCESS"), (), AT_MS)
    assert caught.value.message == (
        "$.status: not one of success, failure, error, timeout, cancellation, skip; in a file with other words, give "
        "each its value by a mapping (--map)"
    )
    with pytest.raises(RefusedError, match="not one of started, completed, failed"):
        DECODERS["score_run"](score_run(status="done"), (), AT_MS)


def test_a_fraction_is_kept_and_an_unknown_form_is_none() -> None:
    assert rfc3339("2026-01-22 00:05:00.123456+05:30") == "2026-01-22T00:05:00.123456+05:30"
    assert rfc3339("") is None and rfc3339("2026-01-22T00:05:00+1") is None
