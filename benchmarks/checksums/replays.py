"""A history through detection without a worker: as objects (`Kept`) and as bytes (`Packed`)."""

from benchmarks.checksums.histories import Item
from benchmarks.checksums.sums import Figures, Found, merged, sums_of_state
from stream_detector.detect import BaselineBuffer, Config, key_of, step
from stream_detector.detect.outcome import Outcome
from stream_detector.detect.replay import Replayer, run_event_part
from stream_detector.detect.rules.missing_entity import Memberships, apply_membership, membership_parts
from stream_detector.detect.runs import Run, apply_part, close, run_part_of
from stream_detector.events import Action, Anomaly, Completion, RunPart, RunSummary, Score, ScoreRun

EXPLAINED_EVERY = 7
LARGE = 200


class Kept:
    """Objects from the first event to the last."""

    def __init__(self, config: Config) -> None:
        self.told, self.replayer = Found(), Replayer(config)

    def turn(self, config: Config) -> None:
        """The middle of the history."""
        self.replayer.config = config

    def apply(self, one: Item) -> list[Anomaly]:
        """Judge and learn it; returns what was told."""
        event = one.event
        if event is None:
            return []
        if isinstance(event, ScoreRun):
            found = self.replayer.put(run_event_part(event), one.at_ms)
        else:
            outcome = self.replayer.apply(event, one.at_ms, backfill=one.backfill)
            self.told.outcome(outcome)
            found = list(outcome.anomalies)
            if isinstance(event, Score) and not one.backfill:
                found += self.replayer.gather(event, outcome, one.at_ms)
        self.told.add(found)
        return found

    def end(self, at_ms: int) -> tuple[list[Anomaly], list[RunSummary]]:
        """Nothing more comes; returns what is told then."""
        found, made = self.replayer.missing(at_ms), list(self.replayer.summaries(at_ms))
        self.told.add(found)
        for summary in made:
            self.told.sum_up(summary)
        return found, made

    def figures(self) -> Figures:
        """Sums of all."""
        runs = [(f"run {key}", run.pack()) for key, run in self.replayer.runs.items()]
        memberships = [(f"roster {key}", one.pack()) for key, one in self.replayer.memberships.items()]
        baselines = [(key, baseline.pack()) for key, baseline in self.replayer.baselines.items()]
        return merged(self.told.figures(), sums_of_state(baselines, runs + memberships))


class Packed:
    """Bytes between two events. What `Replayer` does, on nothing but bytes; now and then each gate is explained too."""

    def __init__(self, config: Config) -> None:
        self.told, self._config, self._buffer = Found(), config, BaselineBuffer()
        self._baselines: dict[str, bytes] = {}
        self._runs: dict[str, bytes] = {}
        self._memberships: dict[str, bytes] = {}
        self._completed: dict[str, None] = {}
        self._late: dict[str, None] = {}
        self._summaries: list[RunSummary] = []
        self._large: dict[str, Run] = {}
        """Runs of many entities, packed only now and then: each time for each of 5,200 would take a minute."""
        self._number = 0

    def turn(self, config: Config) -> None:
        """The middle of the history."""
        self._config = config

    def apply(self, one: Item) -> None:
        """Judge and learn it."""
        event = one.event
        if event is None:
            return
        if isinstance(event, ScoreRun):
            self.told.add(self._put(run_event_part(event), one.at_ms))
            return
        outcome = self._step(event, one.at_ms, one.backfill)
        self.told.outcome(outcome)
        self.told.add(outcome.anomalies)
        part = run_part_of(event, outcome, failed=False) if isinstance(event, Score) and not one.backfill else None
        if part is not None:
            self.told.add(self._put(part, one.at_ms))

    def end(self, at_ms: int) -> None:
        """Nothing more comes."""
        self.told.add(self._missing(at_ms))
        self._runs |= {run_id: run.pack() for run_id, run in self._large.items()}
        for packed in [*self._runs.values()]:
            run = Run.unpack(packed)
            if run.is_revision_due(at_ms) if run.closed else run.has_ended(at_ms):
                self._close(run, at_ms)
        for summary in self._summaries:
            self.told.sum_up(summary)

    def figures(self) -> Figures:
        """Sums of all."""
        runs = [(f"run {key}", packed) for key, packed in self._runs.items()]
        memberships = [(f"roster {key}", packed) for key, packed in self._memberships.items()]
        return merged(self.told.figures(), sums_of_state(self._baselines.items(), runs + memberships))

    def _step(self, event: Completion | Score | Action, at_ms: int, backfill: bool) -> Outcome:
        key = key_of(event)
        if not key:
            return Outcome("ignored")
        self._number += 1
        gates: list[str] | None = [] if self._number % EXPLAINED_EVERY == 0 else None
        baseline = self._buffer.open(key, self._baselines.get(key))
        outcome = step(baseline, event, self._config, at_ms, backfill=backfill, explain=gates)
        self._baselines[key] = baseline.pack()
        if gates is not None:
            self.told.explained_words.add(*gates)
        return outcome

    def _put(self, part: RunPart, at_ms: int) -> list[Anomaly]:
        found = self._missing(at_ms)
        packed = self._runs.get(part.run_id)
        run = self._large.pop(part.run_id, None)
        if run is None:
            run = Run.new(part.run_id) if packed is None else Run.unpack(packed)
        if not run.closed and run.has_ended(at_ms):
            found += self._close(run, at_ms)
        apply_part(run, part, at_ms)
        if not run.closed and run.has_ended(at_ms):
            found += self._close(run, at_ms)
        elif len(run.entities) > LARGE and len(run.entities) % LARGE and not run.status:
            self._large[part.run_id] = run
        else:
            self._runs[part.run_id] = run.pack()
        if run.status == "completed" and not run.closed:
            self._completed[run.run_id] = None
        elif run.late_since_ms:
            self._late[run.run_id] = None
        return found

    def _missing(self, at_ms: int) -> list[Anomaly]:
        found: list[Anomaly] = []
        for run_id in [*self._completed, *self._late]:
            run = Run.unpack(self._runs[run_id])
            if run.is_revision_due(at_ms) if run.closed else run.has_ended(at_ms):
                found += self._close(run, at_ms)
        return found

    def _close(self, run: Run, at_ms: int) -> list[Anomaly]:
        found: list[Anomaly] = []
        self._completed.pop(run.run_id, None)
        self._late.pop(run.run_id, None)
        self._summaries += close(run, at_ms)
        self._runs[run.run_id] = run.pack()
        for part in membership_parts(run, at_ms):
            packed = self._memberships.get(part.run_id)
            memberships = Memberships() if packed is None else Memberships.unpack(packed)
            found += apply_membership(memberships, part, at_ms, self._config.profile)
            self._memberships[part.run_id] = memberships.pack()
        return found
