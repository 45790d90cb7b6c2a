"""Sums over what was found and over packed state: figures by their names."""

import sys
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec

from stream_detector.detect import Baseline
from stream_detector.detect.outcome import Outcome
from stream_detector.events import Anomaly, RunSummary
from stream_detector.events.encode import encode

WORDS = "_words"
"""How the name of a figure ends that covers text for people."""
Figures = dict[str, Any]


class Sum:
    """SHA-256 of parts in their order, each with its length before it, so that ("ab", "c") and ("a", "bc") differ."""

    def __init__(self) -> None:
        self._sum, self.count = sha256(), 0

    def add(self, *parts: bytes | str) -> None:
        """One entry of so many parts."""
        self.count += 1
        for part in parts:
            raw = part.encode() if isinstance(part, str) else part
            self._sum.update(len(raw).to_bytes(8, "little"))
            self._sum.update(raw)

    def __str__(self) -> str:
        return self._sum.hexdigest()


class Bag:
    """The same whatever the order of its entries: their SHA-256 added up."""

    def __init__(self) -> None:
        self._total = 0

    def add(self, entry: bytes) -> None:
        """One entry."""
        self._total = (self._total + int.from_bytes(sha256(entry).digest(), "little")) % (1 << 256)

    def __str__(self) -> str:
        return f"{self._total:064x}"


def wordless(anomaly: Anomaly) -> Anomaly:
    """Without what may be said in other words, the time of its record, and what the metrics have, too."""
    return msgspec.structs.replace(anomaly, description="", investigation_steps=[], published_at=None, scores=None)


class Found:
    """What one way said: anomalies in their order, the outcomes of events, explanations, summaries."""

    def __init__(self) -> None:
        self.alerts, self.alerts_words, self.alerts_unordered = Sum(), Sum(), Bag()
        self.explained_words, self.summaries, self.outcomes_sum = Sum(), Sum(), Sum()
        self.types: Counter[str] = Counter()
        self.sorts: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()

    def add(self, anomalies: Iterable[Anomaly]) -> None:
        """These were told now."""
        for anomaly in anomalies:
            plain = encode(wordless(anomaly))
            self.alerts.add(plain)
            self.alerts_words.add(encode(anomaly))
            self.alerts_unordered.add(plain)
            self.types[f"{anomaly.anomaly_type} {anomaly.state}"] += 1
            if sort := _sort_of(anomaly):
                self.sorts[sort] += 1

    def sum_up(self, summary: RunSummary) -> None:
        """A run has ended."""
        self.summaries.add(encode(summary))
        self.sorts[f"run {summary.status}"] += 1
        self.sorts["run in several parts"] += summary.part > 1

    def outcome(self, outcome: Outcome) -> None:
        """What became of one event."""
        self.outcomes[outcome.kind] += 1
        self.outcomes_sum.add(outcome.kind)

    def figures(self) -> Figures:
        """Sums, and how much they are of."""
        return {
            "alerts": str(self.alerts),
            "alerts_words": str(self.alerts_words),
            "outcomes": str(self.outcomes_sum),
            "summaries": str(self.summaries),
            "explained_words": str(self.explained_words),
            "count": {
                "alerts": self.alerts.count,
                "summaries": self.summaries.count,
                **dict(sorted(self.outcomes.items())),
                **dict(sorted(self.types.items())),
                **dict(sorted(self.sorts.items())),
            },
        }


_RULES = {
    "points": "drift",
    "s": "accepted level",
    "steps": "sequence",
    "ratio": "share",
    "runs": "arrival",
    "scores": "missing",
}
"""By its unit, the sub-rule of a PatternDeviation."""


def _sort_of(anomaly: Anomaly) -> str:
    """Which rule of its detector found it, as far as its numbers say."""
    metrics = anomaly.metrics
    if anomaly.anomaly_type == "PatternDeviation":
        return f"rule {_RULES[metrics.unit]}"
    if anomaly.anomaly_type == "ResourceExhaustion" and anomaly.state != "resolved":
        return f"rule { {1.0: 'full', 0.5: 'forecast'}.get(metrics.confidence, 'rising') }"
    return ""


def sums_of_state(baselines: Iterable[tuple[str, bytes]], runs: Iterable[tuple[str, bytes]]) -> Figures:
    """Of all keys in their order, packed; and of what a baseline says of itself once it is unpacked again."""
    figures: Figures = {"count": {}}
    shown = Sum()
    for name, values in (("baselines", baselines), ("runs", runs)):
        total, n_bytes = Sum(), 0
        for key, packed in sorted(values):
            total.add(key, packed)
            n_bytes += len(packed)
            if name == "baselines":
                shown.add(key, _shown(key, packed))
        figures[name] = str(total)
        figures["count"] |= {name: total.count, f"{name}_bytes": n_bytes}
    return figures | {"shown": str(shown)}


def _shown(key: str, packed: bytes) -> str:
    """Status, feedback and named baselines, as the dashboard has them. Raises where a key does not survive packing."""
    baseline = Baseline.unpack(key, packed)
    if baseline.pack() != packed:
        raise WrongError(f"{key}: unpacked and packed again it is not the same")
    told = [
        baseline.status,
        baseline.is_warm,
        baseline.streak,
        baseline.threshold_multiplier,
        baseline.retired,
        baseline.newest_ms,
    ]
    return repr([*told, *((name, *msgspec.structs.astuple(one)) for name, one in baseline.named_baselines().items())])


class WrongError(Exception):
    """What must be the same is not."""


def merged(*several: Figures) -> Figures:
    """All figures, their counts put together."""
    counts = {name: number for one in several for name, number in one.get("count", {}).items()}
    return {name: value for one in several for name, value in one.items() if name != "count"} | {"count": counts}


def progress(line: str) -> None:
    """A line for whoever waits."""
    print(line, file=sys.stderr, flush=True)
