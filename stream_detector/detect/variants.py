"""What becomes of the state that a workflow had before its executions had variants.

Its key has no variant. The first execution of the variant `default branch` takes it over, with its open incidents;
no other variant does, unless no execution has ever come and it is there for a rule that expects some: then the first
that is not of branches. Where none has come for 35 days since the first variant, and nothing without one, it retires.
The live detector and the replay do both here, each with states of its own.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol, cast

from msgspec.structs import replace

from stream_detector.detect import anomaly, due
from stream_detector.detect.baseline import Baseline, WorkflowBaseline
from stream_detector.detect.codec.crc32 import crc32_of
from stream_detector.detect.config import Config
from stream_detector.detect.finding import Finding, ended
from stream_detector.detect.incident import Incident
from stream_detector.detect.rules import missed_run, still_running
from stream_detector.detect.rules.performance_degradation import FASTER
from stream_detector.detect.variant_state import is_of_branches
from stream_detector.events import Action, Anomaly, AnomalyType, Completion
from stream_detector.events.anomaly_types import TYPES
from stream_detector.events.ids import derived_id
from stream_detector.events.times import epoch_ms
from stream_detector.events.variant import DEFAULT_BRANCH, key_parts, workflow_key

RETIRES_AFTER_MS: Final = 35 * 86_400_000
"""As long as the baseline of a workflow that ran once: a monthly job runs every 31 days at the latest."""
_TYPES: Final = {entry.rule: name for name, entry in TYPES.items()} | {
    missed_run.NAME: "PatternDeviation",
    still_running.NAME: "UnusualExecutionTime",
}
_FASTER: Final = "performance_degradation", crc32_of(FASTER)


class States(Protocol):
    """Where the baselines of a workflow are."""

    def open(self, key: str) -> Baseline | None:
        """A copy of the baseline, or the baseline itself; None where the key has none."""

    def rename(self, old: str, new: str) -> None:
        """The baseline of one key becomes that of another one, which has none."""

    def retire(self, key: str, by: str) -> None:
        """The key has no baseline any more, from the event of another key on."""


def follow(states: States, key: str, event: Completion, config: Config, *, backfill: bool) -> Sequence[Anomaly]:
    """Called before an execution with a variant is judged: its workflow's former state is taken over or retires.

    Args:
        key: of the event.

    Returns:
        The ends of the incidents that were open where it has retired.
    """
    former_key = workflow_key(event.workflow_id)
    former = states.open(former_key)
    if former is None:
        return ()
    own = states.open(key)
    if own is None:
        has_never_run = not former.ids and not is_of_branches(event.variant)
        if event.variant == DEFAULT_BRANCH or has_never_run:
            states.rename(former_key, key)
        return ()
    if backfill or not isinstance(former, WorkflowBaseline) or not isinstance(own, WorkflowBaseline):
        return ()
    state, at_ms = own.variant_state, epoch_ms(event.finished_at)
    if state is None or not state.since_ms or at_ms < max(state.since_ms, former.newest_ms) + RETIRES_AFTER_MS:
        return ()
    states.retire(former_key, by=key)
    return _ends(former, own, event, config, _VARIANTS_FOR_LONG)


def ends_of(former: Baseline, kept: Baseline, at: datetime, config: Config) -> Sequence[Anomaly]:
    """Of two baselines of one key, after a rename, one gives way: the ends of its open incidents.

    Args:
        at: when the workflow was renamed.
    """
    workflow_id = key_parts(kept.key).entity_id
    event = Completion(
        execution_id="rename", workflow_id=workflow_id, status="success", started_at=at, finished_at=at, duration_s=0.0
    )
    return [replace(end, variant=key_parts(kept.key).variant) for end in _ends(former, kept, event, config, _RENAMED)]


class _Why(NamedTuple):
    """Why a baseline gives way, for people."""

    description: str
    gate: str
    step: str


_VARIANTS_FOR_LONG: Final = _Why(
    "This workflow has had variants for 35 days; the baseline of its executions without a variant was retired",
    "no execution without a variant and none of the default branch for 35 days",
    "Look at the variants of this workflow: each has its own baseline now",
)
_RENAMED: Final = _Why(
    "This workflow was renamed; of the baselines of its two ids one was retired",
    "the workflow was renamed, and executions under both ids were judged",
    "Look at the newest executions of this workflow",
)


def _ends(former: Baseline, own: Baseline, event: Completion, config: Config, why: _Why) -> Sequence[Anomaly]:
    config, taken = config.for_execution(event), {one.id for _, one in _open(own)}
    return [
        _end(place, incident, former.key, event, config, why)
        for place, incident in _open(former)
        if incident.reported and incident.id not in taken  # a database that was restored between the two has both
    ]


def _open(baseline: Baseline) -> list[tuple[tuple[str, int], Incident]]:
    """The incidents that are open, with those of what was due."""
    more = due.open_incidents(baseline) if isinstance(baseline, WorkflowBaseline) else []
    return [*baseline.incidents.items(), *more]


def _end(place: tuple[str, int], incident: Incident, key: str, event: Completion, config: Config, why: _Why) -> Anomaly:
    """The end of an incident of a key that retires: of no execution, since none of that key ended it."""
    made = anomaly.build_anomaly(
        _finding(place, why),
        event,
        config,
        own_id=derived_id(place[0], key, incident.id, "retired"),
        incident_id=incident.id,
        state="resolved",
        steps=[why.step],
        duration_s=anomaly.lasted_s(incident, event.finished_at),
    )
    about = [one for one in made.affected_entities if one.kind == "workflow"]
    return replace(made, execution_id=None, attempt=None, variant=None, labels={}, url=None, affected_entities=about)


def _finding(place: tuple[str, int], why: _Why) -> Finding:
    rule = place[0]
    return ended(
        rule,
        "UnusualExecutionTime" if place == _FASTER else cast(AnomalyType, _TYPES[rule]),
        why.description,
        "retired",
        [why.gate],
        current=0.0,
        usual=0.0,
        unit="runs",
    )


def keys_of_action(event: Action, keys: Sequence[str], states: States) -> Sequence[str]:
    """Which keys an action changes: one that names a workflow is about all of its variants.

    Where it names an incident that one of the keys has, it is about that key.

    Args:
        keys: the workflow's, that without a variant first, or the one that the action names.
    """
    if event.incident_id is not None and len(keys) > 1:
        having = [key for key in keys if _has_incident(states.open(key), event.incident_id)]
        return having or keys
    return keys


def _has_incident(baseline: Baseline | None, incident_id: str) -> bool:
    return baseline is not None and any(one.id == incident_id for _, one in _open(baseline))


def is_of_workflow(key: str, workflow_id: str) -> bool:
    """Whether the key is that of a variant of the workflow.

    >>> is_of_workflow("workflow/schedule:a:b", "a:b"), is_of_workflow("workflow/schedule:a:b", "b")
    (True, False)
    """
    return key.startswith("workflow/") and key_parts(key).entity_id == workflow_id
