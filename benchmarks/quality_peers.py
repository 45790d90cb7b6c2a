"""Other detectors in the same scoreboard: river's, and NAB's simple ones."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from river import anomaly, drift

from benchmarks import injected, nab

Alarm = Callable[[float], bool]


def duration_peers(lanes: Sequence[injected.Lane]) -> dict[str, list[injected.Tally]]:
    """Each peer over the same injected lanes, one tally a lane; it sees raw seconds, and learns from every one."""
    makers: dict[str, Callable[[], Alarm]] = {
        "river GaussianScorer": _gaussian,
        "river HalfSpaceTrees": _trees,
        "river ADWIN": lambda: _drift(drift.ADWIN()),
        "river PageHinkley": lambda: _drift(drift.PageHinkley()),
    }
    return {name: [_tally(lane, make()) for lane in lanes] for name, make in makers.items()}


def _tally(lane: injected.Lane, alarm: Alarm) -> injected.Tally:
    return injected.tally(lane, [row for row, run in enumerate(lane.runs) if alarm(run.duration_s)])


def _gaussian() -> Alarm:
    # grace_period: its default of 100 never scores a window of 30 (river 0.26.1).
    scorer = anomaly.GaussianScorer(window_size=None, grace_period=30)

    def alarm(duration_s: float) -> bool:
        score = scorer.score_one(None, duration_s)
        scorer.learn_one(None, duration_s)
        return score > 0.997

    return alarm


def _trees() -> Alarm:
    scorer = anomaly.HalfSpaceTrees(n_trees=10, height=6, window_size=60, limits={"d": (0.0, 1.0)}, seed=0)
    largest = 1e-9

    def alarm(duration_s: float) -> bool:
        nonlocal largest
        largest = max(largest, duration_s)
        scaled = {"d": duration_s / largest}
        score = scorer.score_one(scaled)
        scorer.learn_one(scaled)
        return score > 0.97

    return alarm


def _drift(detector: Any) -> Alarm:
    def alarm(duration_s: float) -> bool:
        detector.update(duration_s)
        return bool(detector.drift_detected)

    return alarm


def nab_peers(corpus: Sequence[nab.Series]) -> dict[str, dict[str, float]]:
    """NAB's null, random (mean of five seeds) and windowed Gaussian detectors, whose figures are published."""
    null = nab.score(corpus, [[0.0] * len(series.values) for series in corpus])
    draws = []
    for seed in range(5):
        rng = random.Random(seed)
        draws.append(nab.score(corpus, [[rng.random() for _ in series.values] for series in corpus]))
    gaussian = nab.score(corpus, [nab.windowed_gaussian(series.values) for series in corpus])
    mean = {name: sum(draw[name] for draw in draws) / len(draws) for name in null}
    peers = {"null": null, "random": mean, "windowed Gaussian": gaussian}
    return {peer: {name: round(value, 1) for name, value in figures.items()} for peer, figures in peers.items()}
