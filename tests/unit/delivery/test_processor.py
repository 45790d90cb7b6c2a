"""Which chunks are applied: those that continue what was applied, and no other. What is applied is sent, marked and
counted, and every chunk is released."""

from collections import Counter
from types import SimpleNamespace

import pytest
from faust.types import TP
from prometheus_client import REGISTRY

from stream_detector.delivery import processor as module
from stream_detector.delivery.chunk import MOST_UNFOLDED, RECORD_BYTES, Chunk
from stream_detector.delivery.processor import Positions, process_topic
from stream_detector.events.unfold import Entry, SeveralEventsError
from stream_detector.kafka.aiokafka_patches import FetchState
from stream_detector.kafka.topics import COMPLETIONS, SCORES

TP0 = TP(COMPLETIONS, 0)


class Refused(Exception):
    pass


class Fetching:
    """What a consumer's fetches report, and where it was asked to fetch from."""

    def __init__(self) -> None:
        self.position, self.high_watermark = 10, 1000
        self.stable: int | None = None
        self.sought: list[int] = []

    def fetch_state(self, tp):
        return FetchState(self.position, self.high_watermark, self.stable)

    def fetch_from(self, tp, offset):
        self.sought.append(offset)


class Scene:
    def __init__(self) -> None:
        self.fetching, self.in_state = Fetching(), {}
        self.positions = Positions(
            lambda: self.fetching, lambda number, source: self.in_state.get(source, 0), self._fail
        )
        self.positions.start(TP0, 10, 10)

    def _fail(self, why):
        raise Refused(why)

    def fetched(self, first: int, count: int = 5, *, next_offset: int | None = None) -> Chunk:
        records = [SimpleNamespace(offset=first + n, value=b"12345678") for n in range(count)]
        positions = self.positions
        chunk = Chunk(TP0, records, next_offset or first + count, positions.rewinds[TP0], positions.assignment)
        positions.note_delivered(chunk)
        return chunk

    @property
    def at(self) -> int:
        return self.positions.tasks.find_position(TP0).next_offset


@pytest.fixture
async def scene():
    return Scene()


def test_chunks_in_a_row_are_applied(scene):
    for first in (10, 15, 20):
        chunk = scene.fetched(first)
        assert scene.positions.is_next(chunk)
        scene.positions.mark_applied(chunk)
    assert (scene.at, scene.fetching.sought) == (25, [])


def test_a_chunk_behind_one_that_was_thrown_away_is_fetched_again(scene):
    """Faust empties the agents' queues when it resumes after a rebalance, with the position already behind."""
    assert not scene.positions.is_next(scene.fetched(15))
    assert scene.fetching.sought == [10]
    chunk = scene.fetched(10)
    assert scene.positions.is_next(chunk)
    scene.positions.mark_applied(chunk)
    assert scene.at == 15


def test_a_gap_that_is_still_there_is_a_gap_of_the_topic(scene):
    """Compaction and transaction markers leave some."""
    assert not scene.positions.is_next(scene.fetched(17))
    again = scene.fetched(17)
    assert scene.positions.is_next(again)
    scene.positions.mark_applied(again)
    assert scene.at == 22
    assert not scene.positions.is_next(scene.fetched(30)), "the next gap is looked at anew"


def test_a_chunk_fetched_before_a_rewind_is_not_used(scene):
    before = scene.fetched(20)
    assert not scene.positions.is_next(scene.fetched(15))
    assert not scene.positions.is_next(before)
    assert scene.fetching.sought == [10]


def test_x20_what_is_behind_the_end_of_a_chunk_that_was_cut_is_fetched_again(scene):
    """Its record 11 held as many events as are applied in one go."""
    chunk, queued = scene.fetched(10), scene.fetched(15)
    entries = [Entry(b"{}")] * MOST_UNFOLDED
    record = chunk.records[1]
    record.timestamp, record.timestamp_type, record.key, record.headers = 0, 0, None, ()
    assert len(chunk.unfold(record, SeveralEventsError(entries))) == MOST_UNFOLDED
    assert ([each.offset for each in chunk.records], chunk.next_offset, chunk.is_cut) == ([10, 11], 12, True)
    scene.positions.mark_applied(chunk)
    scene.positions.rewind(TP0, chunk.next_offset)
    scene.positions.skip_gap(TP0)
    assert (scene.at, scene.fetching.sought) == (12, [12])
    assert not scene.positions.is_next(queued)
    again = scene.fetched(12)
    assert scene.positions.is_next(again)
    scene.positions.mark_applied(again)
    assert scene.at == 17


