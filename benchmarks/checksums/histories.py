"""The records that are replayed: CI tables, the demo, and what made-up events are put into."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from stream_detector.detect import Config, key_of, profile_rules, score_threshold_rules
from stream_detector.devstack.demo import demo_events
from stream_detector.events import Action, Completion, Score, ScoreRun
from stream_detector.events.decode import decode_action, decode_completion, decode_score, decode_score_run
from stream_detector.events.encode import encode
from stream_detector.events.files import read_history
from stream_detector.events.inputs import INPUT_TOPICS, Kind
from stream_detector.events.times import epoch_ms
from stream_detector.kafka import topics

NOW = datetime(2026, 11, 1, tzinfo=UTC)
"""What the demo takes for now, so that its dates are always the same."""
START = datetime(2026, 3, 2, tzinfo=UTC)
"""Where made-up events begin: a Monday."""
PARTITIONS = 4
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
DECODE: dict[str, Callable[..., Any]] = {
    topics.COMPLETIONS: decode_completion,
    topics.SCORES: decode_score,
    topics.SCORE_RUNS: decode_score_run,
    topics.ACTIONS: decode_action,
}
Given = Completion | Score | ScoreRun | Action


class Item(NamedTuple):
    """One record that comes at `at_ms` (epoch ms). `event` is None where decoding must refuse it."""

    topic: str
    value: bytes
    at_ms: int
    event: Given | None
    backfill: bool = False
    astray: bool = False
    """Whether it lies on a partition that does not own its key."""

    @property
    def partition(self) -> int:
        """Where it lies."""
        name = key_of(self.event).partition(":")[2] if isinstance(self.event, Completion | Score | Action) else ""
        return (topics.owner_partition(name, PARTITIONS) + self.astray) % PARTITIONS

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """As a producer sets them."""
        return [("mode", b"backfill")] if self.backfill else []


def item(topic: str, event: Given, at_ms: int, **more: bool) -> Item:
    """A record with this event, read again from its bytes."""
    value = encode(event)
    return Item(topic, value, at_ms, DECODE[topic](value, (), at_ms), **more)


def ci_items(path: Path, *, builds: bool) -> list[Item]:
    """A CI table: each test's runs, or each build with its tests as steps."""
    lines = read_history(path, record_ms=-1, builds=builds)
    return [
        Item(topics.COMPLETIONS, line.value, epoch_ms(line.event.finished_at), line.event)
        for line in lines
        if isinstance(line.event, Completion)
    ]


def demo_items(*kinds: Kind) -> list[Item]:
    """The demo's events of these kinds."""
    wanted = {INPUT_TOPICS[kind] for kind in kinds}
    return [
        Item(one.topic, one.value, one.timestamp_ms, DECODE[one.topic](one.value, (), one.timestamp_ms))
        for one in demo_events(NOW)
        if one.topic in wanted
    ]


@dataclass(frozen=True)
class History:
    """A named history. `lawful`: every event lies on its owner's partition and no key is retired."""

    name: str
    items: list[Item]
    profiles: tuple[str, ...] = ("classic", "robust")
    lawful: bool = True
    real: bool = False
    """Too long for the notifier."""


def config_of(profile: str) -> tuple[Config, Config]:
    """What judges the first half of a history, and what the second."""
    rules = score_threshold_rules("type=vault -> 10 %")
    classic, robust = (Config(name, score_rules=rules) for name in ("classic", "robust"))  # type: ignore[arg-type]
    chosen = profile_rules("failing-* -> classic, team=core -> classic, environment=stage* -> robust")
    mixed = Config("robust", score_rules=rules, profile_rules=chosen)
    pairs = {"classic": (classic, classic), "robust": (robust, robust), "mixed": (mixed, mixed)}
    return (pairs | {"switched": (classic, robust)})[profile]
