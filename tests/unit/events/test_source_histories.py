"""X20: what whole histories of deliveries lead to: nothing of what did not run or ran for somebody else is reported."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from stream_detector.detect import Config
from stream_detector.detect.replay import Replayer
from stream_detector.events import Anomaly
from stream_detector.events.decode import decode_completion

BEGIN = datetime(2026, 3, 2, 6, tzinfo=UTC)


def reported(deliveries: list[Any]) -> list[Anomaly]:
    """The anomalies above `info` that the deliveries lead to, in their order."""
    replayer = Replayer(Config(profile="robust"))
    found: list[Anomaly] = []
    for delivery in deliveries:
        event = decode_completion(json.dumps(delivery).encode(), (), -1)
        found += replayer.apply(event, -1).anomalies
    return [anomaly for anomaly in found if anomaly.severity != "info"]


def run(number: int, at: datetime, took_s: int, **given: Any) -> Any:
    whole = {
        "id": 7000 + number, "name": "Checks", "path": ".github/workflows/checks.yml", "event": "push",
        "status": "completed", "conclusion": "success", "head_branch": "main", "run_attempt": 1,
        "run_started_at": at.isoformat(), "updated_at": (at + timedelta(seconds=took_s)).isoformat(),
        "head_repository": {"full_name": "bakery/oven"},
    }  # fmt: skip
    repository = {"full_name": "bakery/oven", "default_branch": "main"}
    return {"action": "completed", "workflow_run": whole | given, "repository": repository}


def pipeline(number: int, at: datetime, took_s: int, **given: Any) -> Any:
    end = at + timedelta(seconds=took_s)
    attributes = {
        "id": 400 + number, "name": None, "ref": "trunk", "tag": False, "sha": f"{number:x}", "source": "push",
        "status": "success", "created_at": f"{at:%Y-%m-%d %H:%M:%S} UTC", "finished_at": f"{end:%Y-%m-%d %H:%M:%S} UTC",
        "duration": took_s,
    }  # fmt: skip
    project = {"path_with_namespace": "bakery/oven", "default_branch": "trunk"}
    return {"object_kind": "pipeline", "object_attributes": attributes | given, "project": project, "builds": []}


def test_x20_runs_that_wait_for_an_approval_are_nothing() -> None:
    draw = random.Random(1)
    deliveries = [run(n, BEGIN + timedelta(hours=3 * n), draw.randint(290, 330)) for n in range(60)]
    fork = {"full_name": "baker/oven"}
    waiting = {"event": "pull_request", "conclusion": "action_required", "head_repository": fork}
    deliveries += [run(60 + n, BEGIN + timedelta(hours=180 + n), 0, **waiting) for n in range(5)]
    assert reported(deliveries) == []


def test_x20_pull_requests_that_fail_once_each_are_nothing_and_three_pushes_are_not() -> None:
    draw = random.Random(2)
    deliveries = []
    for n in range(100):
        third = {"event": "pull_request", "head_branch": f"idea-{n}"} if n % 3 == 1 else {}
        deliveries.append(run(n, BEGIN + timedelta(hours=2 * n), draw.randint(290, 330), **third))
    failing = [
        run(
            100 + n,
            BEGIN + timedelta(hours=200 + 2 * n),
            300,
            conclusion="failure",
            event="pull_request",
            head_branch=f"x{n}",
        )
        for n in range(3)
    ]
    assert reported(deliveries + failing) == []
    broken = [run(200 + n, BEGIN + timedelta(hours=210 + 2 * n), 300, conclusion="failure") for n in range(3)]
    assert {anomaly.anomaly_type for anomaly in reported(deliveries + failing + broken)} >= {"ConsecutiveFailures"}


def test_x20_one_broken_commit_with_its_child_pipelines_is_nothing() -> None:
    for children in (2, 4):
        for extra in ({}, {"stages": ["bake", "taste"]}):
            draw, deliveries, number = random.Random(3), [], 0
            for n in range(61):
                at, status = BEGIN + timedelta(hours=3 * n), "failed" if n == 60 else "success"
                for child in range(children):
                    took_s = draw.randint(80, 100)
                    more = {"source": "parent_pipeline", "status": status} | extra
                    deliveries.append(pipeline(number + child, at, took_s, **more))
                deliveries.append(pipeline(number + children, at, draw.randint(210, 230), status=status))
                number += children + 1
            assert reported(deliveries) == [], (children, extra)


def test_x20_a_nightly_that_fails_among_good_pushes_is_reported() -> None:
    draw, deliveries = random.Random(4), []
    for day in range(40):
        for n in range(8):
            deliveries.append(pipeline(10 * day + n, BEGIN + timedelta(days=day, hours=n), draw.randint(210, 230)))
        status = "failed" if day >= 33 else "success"
        at = BEGIN + timedelta(days=day, hours=20)
        deliveries.append(pipeline(10 * day + 9, at, draw.randint(3500, 3700), source="schedule", status=status))
    found = reported(deliveries)
    assert {anomaly.variant for anomaly in found} == {"schedule"}
    assert {(anomaly.anomaly_type, anomaly.severity) for anomaly in found} >= {
        ("ConsecutiveFailures", "warning"),
        ("ConsecutiveFailures", "critical"),
    }
