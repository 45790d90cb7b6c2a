import pytest

from stream_detector.events import RefusedError
from stream_detector.events.dead_letter import PREFIX, dead_letter_headers, read_dead_letter

ERROR = RefusedError("validate", "bad_number", "$.duration_s: a number sent as a string; send it without quotes")
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
