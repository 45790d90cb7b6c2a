"""What stored runs lack: their own events, and the parts of scores whose baselines have them already."""

from collections.abc import Iterable, Mapping

import asyncpg

from stream_detector.delivery.state import changelog_record
from stream_detector.detect.outcome import Outcome
from stream_detector.detect.runs import Run, run_part_of
from stream_detector.events.decode import decode_anomaly, decode_score
from stream_detector.events.encode import encode
from stream_detector.events.times import epoch_ms
from stream_detector.kafka import topics
from stream_detector.roles.restore.missing import TABLES, Missing
from stream_detector.roles.restore.writer import RecordWriter
from stream_detector.roles.run_table import stored_key
from stream_detector.store import state_records
from stream_detector.store.state_records import Place


async def find_missing_of_runs(pool: asyncpg.Pool, missing: Missing) -> None:
    """Note the events of runs that the stored runs lack; of `missing.held_scores` those stay that their runs lack."""
    held, missing.held_scores = missing.held_scores, []
    has_runs, has_baselines = [await state_records.has_topic(pool, name) for name in _STATE]
    if has_baselines and not has_runs:
        return  # an earlier version's recorder, or one that may not read them
    epoch = await state_records.newest_epoch(pool, state_records.SCORE_RUNS)
    events = await state_records.run_events(pool, epoch)
    runs = await _stored(pool, [event.run_id for event in events])
    lacking = (event.place for event in events if _lacks_event(runs, event.run_id, event.status))
    missing.add(topics.SCORE_RUNS, lacking)
    runs = await _stored(pool, {run_id for _, run_id in held})
    missing.held_scores = [(place, run_id) for place, run_id in held if _is_open(runs, run_id)]


_STATE = (topics.RUNS_STATE, topics.BASELINES)
_Runs = Mapping[str, Run | None]
"""Run id -> the run as it is stored, None for a deleted one; one that is not stored has no entry."""


async def _stored(pool: asyncpg.Pool, run_ids: Iterable[str]) -> _Runs:
    by_key = {stored_key(run_id): run_id for run_id in run_ids}
    found: dict[str, Run | None] = {}
    for key, value in await state_records.newest_values(pool, topics.RUNS_STATE, [key.encode() for key in by_key]):
        payload = changelog_record.payload_of(value)
        found[by_key[key.decode()]] = Run.unpack(payload) if payload else None
    return found


def _lacks_event(runs: _Runs, run_id: str, status: str) -> bool:
    if run_id not in runs:
        return True
    run = runs[run_id]
    if run is None or run.closed:
        return False
    return not run.started_ms if status == "started" else not run.status


def _is_open(runs: _Runs, run_id: str) -> bool:
    run = runs.get(run_id)
    return run_id not in runs or (run is not None and not run.closed)


async def write_run_parts(pool: asyncpg.Pool, writer: RecordWriter, n: int, missing: Missing) -> int:
    """Publish the parts that open runs lack, as the detector would have; returns how many."""
    runs = await _stored(pool, {run_id for _, run_id in missing.held_scores})
    places: list[Place] = [place for place, _ in missing.held_scores]
    written = 0
    for event in await state_records.events_at(pool, TABLES[topics.SCORES], places):
        record_ms = epoch_ms(event.record_at)
        score = decode_score(event.event, (), record_ms)
        run = runs.get(score.run_id or "")
        if score.run_id is None or (run is not None and score.entity_id in run.entities):
            continue
        stored = await state_records.anomalies_of_run(pool, score.run_id, score.entity_id)
        part = run_part_of(score, Outcome("applied", [decode_anomaly(each) for each in stored]), failed=False)
        if part is not None:
            target = topics.RUN_PARTS, topics.owner_partition(part.run_id, n)
            await writer.add(target, part.run_id.encode(), encode(part), timestamp_ms=record_ms)
            written += 1
    await writer.flush()
    return written
