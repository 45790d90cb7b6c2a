"""Records of several events at the detector and the recorder: each is applied, forwarded, refused and stored once.

What would break it: a second event of one record for the same owner; a kill between what was forwarded and its commit;
a chunk of `rekeyed` that ends within a record; what an earlier version wrote; two rows at one offset.
"""

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from benchmarks import load
from benchmarks.hot_path import App
from stream_detector.composition import detection_config
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.repartition import ORIGIN, Origin, read_origin
from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect import Baseline
from stream_detector.events import RefusedError
from stream_detector.events.dead_letter import dead_letter_headers, read_dead_letter
from stream_detector.events.decode import decode_anomaly, decode_run_part
from stream_detector.events.encode import encode
from stream_detector.kafka import topics
from stream_detector.roles.detector import BASELINE, DECODE, Detector
from stream_detector.roles.recorder import Recorder, _dead_letter
from stream_detector.settings import Settings
from tests.events_made import NOON, at_minute, completion, score
from tests.unit.delivery.snapshots import take_snapshot

NOW_MS = round(NOON.timestamp() * 1000) + 3_600_000
N = load.PARTITIONS


def record(offset: int, value: bytes | None, headers: Any = (), key: bytes | None = None) -> Any:
    return SimpleNamespace(
        offset=offset, timestamp=NOW_MS, timestamp_type=0, key=key, value=value, headers=list(headers)
    )


def array(*values: bytes) -> bytes:
    return b"[" + b",".join(values) + b"]"


class Group:
    """One detector that owns all partitions, and the topics that it writes; a crash leaves what was written."""

    def __init__(self) -> None:
        self.topics: dict[tuple[str, int], list[Any]] = {}
        self.letters: list[tuple[Any, Origin, RefusedError]] = []
        self.changelog: dict[int, list[Any]] = {number: [] for number in range(N)}
        self.committed: Counter[tuple[str, int]] = Counter()
        self.start()

    def start(self) -> None:
        """A new process, from the changelog."""
        app = App()
        app.batch_producer.put = self.put  # type: ignore[method-assign]
        app.send_to_dlq = lambda record, headers, origin, number, error: self.letters.append((record, origin, error))  # type: ignore[attr-defined]
        self.detector = Detector(app, detection_config(Settings()))  # type: ignore[arg-type]
        self.table = app.tables[0]
        for number, records in self.changelog.items():
            partition: StatePartition[bytes] = StatePartition(BASELINE)
            if records:
                partition.apply_changelog(records)
            partition.finish_recovery(len(records) - 1)
            partition.owned = True
            self.table.partitions[number] = partition
        self.next = Counter(self.committed)

    def put(self, topic: str, number: int, key: Any, value: Any, headers: Any = (), **_: Any) -> None:
        listed = self.topics.setdefault((topic, number), [])
        listed.append(record(len(listed), value, headers, key))

    async def read(self, topic: str, number: int, most: int = 100) -> int:
        """Apply the next records of a partition as one chunk; returns how many."""
        first = self.next[topic, number]
        records = self.topics.get((topic, number), [])[first : first + most]
        if records:
            await self.detector.apply(topic, Chunk(TP(topic, number), records, records[-1].offset + 1))
            self.next[topic, number] += len(records)
        return len(records)

    def write_state(self, number: int) -> None:
        """The changelog part of a checkpoint."""
        positions = {topic: at for (topic, of), at in self.next.items() if of == number}
        partition = self.table.partitions[number]
        records, _ = take_snapshot(partition, positions)
        if partition.watermarks:
            head = changelog_record.encode_header(partition.epoch, positions)
            records = [*records, (b"\0watermarks", head + changelog_record.encode_watermarks(partition.watermarks))]
        listed = self.changelog[number]
        listed += [SimpleNamespace(offset=len(listed) + n, key=k, value=v) for n, (k, v) in enumerate(records)]

    def commit(self, number: int) -> None:
        for place in [place for place in self.next if place[1] == number]:
            self.committed[place] = self.next[place]

    def counts(self) -> Counter[str]:
        """Executions in each baseline."""
        found: Counter[str] = Counter()
        for partition in self.table.partitions:
            for key in partition.keys():  # noqa: SIM118  it is no dict
                packed = partition.get(key)
                assert packed is not None
                found[key] = Baseline.unpack(key, packed).named_baselines()["success_rate"].window_size
        return found

    def n_forwarded(self) -> int:
        return sum(len(listed) for (topic, _), listed in self.topics.items() if topic == topics.REKEYED)

    def alerts(self) -> dict[str, set[bytes]]:
        """Id of each anomaly -> its distinct contents."""
        found: dict[str, set[bytes]] = {}
        for (topic, _), listed in self.topics.items():
            for each in listed if topic == topics.ALERTS else ():
                found.setdefault(decode_anomaly(each.value).id, set()).add(each.value)
        return found


