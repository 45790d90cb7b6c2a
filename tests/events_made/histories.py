"""Histories for the dashboard's tests, up to now: what was stored, and what detection says of it."""

from datetime import UTC, datetime, timedelta

from stream_detector.detect import Baseline, Config, step
from stream_detector.detect.replay import Baselines
from stream_detector.events import Anomaly, Completion, Metrics
from stream_detector.store.rows import BaselineState
from tests.events_made import anomaly, completion, score_change


def ago(**span: float) -> datetime:
    return (datetime.now(UTC) - timedelta(**span)).replace(microsecond=0)


def three() -> list[Anomaly]:
    """One of the last hour, one of this week, one of this month."""
    return [
        anomaly("now", detected_at=ago(minutes=30), severity="critical"),
        anomaly(
            "week",
            detected_at=ago(days=3),
            anomaly_type="SpikeInFailures",
            entity_id="weekly",
            entity_name="Weekly report",
            metrics=Metrics(
                current_value=0.4,
                baseline_value=0.05,
                deviation=0.35,
                z_score=5.0,
                confidence=0.99,
                unit="ratio",
                direction="up",
            ),
        ),
        score_change("month", detected_at=ago(days=20), severity="info"),
    ]


def slow_after(good: int) -> tuple[list[Completion], list[Anomaly]]:
    """A workflow of about 100 s that takes 4 m 12 s at last, and what detection says of it."""
    last = ago(minutes=5)
    runs = [
        completion(
            f"build-{number}",
            "nightly",
            workflow_name="Nightly build",
            finished_at=last - timedelta(hours=good - number),
            duration_s=252.0 if number == good else 95.0 + (number * 37) % 11,
            status="failure" if number == good // 2 else "success",
            labels={"branch": "main"},
            url="https://ci.example.org/nightly",
        )
        for number in range(good + 1)
    ]
    baseline, found = Baseline.new("workflow:nightly"), []
    for run in runs:
        found += step(baseline, run, Config(profile="classic")).anomalies
    return runs, found


def failing() -> tuple[list[Completion], list[Anomaly]]:
    """A workflow that seldom fails and lately does, each execution with a page of its own elsewhere."""
    last = ago(minutes=5)
    runs = [
        completion(
            f"build-{number}",
            "nightly",
            workflow_name="Nightly build",
            finished_at=last - timedelta(hours=49 - number),
            duration_s=95.0 + (number * 37) % 11,
            status="failure" if number in (12, 43, 45, 47, 48, 49) else "success",
            url=f"https://ci.example.org/build-{number}",
        )
        for number in range(50)
    ]
    baseline, found = Baseline.new("workflow:nightly"), []
    for run in runs:
        found += step(baseline, run, Config(profile="classic")).anomalies
    return runs, found


def learned(*ids: str) -> list[BaselineState]:
    """Baselines of workflows that took 100 s thirty times."""
    states = []
    for workflow_id in ids:
        baseline = Baseline.new(f"workflow:{workflow_id}")
        for number in range(30):
            run = completion(
                str(number), workflow_id, finished_at=ago(hours=40 - number), duration_s=100.0 + number % 3
            )
            step(baseline, run, Config(profile="classic"))
        states.append(
            BaselineState(key=baseline.key, packed=baseline.pack(), state="normal", named=baseline.named_baselines())
        )
    return states


VARIED = "acme/app: 50 %"
"""The id of a workflow with variants, odd on purpose."""


def with_variants() -> tuple[list[Completion], list[Anomaly], list[BaselineState]]:
    """A workflow whose nightly fails at last, while pushes and pull requests, which take less, go well."""
    last, runs = ago(minutes=5), []
    for variant, gap_h, takes_s, count in (
        ("default branch", 6, 100.0, 60),
        ("pull request", 4, 40.0, 60),
        ("schedule", 24, 600.0, 36),
    ):
        runs += [
            completion(
                f"{variant}-{number}",
                VARIED,
                workflow_name="App",
                variant=variant,
                finished_at=last - timedelta(hours=gap_h * (count - 1 - number)),
                duration_s=takes_s + (number * 37) % 11,
                status="failure" if variant == "schedule" and number >= count - 3 else "success",
            )
            for number in range(count)
        ]
    runs.sort(key=lambda run: run.finished_at)
    baselines, found = Baselines(), []
    for run in runs:
        found += baselines.apply(run, Config()).anomalies
    states = [
        BaselineState(key=key, packed=one.pack(), state=one.status, named=one.shown_baselines())
        for key, one in baselines.items()
    ]
    return runs, found, states
