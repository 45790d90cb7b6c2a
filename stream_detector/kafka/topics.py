"""Every topic, once: name, key, partitions, cleanup, retention, writers, readers. `setup` makes them from this list."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from aiokafka.partitioner import murmur2

COMPLETIONS, SCORES, SCORE_RUNS = "workflow-completions", "scores", "score-runs"
REKEYED, RUN_PARTS = "rekeyed", "run-parts"
BASELINES, RUNS_STATE, NOTIFIER_STATE = "baselines", "runs-state", "notifier-state"
ALERTS, RUN_SUMMARIES, ACTIONS = "alerts", "run-summaries", "operator-actions"
NOTIFIER_IN, NOTIFICATIONS, DEAD_LETTERS = "notifier-in", "notifications", "dead-letters"
DETECTOR_SETTINGS, CLOCK = "detector-settings", "clock"

_DAY_MS = 86_400_000
_FOR_GOOD = -1
_COMPACTION_LAG_MS = 3_600_000
"""Longer than any pause of a worker: else compaction could drop the good value before the owner repaired a late one."""
_LARGEST_BYTES = 8 << 20
"""Of a batch on topics that only we write. A refused or forwarded record is larger than it was on its own topic, by its
origin: a record that filled the broker's limit there (1 MB by default) must find room."""


@dataclass(frozen=True)
class Topic:
    """One topic. `partitions` None means the setting PARTITIONS (N), so that a key's owner is the same in all."""

    name: str
    key: str
    written_by: str
    read_by: str
    cleanup: Literal["delete", "compact"] = "delete"
    retention_ms: int | None = 7 * _DAY_MS
    partitions: int | None = None
    by_broker: bool = False
    """Whether its records have the broker's time: what is decided by the time between two of them is by one clock."""

    @property
    def is_ours(self) -> bool:
        """False for a topic that producers write: it may have been there before us, and its settings are theirs."""
        return "producers" not in self.written_by

    def config(self) -> dict[str, str]:
        """The broker's settings of this topic."""
        ours = {} if "producers" in self.written_by else {"max.message.bytes": str(_LARGEST_BYTES)}
        if self.by_broker:
            ours |= {"message.timestamp.type": "LogAppendTime"}
        if self.cleanup == "compact":
            # By the broker's clock: by that of a worker which is an hour behind, its records have no lag at all.
            return {
                "cleanup.policy": "compact",
                "min.compaction.lag.ms": str(_COMPACTION_LAG_MS),
                "message.timestamp.type": "LogAppendTime",
                **ours,
            }
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms), **ours}


TOPICS: tuple[Topic, ...] = (
    Topic(COMPLETIONS, "workflow_id (any key is accepted)", "producers, api", "detector, recorder"),
    Topic(SCORES, "entity_id (any key is accepted)", "producers, api", "detector, recorder"),
    Topic(SCORE_RUNS, "run_id (any key is accepted)", "producers, api", "detector, recorder"),
    Topic(REKEYED, "state key", "detector", "detector"),
    Topic(RUN_PARTS, "run_id", "detector", "detector", by_broker=True),
    Topic(BASELINES, "state key", "detector", "detector, recorder", "compact", None),
    Topic(RUNS_STATE, "run_id", "detector", "detector, recorder", "compact", None),
    Topic(NOTIFIER_STATE, "slot", "notifier", "notifier, recorder", "compact", None, 1),
    Topic(
        ALERTS, "state key, on the owner's partition", "detector", "recorder, notifier, api, subscribers",
        retention_ms=30 * _DAY_MS,
    ),
    Topic(RUN_SUMMARIES, "run_id", "detector", "recorder, notifier, subscribers", retention_ms=30 * _DAY_MS),
    Topic(
        ACTIONS, "state key, on the owner's partition", "api", "detector, recorder, notifier", retention_ms=90 * _DAY_MS
    ),
    Topic(NOTIFIER_IN, "as in the original topic", "notifier", "notifier", partitions=1),
    Topic(NOTIFICATIONS, "incident or run id", "notifier", "recorder", retention_ms=30 * _DAY_MS),
    Topic(
        DEAD_LETTERS, "as in the original topic", "detector, recorder, notifier", "recorder, api",
        retention_ms=30 * _DAY_MS,
    ),
    Topic(DETECTOR_SETTINGS, "kind", "detector", "detector, recorder", retention_ms=_FOR_GOOD, partitions=1),
    Topic(CLOCK, "kind", "detector", "detector, notifier", partitions=1, by_broker=True),
)  # fmt: skip
BY_NAME = {topic.name: topic for topic in TOPICS}


@lru_cache(maxsize=100_000)
def owner_partition(name: str, partitions: int) -> int:
    """The partition that owns an id: Kafka's default hash of the id alone, so producers that key by it need no hop.

    >>> owner_partition("nightly", 4)
    1

    murmur2 in Python costs 5 us an id; a key that has a baseline here needs none at all.
    """
    return (murmur2(name.encode()) & 0x7FFFFFFF) % partitions
