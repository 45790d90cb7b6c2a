"""Which outcomes are on `notifications` already, and what the next owner of the state has to look at again."""

from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from stream_detector.kafka.preflight import SetupError
from stream_detector.kafka.topics import NOTIFICATIONS
from stream_detector.notify.state.keys import WRITTEN, read
from stream_detector.notify.state.state_models import OutcomesWritten
from stream_detector.roles import written_outcomes as module
from stream_detector.roles.written_outcomes import FIRST_EACH, MOST_EACH, WrittenOutcomes
from stream_detector.settings import Settings

PARTITION, BEFORE = 3, 40_000
"""Where everything is written, and how many records of a former time are there."""


class Topic:
    """`notifications`: each life of a notifier appends to it, and the next one reads it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.values: list[bytes] = [b"none of ours"] * BEFORE
        self.first = -1
        monkeypatch.setattr(module, "read_topic", self._read)

    async def _read(self, settings: Settings, name: str, first: Callable[[int, int], int]) -> AsyncIterator[Any]:
        assert name == NOTIFICATIONS
        self.first = first(PARTITION, len(self.values))
        for value in self.values[self.first :]:
            yield SimpleNamespace(value=value)

    async def life(self, state: dict[str, bytes], ids: str, *, dies: bool) -> str:
        """A notifier decides these and takes a checkpoint, or dies before it. Returns which of them it wrote."""
        sends, kept = SimpleNamespace(ends={("alerts", 0): 7}), dict(state)
        written = WrittenOutcomes(Settings(), sends)
        await written.read(kept)
        new = "".join(name for name in ids if not written.is_written(name))
        self.values += [f'{{"id":"{name}"}}'.encode() for name in new]
        if new:
            sends.ends[NOTIFICATIONS, PARTITION] = len(self.values)
        written.note(kept)
        if not dies:
            state.update(kept)
        return new


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    return Topic(monkeypatch)


@pytest.mark.parametrize("value", [b'{"id":"\xed\xa0\xbd"}', b'{"x":' + b"[" * 100_000, b"\xff", b""])
async def test_x10_what_another_program_wrote_there_ends_no_notifier(topic: Topic, value: bytes) -> None:
    """The fuzzer on a real broker found it: neither error is one of msgspec's."""
    topic.values.append(value)
    assert await topic.life({}, "ab", dies=True) == "ab"
    assert await topic.life({}, "ab", dies=True) == ""


async def test_x13_lives_that_end_before_their_checkpoint_write_each_outcome_once(topic: Topic) -> None:
    state: dict[str, bytes] = {}
    assert [await topic.life(state, "ab", dies=True) for _ in range(5)] == ["ab", "", "", "", ""]
    assert await topic.life(state, "abc", dies=True) == "c", "one gets further than those before it"
    assert await topic.life(state, "abc", dies=False) == ""
    assert len(topic.values) == BEFORE + 3


async def test_x13_what_was_not_decided_again_by_the_first_checkpoint_is_known_to_the_next_owner(topic: Topic) -> None:
    state: dict[str, bytes] = {}
    await topic.life(state, "a", dies=False)
    await topic.life(state, "bcd", dies=True)
    assert await topic.life(state, "b", dies=False) == "", "its state holds b alone"
    assert await topic.life(state, "cd", dies=False) == ""


async def test_only_what_is_behind_the_last_checkpoint_is_read_and_never_all_of_it(topic: Topic) -> None:
    state: dict[str, bytes] = {}
    await topic.life(state, "a", dies=False)
    assert topic.first == BEFORE - FIRST_EACH, "an earlier version noted nothing"
    assert read(state, WRITTEN, OutcomesWritten) == OutcomesWritten(ends={PARTITION: BEFORE + 1})
    await topic.life(state, "b", dies=False)
    assert topic.first == BEFORE + 1
    topic.values += [b""] * (MOST_EACH + 5)
    await topic.life(state, "c", dies=False)
    assert topic.first == BEFORE + 2 + 5


async def test_a_topic_that_may_not_be_read_is_reported_and_outcomes_are_written(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused(*given: Any) -> AsyncIterator[Any]:
        raise SetupError("not allowed")
        yield

    monkeypatch.setattr(module, "read_topic", refused)
    written = WrittenOutcomes(Settings(), SimpleNamespace(ends={}))
    await written.read({})
    assert not written.is_written("a") and "not allowed" in caplog.text
