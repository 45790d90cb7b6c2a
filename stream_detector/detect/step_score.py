"""One score: compare with the previous one, then remember it."""

from decimal import Decimal
from typing import Final

from msgspec import UNSET

from stream_detector.detect import anomaly, clock, investigation
from stream_detector.detect.baseline import ScoreBaseline
from stream_detector.detect.codec.recent_ids import hash_of_id, is_recent, remember
from stream_detector.detect.config import Config, ScoreRule
from stream_detector.detect.finding import Finding
from stream_detector.detect.outcome import BACKFILLED, DUPLICATE, LATE_MS, Outcome
from stream_detector.detect.rules import pattern_deviation, significant_score_change
from stream_detector.events import Anomaly, Move, Score
from stream_detector.events.movement import MOVES
from stream_detector.events.times import epoch_ms

_APPLIED: Final[dict[Move, Outcome]] = {move: Outcome("applied", moved=move) for move in MOVES}
_LATE: Final = Outcome("late", moved="not_compared")


def step_score(
    baseline: ScoreBaseline,
    event: Score,
    config: Config,
    record_ms: int | None,
    backfill: bool,
    explain: list[str] | None,
) -> Outcome:
    """Judge and learn one score.

    A score older than the newest is judged only against a `previous_score` of its own, and never becomes the previous;
    more than an hour older it is not judged at all, unless it shows that the newest was ahead of its time.
    """
    # 1. Known already?
    event_hash = hash_of_id(anomaly.event_id_of(event))
    if is_recent(baseline.ids, event_hash):
        return _repeated(baseline, event, event_hash, explain)
    baseline.ids = remember(baseline.ids, event_hash)
    baseline.retired = False
    at_ms = epoch_ms(event.scored_at)
    behind_ms, stamped_ms = baseline.newest_ms - at_ms, max(at_ms, record_ms or 0)
    corrected: Finding | None = None
    if behind_ms > LATE_MS:
        corrected = _corrected(baseline, event, at_ms, None if record_ms is None else stamped_ms, explain)
        if corrected is None:
            return _LATE
        behind_ms = 0
    elif baseline.before_newest:
        baseline.before_newest, baseline.pending = b"", None
    # 2. Judge.
    previous = _previous(baseline, event, behind_ms > 0)
    is_previous_dated = corrected is None or baseline.newest_ms < at_ms
    previous_ms, moves = baseline.newest_ms or None if is_previous_dated else None, baseline.changes
    rule = config.score_rule(event)
    found, moved = _compare(baseline, event, previous, rule, explain)
    # 3. Learn.
    drifted_over = 0
    if behind_ms <= 0:
        drifted_over = baseline.drift.fields.n
        drifted = _learn(baseline, event, rule, jumped=found is not None)
        found = found or drifted
        if drifted is not None:
            _say(explain, *drifted.gates)
        baseline.remember_gap(at_ms)
        baseline.previous, baseline.newest_ms = event.score, at_ms
        if behind_ms < 0 or corrected is not None:
            baseline.newest_record_ms = stamped_ms
    if backfill:
        return BACKFILLED
    if found is None and corrected is None:
        return _APPLIED[moved]

    def reported(one: Finding) -> Anomaly:
        steps = investigation.steps_for_score(event, one, previous_ms, moves, drifted_over)
        return _reported(baseline, event, config, one, steps)

    return Outcome("applied", [reported(one) for one in (corrected, found) if one is not None], moved=moved)


def _compare(
    baseline: ScoreBaseline, event: Score, previous: Decimal | None, rule: ScoreRule, explain: list[str] | None
) -> tuple[Finding | None, Move]:
    if previous is None:
        _say(explain, "no previous score: a first score is never an anomaly")
        return None, "not_compared"
    multiplier, moves = baseline.threshold_multiplier, baseline.changes
    found = significant_score_change.find_change(event.entity_name, previous, event.score, rule, multiplier, moves)
    _say(explain, *(found.gates if found else [_below(previous, event.score, rule, multiplier)]))
    return found, significant_score_change.move_of(previous, event.score, rule, multiplier)


