"""History through the same `step` without any server: what a live worker would have found, in the same order."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from stream_detector.detect.baseline import ScoreBaseline, WorkflowBaseline
from stream_detector.detect.config import Config
from stream_detector.detect.due import due
from stream_detector.detect.expected import expect_runs, expected_workflows
from stream_detector.detect.label_window import LabelWindow
from stream_detector.detect.outcome import STARTED, Outcome
from stream_detector.detect.rules.missing_entity import Memberships, apply_membership, membership_parts
from stream_detector.detect.running import arrived_ms, is_watched_first
from stream_detector.detect.runs import Run, apply_part, close, run_part_of
from stream_detector.detect.step import key_of, step
from stream_detector.detect.variants import follow, is_of_workflow, keys_of_action
from stream_detector.events import Action, Anomaly, Completion, RunPart, RunSummary, Score, ScoreRun, Start
from stream_detector.events.completion import with_variant
from stream_detector.events.label_counts import LabelCounts
from stream_detector.events.times import EARLIEST_MS, LATEST_MS, epoch_ms, from_epoch_ms
from stream_detector.events.variant import workflow_key

Event = Completion | Start | Score | Action
_RUN_KINDS = {"started": "run_started", "completed": "run_completed", "failed": "run_failed"}


class Prepared(NamedTuple):
    """An execution and what it is judged by."""

    event: Completion
    """With its variant."""
    baseline: WorkflowBaseline
    ends: Sequence[Anomaly]
    """Of the incidents of a former state that has retired."""


class Baselines(dict[str, WorkflowBaseline | ScoreBaseline]):
    """Baselines by state key: what the live worker keeps in its table."""

    def open(self, key: str) -> WorkflowBaseline | ScoreBaseline | None:
        """The baseline itself."""
        return self.get(key)

    def rename(self, old: str, new: str) -> None:
        """The baseline of one key becomes that of another one."""
        baseline = self.pop(old)
        assert isinstance(baseline, WorkflowBaseline)
        self[new] = baseline.with_key(new)

    def retire(self, key: str, by: str) -> None:
        """The key has no baseline any more."""
        del self[key]

    def keys_named(self, named: str) -> list[str]:
        """The key of a workflow without a variant, whether it has a baseline or not, and those of its variants."""
        workflow_id = named.removeprefix(WorkflowBaseline.PREFIX)
        return [named, *(key for key in self if workflow_id != named and is_of_workflow(key, workflow_id))]

    def expect(self, config: Config, now_s: int) -> None:
        """From now on runs of the workflows are expected that rules name."""
        for workflow in expected_workflows(config):
            for baseline in expect_runs(self, workflow, now_s):
                self[baseline.key] = baseline

    def due(self, config: Config, now_ms: int) -> list[Anomaly]:
        """What had not come by then, of all keys, in the order of when it was due."""
        known = (baseline for baseline in self.values() if isinstance(baseline, WorkflowBaseline))
        asked = [baseline for baseline in known if baseline.due_s and baseline.due_s * 1000 <= now_ms]
        found = [anomaly for baseline in asked for anomaly in due(baseline, now_ms, config)]
        return sorted(found, key=lambda anomaly: anomaly.detected_at)

    def apply(
        self,
        event: Event,
        config: Config,
        record_ms: int | None = None,
        *,
        backfill: bool = False,
        explain: list[str] | None = None,
    ) -> Outcome:
        """Judge and learn one event as the live worker does, in the baseline of its variant.

        An action that names a workflow changes all of its variants; one that names no entity is ignored.

        Args:
            record_ms: as of `step`.
        """
        if isinstance(event, Action):
            return self._apply_action(event, config)
        if isinstance(event, Score):
            return step(self._made(key_of(event)), event, config, record_ms, backfill=backfill, explain=explain)
        if isinstance(event, Start):
            event = with_variant(event, config.variant_by)
            known = self.get(key_of(event))
            if known is None:
                if backfill or workflow_key(event.workflow_id) in self or not is_watched_first(event, config):
                    return STARTED
                known = self._made(key_of(event))
            return step(known, event, config, record_ms, backfill=backfill, explain=explain)
        event, baseline, ends = self.before(event, config, backfill=backfill)
        outcome = step(baseline, event, config, record_ms, backfill=backfill, explain=explain)
        return replace(outcome, anomalies=[*ends, *outcome.anomalies]) if ends else outcome

    def before(self, event: Completion, config: Config, *, backfill: bool = False) -> Prepared:
        """What an execution is to be judged by, before it is: the baseline of its variant."""
        event = with_variant(event, config.variant_by)
        key, ends = key_of(event), ()  # type: tuple[str, Sequence[Anomaly]]
        if event.variant is not None:
            ends = follow(self, key, event, config, backfill=backfill)
        baseline = self._made(key)
        assert isinstance(baseline, WorkflowBaseline)
        return Prepared(event, baseline, ends)

    def _made(self, key: str) -> WorkflowBaseline | ScoreBaseline:
        baseline = self.get(key)
        if baseline is None:
            baseline = self[key] = WorkflowBaseline.new(key)
        return baseline

    def _apply_action(self, action: Action, config: Config) -> Outcome:
        named = action.entity
        if not named:
            return Outcome("ignored")
        keys = self.keys_named(named)
        if len(keys) == 1 and named not in self:
            self[named] = WorkflowBaseline.new(named)
        outcome = Outcome("ignored")
        for key in keys_of_action(action, keys, self):
            if key in self:
                outcome = step(self[key], action, config)
        return outcome


class Replayer:
    """Baselines by key and score runs by id, in plain dicts: what the live worker keeps in its tables."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.baselines = Baselines()
        self.runs: dict[str, Run] = {}
        self.memberships: dict[str, Memberships] = {}
        self.labels = LabelWindow("replay")
        """How common labels are among the executions so far."""
        self._newest_record_ms = -1
        self._is_new = True
        """Nothing was applied yet."""
        self._summaries: list[RunSummary] = []
        self._completed: dict[str, Run] = {}
        """Runs whose `completed` event has come and that still wait for entities."""
        self._late: dict[str, Run] = {}
        """Runs that have ended and have something for their next revision."""

    def apply(
        self, event: Event, record_ms: int | None = None, *, backfill: bool = False, explain: list[str] | None = None
    ) -> Outcome:
        """Judge and learn one event; an action that names no entity is ignored.

        Args:
            record_ms: as of `step`.
        """
        if isinstance(event, Completion):
            self.labels.add(event.labels, event.finished_at.timestamp())
        if self._is_new:
            self._is_new = False
            self.baselines.expect(self.config, arrival_ms(event, record_ms) // 1000)
        if record_ms is not None and record_ms > self._newest_record_ms:
            self._newest_record_ms = record_ms
        return self.baselines.apply(event, self.config, record_ms, backfill=backfill, explain=explain)

    def due(self) -> list[Anomaly]:
        """What had not come by the newest event: asked once more of every key at the end of a history.

        That is the newest time of a record where the history has them, else the newest that a key takes for its newest:
        a clock that was ahead and was found to be is not asked about its future.
        """
        newest_ms = self._newest_record_ms
        if newest_ms < EARLIEST_MS:
            newest_ms = max((int(baseline.newest_ms) for baseline in self.baselines.values()), default=0)
        return self.baselines.due(self.config, newest_ms)

    def label_counts(self, anomaly: Anomaly) -> LabelCounts | None:
        """How common its labels are by now; None for a score, which is no execution."""
        if anomaly.entity_kind != "workflow":
            return None
        return self.labels.counts(anomaly.labels, anomaly.detected_at.timestamp())

    def gather(self, score: Score, outcome: Outcome, record_ms: int) -> list[Anomaly]:
        """Put the outcome of a score into its run; the entities that were missing, as `put`."""
        part = run_part_of(score, outcome, failed=False)
        return [] if part is None else self.put(part, record_ms)

    def put(self, part: RunPart, record_ms: int) -> list[Anomaly]:
        """Put one part into its run; the entities that were missing from runs that have completed by now.

        A run ends where its events end it: nothing is under way here that a live worker would wait for.
        """
        found = self.missing(record_ms)
        run = self.runs.get(part.run_id)
        if run is None:
            run = self.runs[part.run_id] = Run.new(part.run_id)
        if not run.closed and run.has_ended(record_ms):
            found += self._close(run, record_ms)
        apply_part(run, part, record_ms)
        if not run.closed and run.has_ended(record_ms):
            found += self._close(run, record_ms)
        elif run.status == "completed" and not run.closed:
            self._completed[run.run_id] = run
        elif run.late_since_ms:
            self._late[run.run_id] = run
        return found

    def missing(self, now_ms: int) -> list[Anomaly]:
        """The entities missing from runs that have completed by `now_ms`, and the ends of those that came later."""
        found: list[Anomaly] = []
        for run in [run for run in self._completed.values() if run.has_ended(now_ms)]:
            found += self._close(run, now_ms)
        for run in [run for run in self._late.values() if run.is_revision_due(now_ms)]:
            found += self._close(run, now_ms)
        return found

    def summaries(self, now_ms: int) -> Iterator[RunSummary]:
        """The summaries of every run that has ended by `now_ms`, in the order of their first parts, each revision."""
        for run in self.runs.values():
            if run.is_revision_due(now_ms) if run.closed else run.has_ended(now_ms):
                self._close(run, now_ms)
        place = {run_id: number for number, run_id in enumerate(self.runs)}
        yield from sorted(self._summaries, key=lambda one: (place[one.run_id], one.revision, one.part))

    def _close(self, run: Run, now_ms: int) -> list[Anomaly]:
        self._completed.pop(run.run_id, None)
        self._late.pop(run.run_id, None)
        self._summaries += close(run, now_ms)
        found: list[Anomaly] = []
        for part in membership_parts(run, now_ms):
            memberships = self.memberships.setdefault(part.run_id, Memberships())
            found += apply_membership(memberships, part, now_ms, self.config.profile)
        return found


def arrival_ms(event: Event, record_ms: int | None) -> int:
    """When an event came: the time of its record where that is believed, else its own; epoch ms."""
    if isinstance(event, Completion):
        own = event.finished_at
    elif isinstance(event, Start):
        own = event.started_at
    else:
        own = event.scored_at if isinstance(event, Score) else event.at
    return int(arrived_ms(epoch_ms(own), record_ms))


def run_event_part(event: ScoreRun, record_ms: int = -1) -> RunPart:
    """What a run's own event means for it. `record_ms`: its record's timestamp; before 2000 it has none."""
    return RunPart(
        run_id=event.run_id,
        kind=_RUN_KINDS[event.status],  # type: ignore[arg-type]
        at=event.at,
        expected=event.expected,
        error=event.error,
        published_at=from_epoch_ms(record_ms) if EARLIEST_MS <= record_ms < LATEST_MS else None,
    )
