"""Reads the packed baselines that the recorder stored."""

from stream_detector.detect import Baseline, WorkflowBaseline


def workflow_state(key: str | None, packed: bytes | None) -> WorkflowBaseline | None:
    """The baseline of a workflow; None where there is none, or a later version wrote it."""
    if key is None or packed is None:
        return None
    try:
        baseline = Baseline.unpack(key, packed)
    except ValueError:  # PackedError is one
        return None
    return baseline if isinstance(baseline, WorkflowBaseline) else None
