"""The demo's history: real builds and real score runs, their dates shifted by whole weeks to end just now; with a
slow-down and a disk's usage of ours, labelled `demo: injected`.

`python -m stream_detector.devstack.demo` prints it as JSON lines, for `stream-detector replay` and `validate`.
"""

import heapq
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from stream_detector.events import Completion, Resource, Score, Start
from stream_detector.events.encode import encode
from stream_detector.events.files import read_history
from stream_detector.events.inputs import INPUT_TOPICS, Event, Kind, key_of
from stream_detector.events.times import epoch_ms

DATA = Path(__file__).parent / "demo_data"
_WEEK = timedelta(weeks=1)
_LABELS = {"demo": "dates shifted"}


_INJECTED = {"demo": "injected"}
SLOW_WORKFLOW, SLOW_FROM, SLOW_FACTOR = "dune@ubuntu_20_04 clang-10-20", 45, 3.0
"""From this execution on the workflow takes so many times as long, and stays there."""
DISK_WORKFLOW, DISK_LIMIT_GIB = "dune@debian_11 gcc-10-20", 80.0
DISK_FILLS = range(83, 98)
"""The disk's usage of each execution: steady, filling in these, then cleared. It is reported with the failures that
begin then, in one message."""


class DemoEvent(NamedTuple):
    """One event of the demo, ready for Kafka but for the topic's prefix.

    `timestamp_ms` is the event's own time. Publish with the time of publishing: a broker deletes records by their
    timestamp, and a history of 60 days is older than what its topics keep.
    """

    topic: str
    key: bytes
    value: bytes
    timestamp_ms: int


def demo_events(now: datetime) -> Iterator[DemoEvent]:
    """The whole history in the order of time, its end at most 7 days before `now` and never after it.

    The same `now` gives the same bytes; within a week all do, so a repeated demo is a history known already.
    """
    return heapq.merge(
        _shifted("builds.csv.gz", now),
        _shifted("score_runs.csv.gz", now),
        key=lambda event: event.timestamp_ms,
    )


def demo_note() -> str:
    """What it is, for the screen: one paragraph."""
    builds, runs = _history("builds.csv.gz"), _history("score_runs.csv.gz")
    ended, scores = len(builds), sum(kind == "score" for kind, _ in runs)
    injected = sum(isinstance(event, Completion) and event.labels.get("demo") == "injected" for _, event in builds)
    return (
        f"A real history, its dates shifted by whole weeks to end within the last 7 days: {ended} CI builds of the "
        f"Dune project in 60 days of 2020 (data: J. A. do Prado Lima, MIT) and {scores} poll averages in "
        f"{(len(runs) - scores) // 2} daily runs of 2020 (data: FiveThirtyEight, CC BY 4.0). "
        f"Two things were added, to {injected} builds with the label demo: injected: a sustained slow-down, and a disk "
        "that fills up."
    )


def _shifted(name: str, now: datetime) -> Iterator[DemoEvent]:
    history = _history(name)
    weeks = (now - _time_of(history[-1][1])) // _WEEK
    for kind, event in history:
        event = _moved(event, weeks * _WEEK, weeks)
        yield DemoEvent(INPUT_TOPICS[kind], key_of(event), encode(event), epoch_ms(_time_of(event)))


@cache
def _history(name: str) -> list[tuple[Kind, Event]]:
    """In the order of time. The data ships with us: a refused line would be our own fault and raises."""
    history: list[tuple[Kind, Event]] = []
    for line in read_history(DATA / name, record_ms=-1, builds=True):
        if line.error is not None or line.event is None or line.kind is None:
            raise ValueError(f"{name}: line {line.number}: {line.error}")
        history.append((line.kind, line.event))
    history.sort(key=lambda item: _time_of(item[1]))
    numbers: Counter[str] = Counter()
    for place, (kind, event) in enumerate(history):
        if isinstance(event, Completion):
            history[place] = kind, _injected(event, numbers[event.workflow_id])
            numbers[event.workflow_id] += 1
    return history


def _injected(event: Completion, number: int) -> Completion:
    """What the real history lacks, at fixed places and labelled: a sustained slow-down, and a disk that fills up.

    Args:
        number: which execution of its workflow this is, from 0.
    """
    labels = event.labels | _INJECTED
    if event.workflow_id == SLOW_WORKFLOW and number >= SLOW_FROM:
        steps = [replace(step, duration_s=(step.duration_s or 0.0) * SLOW_FACTOR) for step in event.steps]
        duration_s = (event.duration_s or 0.0) * SLOW_FACTOR
        started_at = event.finished_at - timedelta(seconds=duration_s)
        return replace(event, steps=steps, duration_s=duration_s, started_at=started_at, labels=labels)
    if event.workflow_id == DISK_WORKFLOW:
        used = 34.0 + number % 5 * 0.4
        if number in DISK_FILLS:
            used += 2.9 * (number - DISK_FILLS.start + 1)
        disk = Resource(used, DISK_LIMIT_GIB, "GiB")
        return replace(event, resources={"disk": disk}, labels=labels)
    return event


def _moved(event: Event, by: timedelta, weeks: int) -> Event:
    """Later by whole weeks. The shift is part of the ids: next week's demo is a history of its own."""
    if isinstance(event, Completion):
        environment = event.workflow_id.partition("@")[2]
        return replace(
            event,
            execution_id=f"{event.execution_id}+{weeks}w",
            workflow_name=f"Dune CI, {environment}",
            started_at=event.started_at + by,
            finished_at=event.finished_at + by,
            labels={**_LABELS, **event.labels},
        )
    assert not isinstance(event, Start), "the demo's data has ends alone"
    run_id = f"polls-{_time_of(event) + by:%Y-%m-%d}"
    if isinstance(event, Score):
        return replace(event, run_id=run_id, scored_at=event.scored_at + by, labels=_LABELS)
    return replace(event, run_id=run_id, at=event.at + by, labels=_LABELS)


def _time_of(event: Event) -> datetime:
    if isinstance(event, Completion):
        return event.finished_at
    if isinstance(event, Start):
        return event.started_at
    return event.scored_at if isinstance(event, Score) else event.at


if __name__ == "__main__":
    for demo_event in demo_events(datetime.now(UTC)):
        sys.stdout.buffer.write(demo_event.value + b"\n")