def events(draw: random.Random, n: int) -> list[bytes]:
    """Executions of twenty workflows, whose owners are on all partitions; some fail often."""
    made = []
    for number in range(n):
        of = draw.randrange(20)
        status = "failure" if of < 4 and draw.random() < 0.7 else "success"
        made.append(encode(completion(f"e{number}", f"wf-{of:06d}", status=status, finished_at=at_minute(number / 50))))
    return made


def published(group: Group, made: list[bytes], draw: random.Random) -> None:
    """Workflow by workflow on one partition, as a producer that hashes otherwise; one to fifty events a record."""
    lanes: dict[int, list[bytes]] = {}
    for value in made:
        lanes.setdefault(int(value.partition(b'"wf-')[2][:6]) % N, []).append(value)
    for number, lane in lanes.items():
        while lane:
            size = draw.randint(1, 50)
            group.put(topics.COMPLETIONS, number, None, lane[0] if size == 1 else array(*lane[:size]))
            del lane[:size]


@pytest.mark.parametrize("seed", range(4))
async def test_x20_each_event_is_applied_once_whatever_crashes_in_between(seed: int) -> None:
    """Chunks of any size, so that `rekeyed` is read up to the middle of a record; state of some partitions written and
    not committed; what was forwarded is forwarded again."""
    draw = random.Random(seed)
    made = events(draw, 600)
    group, calm = Group(), Group()
    published(group, made, random.Random(seed))
    published(calm, made, random.Random(seed))
    for number in range(N):
        while await calm.read(topics.COMPLETIONS, number):
            pass
    for number in range(N):
        while await calm.read(topics.REKEYED, number):
            pass
    for number in range(N):
        await group.read(topics.COMPLETIONS, number)
    group.start()
    quiet = 0
    while quiet < 300:
        topic, number = draw.choice((topics.COMPLETIONS, topics.REKEYED)), draw.randrange(N)
        quiet = 0 if await group.read(topic, number, draw.choice((1, 3, 7))) else quiet + 1
        if draw.random() < 0.1:
            group.write_state(number)
            if draw.random() < 0.5:
                group.commit(number)
        if draw.random() < 0.04 and quiet < 100:
            group.start()
    assert group.counts() == calm.counts()
    assert group.counts().total() == len(made)
    assert group.alerts().keys() == calm.alerts().keys() != set()
    assert all(len(contents) == 1 for contents in group.alerts().values())
    assert group.n_forwarded() > calm.n_forwarded(), "some were forwarded again"


async def test_x20_without_the_index_all_but_the_first_of_a_record_would_be_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    header = Origin.header
    monkeypatch.setattr(Origin, "header", lambda self: header(self._replace(event_index=None)))
    group, made = Group(), events(random.Random(1), 100)
    published(group, made, random.Random(1))
    for topic in (topics.COMPLETIONS, topics.REKEYED):
        for number in range(N):
            while await group.read(topic, number):
                pass
    assert group.counts().total() < len(made)


async def test_x20_a_place_has_an_index_only_where_a_record_has_several_events() -> None:
    group = Group()
    foreign = [of for of in range(20) if load.partition_of(f"wf-{of:06d}") == 1][:2]
    one, other = (encode(completion(f"e{of}", f"wf-{of:06d}")) for of in foreign)
    for value in (one, array(other), array(one, other)):
        group.put(topics.COMPLETIONS, 0, None, value, [("mode", b"backfill"), ("content-type", b"application/json")])
    await group.read(topics.COMPLETIONS, 0)
    forwarded = group.topics[topics.REKEYED, 1]
    assert [dict(each.headers)[ORIGIN].decode() for each in forwarded] == [
        *(f"workflow-completions/0/{offset}/{NOW_MS}" for offset in (0, 1)),
        *(f"workflow-completions/0/2/{NOW_MS}/{index}" for index in (0, 1)),
    ]
    assert [each.value for each in forwarded] == [one, array(other), one, other]
    assert dict(forwarded[3].headers)["mode"] == b"backfill" and "content-type" not in dict(forwarded[3].headers)
    await group.read(topics.REKEYED, 1)
    assert group.counts().total() == 2, "the record repeats both, under their ids"


