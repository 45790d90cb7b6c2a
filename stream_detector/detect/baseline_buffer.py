"""Baselines that are kept as bytes, each unpacked while an event of its key is judged."""

from mypy_extensions import mypyc_attr

from stream_detector.detect.baseline import Baseline, ScoreBaseline, WorkflowBaseline


@mypyc_attr(acyclic=True)
class BaselineBuffer:
    """A baseline of each kind that is written anew for each event, so that a key is nothing but its bytes.

    Kept unpacked, a baseline is a dozen objects and 5 KB, and where there are many of them each event waits a dozen
    times for memory: that takes as long as to unpack and pack it from 10,000 workflows on, with 100 it is 1 us less. A
    million workflows need half of the memory, and an event of theirs a third of the time (2026-11-29).
    """

    __slots__ = ("_score", "_variant", "_workflow")

    def __init__(self) -> None:
        self._workflow, self._score = WorkflowBaseline(""), ScoreBaseline("")
        self._variant = WorkflowBaseline(WorkflowBaseline.VARIANT_PREFIX)

    def open(self, key: str, packed: bytes | None) -> Baseline:
        """The baseline of a key, a new one for None; the one that was opened before is gone.

        Raises:
            ValueError: the key is of neither kind.
            PackedError: the bytes are of a newer program, or no baseline.
        """
        if packed is None:
            return Baseline.new(key)
        baseline: Baseline
        if key.startswith(WorkflowBaseline.PREFIX):
            baseline = self._workflow
        elif key.startswith(WorkflowBaseline.VARIANT_PREFIX):
            baseline = self._variant
        elif key.startswith(ScoreBaseline.PREFIX):
            baseline = self._score
        else:
            return Baseline.new(key)  # refuses it
        baseline.key = key
        baseline.fill(packed)
        return baseline
