"""X10: a batch that aiokafka's parser fails at, read record by record."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords

from stream_detector.events import RefusedError
from stream_detector.events.decode import decode_completion
from stream_detector.events.headers import UnreadableHeaders
from stream_detector.kafka import aiokafka_patches
from stream_detector.kafka.batch_reader import find_batch, read_batch
from tests.record_batches import CODECS, Written, batch_of, record_of, varint

GOOD = [Written(b"k%d" % number, b"v%d" % number, [(b"n", b"1")], 1_000 + number) for number in range(4)]
ODD = Written(b"odd", b"v", [(b"\xffx", b"1"), (b"ok", None)], 2_000)


@pytest.fixture(autouse=True)
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka as a role has it."""
    monkeypatch.setattr(PartitionRecords, "__next__", PartitionRecords.__next__)
    monkeypatch.setattr(PartitionRecords, "_consumer_record", PartitionRecords._consumer_record)
    monkeypatch.setattr(fetcher, "MemoryRecords", fetcher.MemoryRecords)
    aiokafka_patches.read_past_bad_records()
    aiokafka_patches.keep_parsed_records()


def parsed(data: bytes, offset: int = 0, aborted: list[tuple[int, int]] | None = None) -> tuple[list[Any], int]:
    """What a fetch gives, and where the next one begins."""
    found = PartitionRecords(
        TopicPartition("t", 0), fetcher.MemoryRecords(data), aborted, offset, None, None, True, fetcher.READ_COMMITTED
    )
    return list(found), found.next_fetch_offset


@pytest.mark.parametrize("codec", CODECS)
def test_x10_a_header_name_that_is_not_utf8_refuses_its_record_and_no_other(codec: str) -> None:
    data = b"".join(
        (
            batch_of(GOOD[:2], 10),
            batch_of([GOOD[0], ODD, GOOD[1], ODD], 12, codec),
            batch_of([ODD], 16, codec),
            batch_of(GOOD, 17, codec),
        )
    )
    records, next_offset = parsed(data, 11)
    assert [record.offset for record in records] == [*range(11, 21)] and next_offset == 21
    odd = [record for record in records if isinstance(record.headers, UnreadableHeaders)]
    assert [record.offset for record in odd] == [13, 15, 16]
    for record in odd:
        assert (record.key, record.value, record.timestamp) == (b"odd", b"v", 2_000)
        assert record.headers.own == (("\\xffx", b"1"), ("ok", None))
        with pytest.raises(RefusedError, match="not_utf8: the name of a header is not UTF-8"):
            decode_completion(record.value, record.headers, record.timestamp)
    assert [record.value for record in records if record not in odd] == [
        b"v1",
        b"v0",
        b"v1",
        b"v0",
        b"v1",
        b"v2",
        b"v3",
    ]


def test_x10_the_same_through_a_stock_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    aiokafka_patches.read_past_bad_records()
    records, _ = parsed(batch_of([ODD, GOOD[0]]))
    assert [(record.topic, record.offset, record.value) for record in records] == [("t", 0, b"v"), ("t", 1, b"v0")]


def malformed(body: bytes) -> bytes:
    """A batch of three records whose second has this body."""
    first, third = record_of(GOOD[0], 0, 1_000), record_of(GOOD[2], 2, 1_000)
    return batch_of(GOOD[:3], 5, body=first + varint(len(body)) + body + third)


BODIES = {
    "empty": b"",
    "cut off": b"\0" + varint(1),
    "a key beyond the end": b"\0" + varint(1) + varint(1) + varint(99) + b"k",
    "a number without end": b"\0" + b"\xff" * 20,
    "too many headers": b"\0" + varint(1) + varint(1) + varint(-1) + varint(-1) + varint(10**9),
    "headers below zero": b"\0" + varint(1) + varint(1) + varint(-1) + varint(-1) + varint(-3),
    "a name below zero": b"\0" + varint(1) + varint(1) + varint(-1) + varint(-1) + varint(1) + varint(-2),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_x10_a_malformed_record_is_refused_with_its_bytes(body: bytes) -> None:
    records, next_offset = parsed(malformed(body) + batch_of(GOOD[:1], 8), 5)
    assert [record.offset for record in records] == [5, 6, 7, 8] and next_offset == 9
    assert records[1].value == body
    assert records[1].headers.refusal.reason == "unsupported_format"
    assert [record.value for record in (records[0], records[2], records[3])] == [b"v0", b"v2", b"v0"]


@pytest.mark.parametrize("length", [varint(10**6), varint(-4), b"\xff" * 12], ids=["long", "negative", "endless"])
def test_x10_a_length_that_cannot_be_refuses_what_follows_in_the_batch(length: bytes) -> None:
    data = batch_of(GOOD[:3], 5, body=record_of(GOOD[0], 0, 1_000) + length + b"rest")
    records, next_offset = parsed(data + batch_of(GOOD[:1], 8), 5)
    assert [record.offset for record in records] == [5, 7, 8] and next_offset == 9
    assert "up to offset 7" in records[1].headers.refusal.message


@pytest.mark.parametrize("codec", [name for name in CODECS if name != "none"])
def test_x10_a_batch_that_cannot_be_decompressed_is_refused_as_one(codec: str) -> None:
    records, next_offset = parsed(batch_of(GOOD, 5, codec, body=b"not compressed") + batch_of(GOOD[:1], 9), 5)
    assert [record.offset for record in records] == [8, 9] and next_offset == 10
    assert "cannot be decompressed" in records[0].headers.refusal.message


def test_bytes_behind_the_last_record_end_no_fetch() -> None:
    data = batch_of(GOOD[:1], 5, body=record_of(GOOD[0], 0, 1_000) + b"more")
    assert [record.offset for record in parsed(data, 5)[0]] == [5]


@pytest.mark.parametrize("at", [-1, 21, 23, 57], ids=["a record", "the codec", "the last offset", "the count"])
def test_x10_a_batch_with_a_wrong_checksum_is_fetched_again_then_refused_as_one(at: int) -> None:
    damaged = bytearray(batch_of(GOOD[:2], 5))
    damaged[at] ^= 0x81
    data = batch_of(GOOD[:1], 4) + damaged + batch_of(GOOD[:1], 7)
    for _ in range(aiokafka_patches.FETCHED_AGAIN - 1):
        records, next_offset = parsed(data, 4)
        assert [record.offset for record in records] == [4] and next_offset == 5
    records, next_offset = parsed(data, 4)
    refused = [record for record in records if isinstance(record.headers, UnreadableHeaders)]
    assert len(refused) == 1 and refused[0].value == damaged
    assert "has a wrong checksum" in refused[0].headers.refusal.message
    if at != 23:
        assert [record.offset for record in records] == [4, 6, 7] and next_offset == 8


def test_x10_only_bytes_that_come_again_are_damaged_for_good() -> None:
    for number in range(10):
        damaged = bytearray(batch_of(GOOD[:2], 5))
        damaged[-1 - number] ^= 1
        assert parsed(bytes(damaged), 5) == ([], 5)
    assert len(parsed(batch_of(GOOD[:2], 5), 5)[0]) == 2


def test_an_old_message_set_and_a_cut_off_fetch() -> None:
    batch = batch_of(GOOD, 5)
    assert (
        find_batch(batch[:-1], 5) is None and find_batch(batch, 9) is None and find_batch(batch, 8) == (0, len(batch))
    )
    old = batch[:16] + b"\1" + batch[17:]
    (record,) = read_batch(old, 5)
    assert (record.offset, "format 1" in record.headers.refusal.message) == (5, True)  # type: ignore[union-attr]
