"""How common a label is among the executions of an hour: exact where they are few, estimated where they are many."""

import random
from types import SimpleNamespace
from typing import Any

import pytest

from stream_detector.detect.label_window import (
    COUNTED_EACH,
    KEPT_QUARTERS,
    MAX_VALUES,
    QUARTER_S,
    LabelWindow,
)
from tests.events_made import NOON, completion

AT_S = NOON.timestamp()


def fed(window: LabelWindow, labels: list[dict[str, str]], at_s: float = AT_S) -> LabelWindow:
    finished = SimpleNamespace(timestamp=lambda: at_s)
    window.add_sampled(len(labels), lambda n: SimpleNamespace(labels=labels[n], finished_at=finished))  # type: ignore
    return window


def test_x5_few_are_counted_one_by_one() -> None:
    window = fed(LabelWindow("d"), [{"image": "9" if n < 7 else "8", "only": str(n)} for n in range(40)])
    assert window.counts({"image": "9", "only": "3"}, AT_S).labels == {"image": 7, "only": 1}
    assert window.counts({}, AT_S).executions == 40


def test_x5_the_hour_before_it_and_no_other() -> None:
    window = LabelWindow("d")
    for quarter in (-4, -3, 0, 1):
        fed(window, [{"image": "9"}] * 5, AT_S + quarter * QUARTER_S)
    assert window.counts({"image": "9"}, AT_S + 600).executions == 10


@pytest.mark.parametrize("chunk", [1, 7, 500])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.6])
def test_x5_many_are_estimated_in_whatever_chunks_they_come(chunk: int, share: float) -> None:
    draw, window = random.Random(chunk), LabelWindow("d")
    for _ in range(40_000 // chunk):
        fed(window, [{"image": "9" if draw.random() < share else "8"} for _ in range(chunk)])
    counts = window.counts({"image": "9"}, AT_S)
    assert counts.executions == pytest.approx(40_000, rel=0.15)
    assert counts.labels["image"] / counts.executions == pytest.approx(share, abs=0.04)


def test_x5_workflows_that_come_in_turn_are_estimated_alike() -> None:
    window = fed(LabelWindow("d"), [{"repo": str(n % 64)} for n in range(60_000)])
    for repo in ("0", "1", "63"):
        counts = window.counts({"repo": repo}, AT_S)
        assert counts.labels["repo"] < 3 * counts.executions / 64


def test_x5_one_wrong_clock_pushes_no_hour_out() -> None:
    window = LabelWindow("d")
    for n in range(200):
        fed(window, [{"image": "9"}])
        fed(window, [{"image": "9"}], AT_S + (n % 3 + 1) * 86_400 * 365)
    assert window.counts({"image": "9"}, AT_S).executions == 200


def test_x5_memory_is_bounded_and_a_label_beyond_it_is_taken_for_a_frequent_one() -> None:
    window = LabelWindow("d")
    for n in range(3 * MAX_VALUES):
        window.add({"id": str(n)}, AT_S)
    for quarter in range(100):
        window.add({"id": "x"}, AT_S + (quarter + 5) * QUARTER_S)
    assert len(window._quarters) == KEPT_QUARTERS
    window = LabelWindow("d")
    for n in range(3 * MAX_VALUES):
        window.add({"id": str(n)}, AT_S)
    counts = window.counts({"id": "never counted by itself"}, AT_S)
    assert counts.labels["id"] / counts.executions > 0.5, "so it is no cause"


def test_x5_a_refused_event_is_not_counted() -> None:
    events: list[Any] = [None, completion(labels={"image": "9"}), None]
    window = LabelWindow("d")
    window.add_sampled(3, events.__getitem__)
    assert window.counts({"image": "9"}, events[1].finished_at.timestamp()).executions == 1
    assert COUNTED_EACH > 100
