"""RetriedOften: an execution that took its third attempt or a later one."""

from tests.e2e.additions.addition import Addition

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

RETRIED_OFTEN = Addition(
    heading="Add a type of anomaly",
    at_most=5,
    words={"rule": "retried_often"},
    new={"detect/rules/retried_often.py": RULE},
    changed={
        "events/anomaly_types.py": (
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
        ),
        "detect/rules/registry.py": (
            ("    resource_exhaustion,\n", "    resource_exhaustion,\n    retried_often,\n"),
            (
                ")\n\nRULES: Final",
                '    Rule(retried_often.NAME, "RetriedOften", (), judge=retried_often.judge, judges_all=True),\n'
                ")\n\nRULES: Final",
            ),
        ),
    },
)
