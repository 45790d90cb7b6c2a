"""Stored executions for tests, and what `step` finds in them one after the other, as the live detector does."""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from stream_detector.detect import Baseline, Config, step
from stream_detector.events import Completion, Profile
from stream_detector.store.rows import Row
from tests.events_made import NOON, completion, row


def history(runs: int = 200, seed: int = 3) -> list[Row[Completion]]:
    """Two workflows over 60 days, one of them mostly late in its own way: slow runs, failing stretches, a backfill."""
    chance = random.Random(seed)
    rows = []
    for n in range(runs):
        failing = 80 < n % 120 < 92
        event = completion(
            str(n),
            ("nightly", "weekly")[n % 3 == 0],
            attempt=1 + (n % 50 == 7),
            finished_at=NOON + timedelta(hours=7.2 * n - (40 if n % 31 == 30 else 0)),
            duration_s=round(chance.gauss(100, 10) * (3 if n % 37 == 36 else 1), 3) if n % 17 else None,
            status="failure" if failing and n % 4 else "cancellation" if n % 29 == 3 else "success",
            labels={"commit": f"c{n}"},
        )
        # Records of one workflow lie on its own partition; offsets are those of the topic.
        rows.append(row(event, n, partition=int(event.workflow_id == "weekly"), backfill=20 < n < 40, epoch=1))
    return rows


def ended(n: int, duration_s: float) -> Row[Completion]:
    """The n-th execution of `nightly`, ended n minutes after noon."""
    return row(completion(str(n), duration_s=duration_s, finished_at=NOON + timedelta(minutes=n)), n)


def found_live(rows: Sequence[Row[Completion]], profile: Profile) -> dict[str, list[dict[str, Any]]]:
    """Execution id -> the anomalies that `step` finds when it comes, as plain values."""
    baselines: dict[str, Any] = {}
    found = {}
    for each in rows:
        key = f"workflow:{each.event.workflow_id}"
        baseline = baselines.setdefault(key, Baseline.new(key))
        outcome = step(baseline, each.event, Config(profile=profile), each.record_ms, backfill=each.backfill)
        found[each.event.execution_id] = msgspec.to_builtins(list(outcome.anomalies))
    return found