@pytest.mark.parametrize("older", [b"workflow-completions/0 7", b"workflow-completions/0 7\nscores/2 9"])
async def test_x20_watermarks_and_places_of_an_earlier_version_are_read(older: bytes) -> None:
    """4659e91 wrote places and watermarks without an index; it keeps the index that it does not know."""
    marks = changelog_record.decode_watermarks(older)
    group = Group()
    partition = group.table.partitions[1]
    partition.watermarks = dict(marks)
    of = next(of for of in range(20) if load.partition_of(f"wf-{of:06d}") == 1)
    for number, place in enumerate((b"6/1", b"7/1", b"7/1", b"8/1/0", b"8/1/1", b"8/1/0", b"8/1/1", b"9/1", b"8/1/2")):
        value = encode(completion(f"e{number}", f"wf-{of:06d}"))
        group.put(topics.REKEYED, 1, b"workflow:x", value, [(ORIGIN, b"workflow-completions/0/" + place)])
    await group.read(topics.REKEYED, 1)
    assert group.counts().total() == 4, "7; both of 8; 9"
    written = changelog_record.encode_watermarks(partition.watermarks)
    kept = {line.rsplit(" ", 1)[0]: int(line.rsplit(" ", 1)[1]) for line in written.decode().split("\n")}
    assert kept["workflow-completions/0"] == 10, "as the earlier version parses it"
    assert "workflow-completions/0/index" not in kept, "after a record with one event there is none"


def test_an_index_survives_the_way_and_what_is_none_is_no_origin() -> None:
    origin = Origin("scores", 3, 1 << 40, NOW_MS, 17)
    assert read_origin([origin.header()], DECODE) == origin
    for odd in (b"scores/1/2/3/x", b"scores/1/2/3/-1", b"scores/1/2/3/4/5", b"scores/1/2/3/99999999999"):
        assert read_origin([(ORIGIN, odd)], DECODE) is None


async def test_x20_each_refused_entry_is_a_dead_letter_with_its_index_and_the_others_go_on() -> None:
    group = Group()
    good = [encode(completion(f"e{of}", f"wf-{of:06d}")) for of in range(8)]
    bad = b'{"execution_id": "e9", "workflow_id": "w"}'
    running = b'{"conclusion":null,"status":"in_progress","id":1,"run_number":1,"workflow_id":3,"repository":{}}'
    value = array(*good[:4], b"{}", *good[4:], bad, running)
    group.put(topics.COMPLETIONS, 0, b"k", value, [("traceparent", b"00-1")])
    outcomes = await group.detector.apply(
        topics.COMPLETIONS, Chunk(TP(topics.COMPLETIONS, 0), group.topics[topics.COMPLETIONS, 0], 1)
    )
    assert outcomes["refused"] == 2 + (outcomes["ignored"] == 0)
    assert outcomes["applied"] + outcomes["forwarded"] == 8
    assert [(origin.offset, origin.event_index, each.value, each.key) for each, origin, _ in group.letters][:2] == [
        (0, 4, b"{}", b"k"),
        (0, 9, bad, b"k"),
    ]


async def test_x20_a_refused_score_of_a_record_counts_in_its_run_and_the_others_too() -> None:
    group = Group()
    entities = ["a", "b", "c"]
    scores = [encode(score(name, run_id="daily")) for name in entities]
    scores[1] = scores[1].replace(b'"score":7.5', b'"score":"high"')
    group.put(topics.SCORES, 0, None, array(*scores))
    await group.read(topics.SCORES, 0)
    for number in range(N):
        await group.read(topics.REKEYED, number)
    parts = [
        decode_run_part(each.value)
        for (topic, _), listed in group.topics.items()
        for each in (listed if topic == topics.RUN_PARTS else ())
    ]
    assert Counter((part.kind, part.entity_id) for part in parts) == {
        ("scored", "a"): 1, ("failed", "b"): 1, ("scored", "c"): 1,
    }  # fmt: skip


