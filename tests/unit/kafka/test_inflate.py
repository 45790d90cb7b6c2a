"""X10: a batch that is larger than what is inflated at once is read record by record, in every codec."""

import random
import threading
import zlib
from hashlib import sha256
from typing import Any

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords

from stream_detector.events.dead_letter import CUT_BYTES, dead_letter_headers, read_dead_letter
from stream_detector.events.headers import UnreadableHeaders
from stream_detector.kafka import aiokafka_patches, batch_reader, inflate
from stream_detector.kafka.snappy_stream import SnappyFormatError, raw_pieces
from tests.record_batches import CODECS, Written, batch_of, record_of

COMPRESSED = [name for name in CODECS if name != "none"]
GOOD = [Written(b"k%d" % number, b"v%d" % number, [(b"n", b"1")], 1_000 + number) for number in range(4)]
LARGE = Written(b"big", bytes(inflate.WHOLE_BYTES + 1), [(b"name", b"text"), (b"\xff", None)], 2_000)


class Assignment:
    """Of one partition, which is ours."""

    active, paused = True, False

    def __init__(self) -> None:
        self.position = 0

    def state_value(self, tp: TopicPartition) -> "Assignment":
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


class Fetched:
    """What a fetch brought of a partition, taken as the fetcher takes it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, Assignment()

    def calls(self, most: int = 2_000) -> list[list[Any]]:
        """The records that each call gives; what was given up is fetched again."""
        found = []
        while self.at.position < self.end:
            records = PartitionRecords(
                TopicPartition("t", 0),
                fetcher.MemoryRecords(self.data),
                None,
                self.at.position,
                None,
                None,
                True,
                fetcher.READ_COMMITTED,
            )
            result = FetchResult(TopicPartition("t", 0), assignment=self.at, partition_records=records, backoff=0)
            while result.has_more():
                inflate.room.reset()
                found.append(result.getall(most))
        return found

    @property
    def end(self) -> int:
        """The offset behind the last batch."""
        at, last = 0, -1
        while found := batch_reader.find_batch(self.data[at:], 0):
            last = batch_reader.last_offset(self.data[at:])
            at += found[1]
        return last + 1


@pytest.fixture(autouse=True)
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka as a role has it."""
    for owner, name in (
        *((PartitionRecords, name) for name in ("__next__", "_consumer_record")),
        (FetchResult, "getall"),
        (Fetcher, "fetched_records"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(fetcher, "MemoryRecords", fetcher.MemoryRecords)
    aiokafka_patches.read_past_bad_records()
    aiokafka_patches.keep_parsed_records()
    inflate.room.reset()


@pytest.mark.parametrize("codec", COMPRESSED)
def test_x10_of_a_batch_too_large_to_be_held_only_the_record_is_refused_that_is(codec: str) -> None:
    batches = [batch_of([GOOD[0], GOOD[1], LARGE, GOOD[2]], 10, codec), batch_of(GOOD, 14, codec)]
    fetched = Fetched(b"".join(batches))
    records = [record for call in fetched.calls() for record in call]
    assert [record.offset for record in records] == [*range(10, 18)]
    assert [record.value for record in records if record.offset != 12] == [
        b"v0",
        b"v1",
        b"v2",
        b"v0",
        b"v1",
        b"v2",
        b"v3",
    ]
    refused = records[2]
    assert isinstance(refused.headers, UnreadableHeaders) and refused.key == b"big"
    why = refused.headers.refusal
    whole = sha256(b"big" + LARGE.value + b"name" + b"text" + b"\xff").hexdigest()  # type: ignore[operator]
    assert why.reason == "too_large" and whole in why.message and "send at most 1000000" in why.message
    headers = dead_letter_headers(
        refused.headers.own, topic="scores", partition=0, offset=12, timestamp_ms=2_000, error=why
    )
    letter = read_dead_letter(headers)
    assert letter.is_cut and letter.whole_value_bytes == len(LARGE.value or b"") and letter.offset == 12
    assert letter.headers == [("name", b"text"), ("\\xff", None)]
    assert CUT_BYTES * 0.9 < len(refused.value) < CUT_BYTES


@pytest.mark.parametrize("codec", COMPRESSED)
def test_x10_a_large_batch_of_records_that_can_be_held_is_given_piece_by_piece(codec: str) -> None:
    records = [Written(b"k%d" % number, bytes(900_000), [], 1_000 + number) for number in range(30)]
    calls = Fetched(batch_of(records, 0, codec)).calls()
    assert [record.key for call in calls for record in call] == [record.key for record in records]
    most = inflate.WHOLE_BYTES + 2_000_000
    assert max(sum(len(record.value) for record in call) for call in calls) < most


@pytest.mark.parametrize("codec", COMPRESSED)
def test_x10_many_small_batches_of_one_fetch_are_inflated_one_after_the_other(codec: str) -> None:
    """6 kB of zstd each."""
    one = [Written(b"k", bytes(6 << 20), [], 1_000)]
    calls = Fetched(b"".join(batch_of(one, offset, codec) for offset in range(5))).calls()
    assert [record.offset for call in calls for record in call] == [*range(5)]
    assert max(map(len, calls)) == 3


@pytest.mark.parametrize("codec", COMPRESSED)
def test_x10_a_large_batch_that_is_cut_off_gives_what_comes_before(codec: str) -> None:
    before = threading.active_count()
    whole = record_of(GOOD[0], 0, 1_000) + record_of(LARGE, 1, 1_000) + record_of(GOOD[1], 2, 1_000)
    _, compress = CODECS[codec]
    body = bytes(compress(whole))
    calls = Fetched(batch_of([*GOOD[:2], LARGE], 0, codec, body=body[: len(body) // 2])).calls()
    records = [record for call in calls for record in call]
    assert records[-1].offset == 2 and isinstance(records[-1].headers, UnreadableHeaders)
    assert records[-1].headers.refusal.reason == "unsupported_format"
    assert [record.value for record in records[:-1]] in ([b"v0"], [])
    assert threading.active_count() <= before


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_stream_that_nobody_reads_on_leaves_no_thread(codec: str) -> None:
    before = threading.active_count()
    number, compress = CODECS[codec]
    pieces = inflate.in_pieces(number, bytes(compress(bytes(8 << 20))))
    assert len(next(pieces)) > 0
    pieces.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_x10_no_batch_is_inflated_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "MOST_BYTES", 40_000_000)
    records = [GOOD[0], Written(b"k", bytes(60_000_000), [], 1_000), GOOD[1]]
    found = [record for call in Fetched(batch_of(records, 0, "zstd")).calls() for record in call]
    assert [record.offset for record in found] == [0, 2]
    assert "cannot be decompressed: more than 40000000 bytes" in found[1].headers.refusal.message


@pytest.mark.parametrize("seed", range(4))
def test_a_raw_snappy_block_in_pieces_is_what_the_library_makes_of_it(seed: int) -> None:
    draw = random.Random(seed)
    words = [draw.randbytes(draw.choice((1, 3, 9, 70, 400))) for _ in range(30)]
    data = b"".join(draw.choice(words) * draw.choice((1, 1, 2, 50)) for _ in range(4_000)) + draw.randbytes(90_000)
    block = bytes(cramjam.snappy.compress_raw(data))
    assert b"".join(raw_pieces(block, draw.choice((1_000, 70_000)))) == data


@pytest.mark.parametrize("seed", range(3))
def test_x10_damaged_blocks_and_streams_raise_and_do_not_hang(seed: int) -> None:
    draw = random.Random(seed)
    data = b"".join(draw.choice((b"abc", b"nightly", bytes(40))) for _ in range(40_000))
    for name in COMPRESSED:
        number, compress = CODECS[name]
        packed = bytes(compress(data))
        for _ in range(15):
            damaged = bytearray(packed)
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
            try:
                sum(map(len, inflate.in_pieces(number, bytes(damaged))))
            except Exception:
                continue
    block = bytes(cramjam.snappy.compress_raw(data))
    for _ in range(80):
        damaged = bytearray(block)
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        try:
            got = b"".join(raw_pieces(bytes(damaged), 5_000))
        except SnappyFormatError:
            continue
        assert len(got) == len(data)


def test_gzip_of_several_members_and_with_padding() -> None:
    one, other = zlib.compress(b"one" * 9, wbits=31), zlib.compress(b"other", wbits=31)
    assert b"".join(inflate.in_pieces(inflate.GZIP, one + b"\0\0" + other + b"\0" * 9)) == b"one" * 9 + b"other"
    with pytest.raises(inflate.TooLargeError):
        inflate.at_once(inflate.GZIP, one + other)