def test_markers_behind_the_last_record_are_passed(scene):
    chunk = scene.fetched(10, next_offset=17)
    assert scene.positions.is_next(chunk)
    scene.positions.mark_applied(chunk)
    assert scene.at == 17


def test_nothing_is_applied_once_the_partition_is_given_up(scene):
    chunk = scene.fetched(10)
    scene.positions.revoke_all()
    assert not scene.positions.is_next(chunk)


def test_a_chunk_of_an_earlier_assignment_moves_nothing(scene):
    """A recorder may still be writing it when the partition comes back."""
    chunk = scene.fetched(10)
    scene.positions.revoke_all()
    scene.positions.start(TP0, 10, 10)
    assert not scene.positions.is_next(chunk)
    scene.positions.mark_applied(chunk)
    scene.positions.release(chunk)
    assert (scene.at, scene.positions.in_flight_bytes) == (10, 0)


def test_a_topic_made_anew_is_refused_with_what_to_do(scene):
    with pytest.raises(Refused, match="the topic was recreated"):
        scene.positions.is_next(scene.fetched(0))


def test_a_topic_that_ends_before_what_the_state_has_of_it_is_refused(scene, monkeypatch):
    """Kafka deletes the committed offsets with the topic: then only the state remembers."""
    now_s = 100.0
    monkeypatch.setattr(module, "clock_s", lambda: now_s)
    scene.positions.start(TP0, 0, None)
    scene.in_state = {COMPLETIONS: 50}
    scene.fetching.high_watermark = 60
    assert scene.positions.is_next(scene.fetched(0)), "a replay"
    scene.fetching.high_watermark = 5
    assert not scene.positions.is_next(scene.fetched(0)), "a new leader may answer so for a moment"
    scene.fetching.high_watermark = 60
    assert scene.positions.is_next(scene.fetched(0))
    scene.fetching.high_watermark = 5
    assert not scene.positions.is_next(scene.fetched(0))
    now_s += module.TRUNCATED_FOR_S + 1
    with pytest.raises(Refused, match="has offset 5, but 50 was already applied"):
        scene.positions.is_next(scene.fetched(0))


def test_an_empty_topic_where_there_was_one_is_refused_without_any_record(scene, monkeypatch):
    now_s = 100.0
    monkeypatch.setattr(module, "clock_s", lambda: now_s)
    scene.fetching.high_watermark = 10
    assert not scene.positions.has_unread({}) and scene.positions.has_unread({TP0: 11})
    scene.fetching.high_watermark = None
    assert not scene.positions.is_truncated(TP0), "nothing is known yet"
    scene.fetching.high_watermark = 0
    assert scene.positions.is_truncated(TP0)
    now_s += module.TRUNCATED_FOR_S + 1
    with pytest.raises(Refused, match="recreated"):
        scene.positions.is_truncated(TP0)


def test_memory_is_counted_by_bytes(scene):
    chunk = scene.fetched(10)
    assert scene.positions.in_flight_bytes == chunk.n_bytes == 5 * (8 + RECORD_BYTES)
    scene.positions.release(chunk)
    assert scene.positions.in_flight_bytes == 0
    assert scene.positions.room_freed.is_set()


@pytest.mark.parametrize(
    ("in_flight", "fetched", "stands"),
    [
        (False, 13, 13),  # 10 to 12 were markers of transactions: no chunk brings them, and nothing is left to read
        (True, 13, 10),  # fetched, and an agent has it
        (False, -1, 10),  # nothing was fetched yet
    ],
)
def test_a_partition_stands_where_its_agents_have_got_to_and_markers_are_no_work(scene, in_flight, fetched, stands):
    chunk = scene.fetched(10, 3)
    if not in_flight:
        scene.positions.release(chunk)
    scene.fetching.position = fetched
    assert scene.positions.applied_until() == {TP0: stands}


@pytest.mark.parametrize(
    ("fetched", "stable", "in_flight", "expected"),
    [
        (10, 10, False, False),
        (10, 13, False, True),  # published, not fetched
        (13, 13, True, True),  # fetched, and an agent has it
        (13, 13, False, False),  # markers of transactions
        (10, None, False, True),  # 1,000 by the high watermark
    ],
)
def test_what_is_published_and_not_applied_is_unread(scene, fetched, stable, in_flight, expected):
    chunk = scene.fetched(10, 3)
    if not in_flight:
        scene.positions.release(chunk)
    scene.fetching.position, scene.fetching.stable = fetched, stable
    assert scene.positions.has_unread({}) is expected