async def test_x20_a_record_that_was_forwarded_is_never_unfolded() -> None:
    group = Group()
    value = array(*events(random.Random(1), 2))
    group.put(topics.REKEYED, 1, b"workflow:x", value, [Origin(topics.COMPLETIONS, 0, 3, NOW_MS).header()])
    await group.read(topics.REKEYED, 1)
    ((kept, origin, error),) = group.letters
    assert (kept.value, origin.offset, origin.event_index, error.reason) == (value, 3, None, "unsupported_format")


async def test_x20_the_most_events_of_a_record_take_one_go() -> None:
    group = Group()
    group.put(topics.COMPLETIONS, 0, None, array(*[b"{}"] * 10_000))
    await group.read(topics.COMPLETIONS, 0)
    assert [origin.event_index for _, origin, _ in group.letters] == list(range(10_000))


async def test_x20_a_chunk_ends_where_many_events_were_unfolded_and_goes_on_there() -> None:
    """300,000 entries in one fetch would hold up heartbeats."""
    group = Group()
    listed = [record(offset, array(*[b"{}"] * 1_500)) for offset in range(5)]
    chunk = Chunk(TP(topics.COMPLETIONS, 0), list(listed), 5)
    outcomes = await group.detector.apply(topics.COMPLETIONS, chunk)
    assert (chunk.next_offset, chunk.is_cut, outcomes["refused"]) == (2, True, 3_000)
    chunk = Chunk(TP(topics.COMPLETIONS, 0), listed[2:3], 3)
    await group.detector.apply(topics.COMPLETIONS, chunk)
    assert (chunk.next_offset, chunk.is_cut) == (3, False)
    stored = Stored()
    chunk = Chunk(TP(topics.COMPLETIONS, 0), list(listed), 5)
    _, errors, _ = stored.recorder._decode(topics.COMPLETIONS, chunk)
    assert (chunk.next_offset, chunk.is_cut, len(errors)) == (2, True, 3_000)


class Stored:
    """A recorder, and what it would send to dead letters."""

    def __init__(self) -> None:
        self.letters: list[tuple[Any, Origin, RefusedError]] = []
        app = SimpleNamespace(
            settings=Settings(),
            send_to_dlq=lambda record, headers, origin, number, error: self.letters.append((record, origin, error)),
        )
        self.recorder = Recorder(app)  # type: ignore[arg-type]


def test_x20_each_event_of_a_record_is_a_row_with_its_index() -> None:
    stored, made = Stored(), events(random.Random(2), 5)
    chunk = Chunk(TP(topics.COMPLETIONS, 0), [record(7, made[0]), record(8, array(made[1], b"{}", *made[2:4]))], 9)
    rows, errors, failed = stored.recorder._decode(topics.COMPLETIONS, chunk)
    assert [(row.offset, row.index, row.event.execution_id) for row in rows.executions] == [
        (7, 0, "e0"), (8, 0, "e1"), (8, 2, "e2"), (8, 3, "e3"),
    ]  # fmt: skip
    assert list(errors) == [(8, 1)] and not failed
    stored.recorder._send_to_dlq(topics.COMPLETIONS, chunk, {(8, 2): RefusedError("store", "rejected_by_store", "no")})
    ((kept, origin, _),) = stored.letters
    assert (kept.value, origin.offset, origin.event_index) == (made[2], 8, 2)


def test_x20_a_dead_letter_names_the_index_and_one_of_an_earlier_version_has_none() -> None:
    error = RefusedError("decode", "missing_field", "$.status is missing")
    place = {"topic": "scores", "partition": 1, "offset": 7, "timestamp_ms": NOW_MS}
    whole = dead_letter_headers([], **place, error=error)  # type: ignore[arg-type]
    one = dead_letter_headers([], **place, index=3, error=error)  # type: ignore[arg-type]
    assert [name for name, _ in one if name not in dict(whole)] == ["__connect.errors.index"]
    assert (read_dead_letter(whole).index, read_dead_letter(one).index) == (None, 3)
    assert _dead_letter(record(0, b"{}", one)).index == 3
