"""The loop of every role: what is applied is sent, marked and counted, and every chunk is released."""

from collections import Counter
from types import SimpleNamespace

import pytest
from faust.types import TP

from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.processor import process_topic
from stream_detector.kafka.topics import SCORES
from stream_detector.telemetry import metrics

TP0 = TP("p." + SCORES, 3)


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
                yield SimpleNamespace(value=Chunk(TP0, records, 1))

        await self.process(SimpleNamespace(events=events))


def applying(outcomes, app):
    async def apply(source, chunk):
        app.steps.append(("apply", source))
        if isinstance(outcomes, Exception):
            raise outcomes
        return outcomes

    return apply


def counted(outcome: str) -> float:
    return metrics.EVENTS.labels(SCORES, outcome)._value.get()


async def test_what_was_applied_is_sent_then_marked_then_counted():
    app, before = App(), counted("late")
    process_topic(app, SCORES, applying(Counter(late=3), app), agent="detect")
    await app.run(chunks=2)
    assert app.steps == [*["next?", ("apply", SCORES), ("dispatch", 3), "applied", "release"] * 2]
    assert counted("late") == before + 6
    assert (app.topic, app.name) == (f"p.{SCORES}", "detect")


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