def _reported(baseline: ScoreBaseline, event: Score, config: Config, one: Finding, steps: list[str]) -> Anomaly:
    own_id = anomaly.anomaly_id(one, baseline, event)
    return anomaly.build_anomaly(one, event, config, own_id=own_id, incident_id=own_id, state="opened", steps=steps)


def _corrected(
    baseline: ScoreBaseline, event: Score, at_ms: int, stamped_ms: int | None, explain: list[str] | None
) -> Finding | None:
    """What is reported where this late score shows that the newest was ahead of its time; None where it does not."""
    ahead_ms = int(baseline.newest_ms)
    event_hash = hash_of_id(anomaly.event_id_of(event))
    if stamped_ms is not None and clock.is_newest_wrong(baseline, event_hash, at_ms, stamped_ms, clock.NEEDED_SCORES):
        clock.go_back_score(baseline, at_ms, stamped_ms)
        found = pattern_deviation.clock_was_ahead(event.entity_name, ahead_ms, at_ms, clock.NEEDED_SCORES, "scores")
        _say(explain, *found.gates)
        return found
    baseline.pending = event.score if baseline.before_newest else None
    behind_h = (ahead_ms - at_ms) / LATE_MS
    _say(explain, f"scored {behind_h:.1f} h before the newest score: neither evaluated nor kept as the previous")
    if baseline.before_newest:
        _say(explain, f"its record is stamped before that of the newest: 1 of {clock.NEEDED_SCORES} in a row")
    return None


def _repeated(baseline: ScoreBaseline, event: Score, event_hash: int, explain: list[str] | None) -> Outcome:
    """A duplicate. Whether it is another score than the first is known of the entity's newest alone."""
    known = baseline.previous
    if known is None or event.score == known or not is_recent(baseline.ids[-8:], event_hash):
        return DUPLICATE
    if epoch_ms(event.scored_at) < baseline.newest_ms:
        return DUPLICATE  # the last that came was older than the newest score, and never became the previous one
    first, second = significant_score_change.plain(known), significant_score_change.plain(event.score)
    where = "in this run" if event.run_id is not None else "at this time"
    advice = "the first counts; publish a correction under a new run_id"
    _say(explain, f"{event.entity_name} already has the score {first} {where}, not {second}: {advice}")
    return Outcome("duplicate", correction=f"the entity already has another score {where}: {advice}")


def _previous(baseline: ScoreBaseline, event: Score, older: bool) -> Decimal | None:
    if event.previous_score is UNSET:
        return None if older else baseline.previous
    return event.previous_score


def _learn(baseline: ScoreBaseline, event: Score, rule: ScoreRule, jumped: bool) -> Finding | None:
    threshold = float(rule.threshold * baseline.threshold_multiplier)
    if rule.relative:
        threshold *= abs(float(baseline.previous or event.score)) or 1.0
    score, drift = float(event.score), baseline.drift
    if jumped:
        drift.reset()
    scale = drift.scale if drift.fields.n else threshold
    left = drift.update(score, threshold)
    changes = baseline.changes
    if baseline.previous is not None:
        baseline.remember_change(abs(score - float(baseline.previous)))
    return None if left is None else pattern_deviation.drift_found(event.entity_name, score, left, scale, changes)


def _below(previous: Decimal, score: Decimal, rule: ScoreRule, multiplier: Decimal) -> str:
    change, gate = significant_score_change.change_and_gate(previous, score, rule, multiplier)
    plain = significant_score_change.plain
    return f"a change of {plain(abs(change))} is below {plain(gate.normalize())}"


def _say(explain: list[str] | None, *gates: str) -> None:
    if explain is not None:
        explain.extend(gates)
