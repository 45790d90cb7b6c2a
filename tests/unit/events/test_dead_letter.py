from hashlib import sha256

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.dead_letter import (
    CUT,
    CUT_BYTES,
    PREFIX,
    cut_dead_letter,
    dead_letter_headers,
    read_dead_letter,
    record_bytes,
)

ERROR = RefusedError("validate", "bad_number", "$.duration_s: the text is not a number; send it as, for example, 7.5")
OWN: list[tuple[str, bytes | None]] = [("trace", b"\xff\x00"), ("empty", None)]


def test_the_headers_say_where_from_and_why() -> None:
    headers = dead_letter_headers(OWN, topic="scores", partition=3, offset=42, timestamp_ms=1769040300000, error=ERROR)
    letter = read_dead_letter(headers)
    assert (letter.topic, letter.partition, letter.offset, letter.timestamp_ms) == ("scores", 3, 42, 1769040300000)
    assert (letter.stage, letter.reason, letter.message) == (ERROR.stage, ERROR.reason, ERROR.message)
    assert letter.headers == OWN


def test_the_names_are_kafka_connects() -> None:
    headers = dict(dead_letter_headers([], topic="t", partition=0, offset=1, timestamp_ms=2, error=ERROR))
    assert headers["__connect.errors.topic"] == b"t"
    assert headers["__connect.errors.partition"] == b"0"
    assert headers["__connect.errors.offset"] == b"1"
    assert headers["__connect.errors.stage"] == b"validate"
    assert headers["__connect.errors.exception.message"] == ERROR.message.encode()


def test_of_a_record_refused_twice_the_last_reason_counts() -> None:
    first = dead_letter_headers(OWN, topic="t", partition=0, offset=1, timestamp_ms=2, error=ERROR)
    again = RefusedError("store", "rejected_by_store", "the database refuses it")
    letter = read_dead_letter(dead_letter_headers(first, topic="t", partition=0, offset=9, timestamp_ms=2, error=again))
    assert (letter.offset, letter.reason, letter.headers) == (9, "rejected_by_store", OWN)


def test_a_long_message_is_cut_and_half_a_character_replaced() -> None:
    error = RefusedError("step", "step_failed", "\ud800" + "x" * 5000)
    letter = read_dead_letter(dead_letter_headers([], topic="t", partition=0, offset=1, timestamp_ms=2, error=error))
    assert letter.message == "?" + "x" * 999


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "missing_field"),
        ([(PREFIX + name, b"x") for name in ("topic", "partition", "offset", "stage")], "wrong_type"),
        ([(PREFIX + name, b"\xff") for name in ("topic", "partition", "offset", "stage")], "wrong_type"),
    ],
)
def test_a_letter_of_another_program_is_refused(headers: list[tuple[str, bytes]], reason: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_dead_letter(headers)
    assert caught.value.reason == reason


def test_a_letter_of_kafka_connect_itself_is_read() -> None:
    headers = {"topic": b"t", "partition": b"0", "offset": b"1", "stage": b"VALUE_CONVERTER"}
    letter = read_dead_letter([(PREFIX + name, value) for name, value in headers.items()])
    assert (letter.timestamp_ms, letter.reason, letter.message) == (-1, "unsupported_format", "")


def test_x10_a_letter_that_is_too_large_keeps_a_part_of_each_and_the_hash_of_the_whole() -> None:
    headers = [("a", b"x" * 20_000_000), ("b", b"short"), ("n" * 40_000, None)]
    whole = dead_letter_headers(
        headers, topic="scores", partition=3, offset=7, timestamp_ms=9, error=RefusedError("decode", "not_json", "no")
    )
    key, value, kept = cut_dead_letter(b"k", b"y" * 3_000_000, whole)
    assert 900_000 < record_bytes(key, value, kept) <= CUT_BYTES + 2_000
    assert (key, value) == (b"k", b"y" * len(value)) and len(value) > 400_000
    letter = read_dead_letter(kept)
    assert [name for name, _ in letter.headers] == ["a", "b", "n" * 40_000]
    assert letter.headers[1] == ("b", b"short") and len(letter.headers[0][1]) > 400_000
    digest = sha256(b"k" + b"y" * 3_000_000 + b"a" + b"x" * 20_000_000 + b"b" + b"short" + b"n" * 40_000).hexdigest()
    assert (letter.is_cut, letter.whole_value_bytes, letter.offset) == (True, 3_000_000, 7)
    assert dict(kept)[CUT + "sha256"] == digest.encode()
    assert letter.message.startswith("no (kept cut; the whole record has 23") and digest in letter.message
    assert cut_dead_letter(key, value, kept, 50_000)[2][-3:] == kept[-3:], "cut once more, the whole is the same"


def test_x10_headers_without_number_are_cut_off() -> None:
    key, value, kept = cut_dead_letter(None, None, [(f"n{number}", b"x" * 100) for number in range(100_000)])
    assert (key, value, len(kept)) == (None, None, 1_000 + 2)


@pytest.mark.parametrize("timestamp", [b"4611686018427387904", b"-9", b"9" * 30])
def test_x10_a_timestamp_that_nobody_can_show_is_none(timestamp: bytes) -> None:
    letter = read_dead_letter(
        [(PREFIX + name, b"1") for name in ("topic", "partition", "offset", "stage")]
        + [(PREFIX + "timestamp", timestamp)]
    )
    assert letter.timestamp_ms == -1
