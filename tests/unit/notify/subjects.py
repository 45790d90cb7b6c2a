"""What messages are made about in these tests; `tests.events_made` fills in the rest."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from stream_detector.events import Anomaly, Metrics, RunSummary, SummaryAnomaly
from stream_detector.notify.config import NotifyConfig
from tests.events_made import anomaly, summary, uuid

ENDED = datetime(2026, 1, 22, 0, 5, tzinfo=UTC)
CONFIG = NotifyConfig(channels={"inbox": True, "slack": True, "email": True}, base_url="https://gvs.example.org")
NASTY = "<!channel> <@U1> & <b>x</b>\r\nBcc: all@example.org \u202e7.5 *bold* _it_ `code` \x00\x1b[31m"


def change(name: str, previous: str, current: str, **given: Any) -> SummaryAnomaly:
    """One score change of a run."""
    before, after = Decimal(previous), Decimal(current)
    values: dict[str, Any] = {
        "id": uuid(name),
        "entity_id": name.lower(),
        "entity_name": name,
        "previous": before,
        "current": after,
        "delta": after - before,
        "direction": "down" if after < before else "up",
        "threshold": Decimal("0.5"),
    }
    return SummaryAnomaly(**(values | given))


LIDO = change("Lido", "7.5", "5.8")
BALANCER = change("Balancer", "5.0", "5.8")


def run_of(*changes: SummaryAnomaly, run_id: str = "2026-01-22", **given: Any) -> RunSummary:
    """A run's summary that ended at 00:05."""
    return summary(run_id, **({"ended_at": ENDED, "anomalies": list(changes), "anomaly_count": len(changes)} | given))


def slow(name: str = "slow", **given: Any) -> Anomaly:
    """A critical slow run of a workflow, with everything that W27 asks for."""
    values: dict[str, Any] = {
        "anomaly_type": "PerformanceDegradation",
        "severity": "critical",
        "description": "nightly took 130 s, usually it takes 100 s.",
        "metrics": Metrics(
            current_value=130.0,
            baseline_value=100.0,
            deviation=30.0,
            z_score=3.0,
            confidence=0.99,
            unit="s",
            direction="up",
        ),
        "investigation_steps": [
            "Step compile took 45 s, usually 20 s: look at it first.",
            "Compare with execution 41, the last good one.",
        ],
    }
    return anomaly(name, **(values | given))
