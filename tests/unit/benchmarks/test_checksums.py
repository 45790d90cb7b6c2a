"""The checksums are the same for the same history, and others for another one."""

from itertools import islice
from random import Random

import pytest
from msgspec.structs import replace

from benchmarks.checksums.__main__ import differences, main, replayed
from benchmarks.checksums.histories import START, History, Item, item
from benchmarks.checksums.made_runs import _run, _Scores
from benchmarks.checksums.made_workflows import _executions
from stream_detector.events import Completion
from stream_detector.events.times import epoch_ms
from stream_detector.kafka import topics


def failing(n: int = 240) -> list[Item]:
    """A workflow that fails in a row and often, with steps."""
    events = islice(_executions("failing", 2, Random(1)), n)
    return [item(topics.COMPLETIONS, event, epoch_ms(event.finished_at) + 1000) for event, _, _ in events]


@pytest.mark.parametrize("profile", ["classic", "robust", "switched"])
def test_three_ways_give_the_same_and_a_repeat_gives_it_again(profile: str) -> None:
    first, found = replayed(History("small", failing()), profile)
    again, _ = replayed(History("small", failing()), profile)
    assert first == again
    assert found and first["kept"]["count"]["alerts"] == len(found)
    assert first["kept"]["alerts"] == first["packed"]["alerts"]
    assert first["kept"]["baselines"] == first["live"]["baselines"]


def test_another_history_has_other_sums() -> None:
    items = failing(30)
    event = items[20].event
    assert isinstance(event, Completion) and event.duration_s is not None
    changed = [*items]
    changed[20] = item(topics.COMPLETIONS, replace(event, duration_s=event.duration_s + 0.001), items[20].at_ms)
    (before, _), (now, _) = replayed(History("h", items), "classic"), replayed(History("h", changed), "classic")
    real, _ = differences(before, now)
    assert any("baselines" in text for text in real)


def test_score_runs_and_their_summaries_are_covered() -> None:
    items = _run(_Scores(Random(1)), "nightly", [("dao", n) for n in range(60)], START)
    figures, _ = replayed(History("run", items, lawful=False), "robust")
    assert figures["kept"]["count"]["summaries"] == figures["live"]["count"]["summaries"] == 1
    assert figures["kept"]["count"]["runs"] >= 1


def test_other_words_are_told_apart_from_other_figures() -> None:
    before = {"h | kept": {"alerts": "a", "alerts_words": "b", "count": {"alerts": 1}}}
    now = {"h | kept": {"alerts": "a", "alerts_words": "c", "count": {"alerts": 2}}}
    real, worded = differences(before, now)
    assert len(real) == 1 and "count" in real[0]
    assert len(worded) == 1 and "alerts_words" in worded[0]


def test_a_part_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--parts", "demo,nonsense"])
    assert "no such part: nonsense" in capsys.readouterr().err
