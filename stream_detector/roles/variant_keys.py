"""The keys of a workflow's variants in a partition's state: which an action is about, and which takes over another."""

from collections.abc import Sequence

from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect import Baseline, BaselineBuffer, WorkflowBaseline
from stream_detector.events.variant import key_parts


class PartitionStates:
    """One partition's baselines during one chunk, as `detect.variants` asks for them: on buffers of its own.

    Args:
        partition: it is ours.
    """

    def __init__(self, partition: StatePartition[bytes]) -> None:
        self._partition = partition
        self._variants: dict[str, set[str]] | None = None
        """Workflow id -> keys of its variants; None: nobody has asked yet. It takes 10 ms for 25,000 keys."""

    def open(self, key: str) -> Baseline | None:
        """A copy of the baseline; None where the key has none, or bytes that cannot be read."""
        packed = self._partition.get(key)
        if packed is None:
            return None
        try:
            return BaselineBuffer().open(key, packed)
        except Exception:  # an event of the key itself begins it anew, and reports that
            return None

    def rename(self, old: str, new: str) -> None:
        """The baseline of one key becomes that of another one."""
        baseline = self.open(old)
        assert isinstance(baseline, WorkflowBaseline)
        self._partition.rename(old, new, baseline.with_key(new).pack())

    def retire(self, key: str, by: str) -> None:
        """The key has no baseline any more, as soon as the changelog has what the other key's event led to."""
        self._partition.delete_with(key, by)

    def keys_named(self, named: str) -> Sequence[str]:
        """The key that an action names; of a workflow those of its variants too, in a stable order."""
        workflow_id = named.removeprefix(WorkflowBaseline.PREFIX)
        if workflow_id == named:
            return [named]
        if self._variants is None:
            self._variants = {}
            for key in self._partition.keys():  # noqa: SIM118  it is no dict
                self.note(key)
        return [named, *sorted(self._variants.get(workflow_id, ()))]

    def note(self, key: str) -> None:
        """There is a baseline of the key."""
        if self._variants is not None and key.startswith(WorkflowBaseline.VARIANT_PREFIX):
            self._variants.setdefault(key_parts(key).entity_id, set()).add(key)