def test_before_the_first_fetch_all_may_be_unread(scene):
    scene.fetching.high_watermark = 10
    assert not scene.positions.has_unread({}) and scene.positions.has_unread({TP0: 11})
    scene.fetching.high_watermark = None
    assert scene.positions.has_unread({})
    scene.positions.revoke_all()
    assert not scene.positions.has_unread({})


def test_what_holds_no_records_behind_the_last_one_is_passed_once_that_is_applied(scene):
    """Aborted transactions at the end of a topic."""
    chunk = scene.fetched(10)
    scene.fetching.position = 40
    scene.positions.skip_gap(TP0)
    assert scene.at == 10, "the chunk is not applied yet"
    scene.positions.mark_applied(chunk)
    scene.positions.skip_gap(TP0)
    assert scene.at == 40


def test_a_chunk_that_was_thrown_away_is_no_gap(scene):
    scene.fetched(10)
    scene.fetching.position = 15
    scene.positions.skip_gap(TP0)
    assert scene.at == 10


PREFIXED = TP("p." + SCORES, 3)


class Failed(Exception):
    pass


class App:
    """The app and its positions; `steps` is what happened, in order."""

    def __init__(self, is_next: bool = True) -> None:
        self.positions, self._is_next, self.steps = self, is_next, []

    def source_topic(self, name):
        return f"p.{name}"

    def agent(self, topic, name):
        self.topic, self.name = topic, name
        return lambda function: setattr(self, "process", function)

    def is_next(self, chunk):
        self.steps.append("next?")
        return self._is_next

    def dispatch(self, number):
        self.steps.append(("dispatch", number))

    def mark_applied(self, chunk):
        self.steps.append("applied")

    def release(self, chunk):
        self.steps.append("release")

    def fail(self, why):
        self.steps.append(("fail", why))
        raise Failed

    async def run(self, chunks=1):
        records = [SimpleNamespace(value=b"{}", offset=0)]

        async def events():
            for _ in range(chunks):
                yield SimpleNamespace(value=Chunk(PREFIXED, records, 1))

        await self.process(SimpleNamespace(events=events))


def applying(outcomes, app):
    async def apply(source, chunk):
        app.steps.append(("apply", source))
        if isinstance(outcomes, Exception):
            raise outcomes
        return outcomes

    return apply


def counted(outcome: str) -> float:
    labels = {"source": SCORES, "outcome": outcome}
    return REGISTRY.get_sample_value("stream_detector_events_total", labels) or 0.0


async def test_what_was_applied_is_sent_then_marked_then_counted():
    app, before = App(), counted("late")
    process_topic(app, SCORES, applying(Counter(late=3), app), agent="detect")
    await app.run(chunks=2)
    assert app.steps == [*["next?", ("apply", SCORES), ("dispatch", 3), "applied", "release"] * 2]
    assert counted("late") == before + 6
    assert (app.topic, app.name) == (f"p.{SCORES}", "detect")


async def test_x20_a_chunk_that_was_cut_is_followed_by_a_fetch_from_its_end():
    app = App()
    app.rewind = lambda tp, offset: app.steps.append(("rewind", offset))

    async def apply(source, chunk):
        chunk.is_cut = True
        return Counter()

    process_topic(app, SCORES, apply, agent="detect")
    await app.run()
    assert app.steps == ["next?", ("dispatch", 3), "applied", ("rewind", 1), "release"]


async def test_a_chunk_that_does_not_follow_is_dropped():
    app = App(is_next=False)
    process_topic(app, SCORES, applying(Counter(), app), agent="detect")
    await app.run()
    assert app.steps == ["next?", "release"]


async def test_a_chunk_that_was_given_up_moves_nothing():
    app = App()
    process_topic(app, SCORES, applying(None, app), agent="record")
    await app.run()
    assert app.steps == ["next?", ("apply", SCORES), "release"]


async def test_an_error_ends_the_process_before_anything_is_sent():
    app = App()
    process_topic(app, SCORES, applying(ValueError("a defect"), app), agent="detect")
    with pytest.raises(Failed):
        await app.run()
    assert app.steps == ["next?", ("apply", SCORES), ("fail", "scores: ValueError('a defect')"), "release"]


async def test_what_has_to_wait_waits_before_the_chunk_is_looked_at():
    """Once it has been looked at, nothing may come between that and its application."""
    app = App()

    async def before(chunk):
        app.steps.append("wait")

    process_topic(app, SCORES, applying(Counter(), app), agent="detect", before=before)
    await app.run()
    assert app.steps[:3] == ["wait", "next?", ("apply", SCORES)]
