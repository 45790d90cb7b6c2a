"""Stored history of one workflow, replayed: the baseline of each of its variants, as the live detector keeps them."""

from stream_detector.detect import Baseline, WorkflowBaseline
from stream_detector.events import Completion
from stream_detector.events.variant import DEFAULT_BRANCH, workflow_key


class VariantBaselines:
    """Of one workflow. Executions without a variant have a baseline until its default branch takes that over."""

    def __init__(self, workflow_id: str) -> None:
        self._workflow_id = workflow_id
        self._known: dict[str | None, WorkflowBaseline] = {}

    def of(self, event: Completion) -> WorkflowBaseline:
        """The one that the execution is judged by."""
        variant = event.variant
        known = self._known.get(variant)
        if known is None:
            key = workflow_key(self._workflow_id, variant)
            known = self._known.pop(None, None) if variant == DEFAULT_BRANCH else None
            if known is None:
                made = Baseline.new(key)
                assert isinstance(made, WorkflowBaseline)
                known = made
            known.key = key
            self._known[variant] = known
        return known

    def find(self, variant: str) -> WorkflowBaseline | None:
        """The one of a variant, if it has one."""
        return self._known.get(variant)
