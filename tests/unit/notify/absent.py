"""Runs that did not come, and what the detector knows of their source, as these tests need them."""

from datetime import datetime, timedelta
from typing import Any

from stream_detector.events import Action, Anomaly, Metrics
from stream_detector.events.source_census import SourceCensus, SourceCount
from stream_detector.notify.policy import take_census
from tests.events_made import NOON, anomaly
from tests.unit.notify.living import NOW_S, Notifier

RUNS = Metrics(
    current_value=1.0,
    baseline_value=0.0,
    deviation=1.0,
    z_score=None,
    confidence=0.97,
    unit="missed runs",
    direction="up",
)


def missed(name: str, due_at: datetime = NOON, **given: Any) -> Anomaly:
    """The run of workflow `name` that was due then did not come."""
    values = {
        "incident": f"missed {name}",
        "detected_at": due_at,
        "anomaly_type": "PatternDeviation",
        "detector": "missed_run",
        "description": f"{name} did not start: it usually starts at 11:40 UTC (31 of 31 runs came)",
        "entity_id": name,
        "entity_name": name,
        "execution_id": f"{name}-30",
        "metrics": RUNS,
        "investigation_steps": [
            f"See whether {name} is still enabled in jenkins, and whether its scheduler and its host run"
        ],
        "profile": "robust",
        "source": "jenkins",
        "labels": {"build": "1951"},
    }
    return anomaly(f"missed {name} {due_at}", **(values | given))


def came(name: str, at: datetime, **given: Any) -> Anomaly:
    """It came late."""
    late = Metrics(
        current_value=2520.0, baseline_value=0.0, deviation=2520.0, z_score=None, confidence=0.5, unit="s",
        direction="up",
    )  # fmt: skip
    values = {
        "state": "resolved",
        "severity": "info",
        "end_reason": "recovered",
        "duration_s": 1920.0,
        "execution_id": f"{name}-31",
        "published_at": at,
        "description": f"{name} came 42 min late: {name}-31 started 2026-01-22 12:22 UTC",
        "metrics": late,
    }
    return missed(name, **({"id": f"end of {name}", "detected_at": at} | values | given))


def running(name: str, **given: Any) -> Anomaly:
    """An execution that runs for longer than its limit."""
    values = {
        "incident": f"running {name}",
        "detector": "still_running",
        "description": f"{name} has been running for 2 h: it usually takes 40 m (longest of the last 80: 55 m); limit "
        "2 h; still running",
        "entity_id": name,
        "entity_name": name,
        "execution_id": f"{name}-31",
        "metrics": Metrics(
            current_value=7200.0,
            baseline_value=2400.0,
            deviation=4800.0,
            z_score=None,
            confidence=0.5,
            unit="s",
            direction="up",
        ),
        "investigation_steps": ["See in the log of this execution what it does now"],
        "profile": "robust",
        "source": "jenkins",
    }
    state = given.get("state", "opened")
    return anomaly(f"running {name} {state}", **(values | given))  # fmt: skip


def minutes(number: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(minutes=number)


def census(
    partition: int = 0, scheduled: int = 40, absent: int = 0, newest_min: float = -30, source: str = "jenkins"
) -> SourceCensus:
    """What a partition knows of a source: its newest event came so many minutes after noon."""
    count = SourceCount(
        scheduled=scheduled,
        missed=absent,
        first_due_ms=int(1000 * NOW_S) if absent else 0,
        newest_ms=int(1000 * (NOW_S + 60 * newest_min)),
    )
    return SourceCensus(schema_version=1, partition=partition, sources={source: count})


class Watching(Notifier):
    """A notifier that reads the topic `clock`, too."""

    def know(self, *records: SourceCensus) -> "Watching":
        for one in records:
            self.outcomes += take_census(self.state, one, self.now_s, self.now_s, self.config)
        self.deliver()
        return self

    def titles(self, channel: str) -> list[str]:
        return [one.message.title for one in self.sent if one.message.channel == channel]

    def inbox(self) -> list[str]:
        return [
            one.title for one in self.outcomes if one.channel == "inbox" and one.outcome == "delivered" and one.body
        ]


def silence(**given: Any) -> Action:
    """Nothing of it until tomorrow."""
    values = {"action_id": "s1", "kind": "silence", "by": "sam", "at": NOON, "until": NOON + timedelta(days=1)}
    return Action(**(values | given))
