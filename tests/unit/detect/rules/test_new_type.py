"""A new type of anomaly takes the three files that `events/anomaly_types` and the registry name, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import stream_detector

PACKAGE = Path(stream_detector.__file__).parent
RULE = '''"""RetriedOften: an execution that took its third attempt or a later one."""

from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.finding import Finding
from stream_detector.events import Completion

NAME = "retried_often"


def judge(
    baseline: WorkflowBaseline, event: Completion, failed: bool, explain: list[str] | None
) -> tuple[list[Finding], list[Finding]]:
    """The finding for a third attempt; the next first one ends it."""
    finding = Finding(
        detector=NAME,
        anomaly_type="RetriedOften",
        severity="warning" if event.attempt >= 3 else "info",
        description=f"{event.workflow_id} took {event.attempt} attempts",
        current=float(event.attempt),
        baseline=1.0,
        deviation=event.attempt - 1.0,
        z=None,
        confidence=1.0,
        unit="attempts",
        direction="up",
        gates=["3 attempts or more"],
        opens_incident=True,
    )
    if event.attempt >= 3:
        return [finding], []
    return [], [finding] if (NAME, 0) in baseline.incidents else []
'''
TYPES = (
    ('    "SignificantScoreChange",\n]', '    "SignificantScoreChange",\n    "RetriedOften",\n]'),
    (
        ")\n\nTYPES: Final",
        """    TypeInfo(
        name="RetriedOften",
        title="Retried often",
        description="An execution took its third attempt or a later one.",
        rule="retried_often",
        code=7,
        severities=("info", "warning"),
    ),
)

TYPES: Final""",
    ),
)
REGISTRY = (
    ("    resource_exhaustion,\n", "    resource_exhaustion,\n    retried_often,\n"),
    (
        ")\n\nRULES: Final",
        '    Rule(retried_often.NAME, "RetriedOften", (), judge=retried_often.judge, judges_all=True),\n'
        ")\n\nRULES: Final",
    ),
)
PROGRAM = """
import json
from datetime import UTC, datetime, timedelta
from stream_detector.detect import Baseline, Config, step
from stream_detector.events import Completion
from stream_detector.events.decode import decode_anomaly
from stream_detector.events.encode import encode

baseline, found = Baseline.new("workflow:nightly"), []
for number, attempt in enumerate((1, 3, 4, 1)):
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    event = Completion(execution_id=f"x{number}", workflow_id="nightly", status="success", started_at=at,
                       finished_at=at, duration_s=10.0, attempt=attempt)
    for anomaly in step(baseline, event, Config()).anomalies:
        assert decode_anomaly(encode(anomaly)) == anomaly
        assert anomaly.investigation_steps
        found.append([anomaly.anomaly_type, anomaly.severity, anomaly.state, anomaly.detector])
    baseline = Baseline.unpack(baseline.key, baseline.pack())
print(json.dumps(found))
"""


def edited(path: Path, replacements: tuple[tuple[str, str], ...]) -> None:
    """The file with each text in place of another, which must be there once."""
    text = path.read_text("utf-8")
    for old, new in replacements:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


def test_a_type_is_found_stored_and_ended_after_three_files(tmp_path: Path) -> None:
    copy = tmp_path / "stream_detector"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("*.so", "static", "__pycache__", "demo_data"))
    (copy / "detect" / "rules" / "retried_often.py").write_text(RULE, "utf-8")
    edited(copy / "events" / "anomaly_types.py", TYPES)
    edited(copy / "detect" / "rules" / "registry.py", REGISTRY)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "STREAM_DETECTOR_PURE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        ["RetriedOften", "warning", "opened", "retried_often"],
        ["RetriedOften", "warning", "ongoing", "retried_often"],
        ["RetriedOften", "info", "resolved", "retried_often"],
    ]
