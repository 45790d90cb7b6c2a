"""The parts of a run's summary, kept until the run has its message: a summary above 5,000 anomalies has several."""

import zlib

import msgspec

from stream_detector.events import RunSummary
from stream_detector.events.ids import SEPARATOR
from stream_detector.notify.state.keys import RUN_PART, State, read, write
from stream_detector.notify.state.state_models import RunPart
from stream_detector.notify.subject import Run

_decoder = msgspec.msgpack.Decoder(RunSummary)


def run_key(run: Run | RunSummary) -> str:
    """By which a run's parts are kept: its id, of a later revision with the number of that."""
    return run.run_id if run.revision == 1 else f"{run.run_id}{SEPARATOR}{run.revision}"


def add_run_part(state: State, summary: RunSummary, now_s: float) -> Run | None:
    """Keep this part; the whole run once every part is there, in whatever order they came.

    Of a revision only what is new is kept: the rest has had its message.
    """
    run = run_key(summary)
    key = _key(summary.part, run)
    if key not in state:
        if summary.revision > 1:
            new = frozenset(summary.new)
            summary = msgspec.structs.replace(summary, anomalies=[a for a in summary.anomalies if a.id in new])
        write(state, key, RunPart(at_s=now_s, packed=_pack(summary)))
    return assemble_run(state, run, summary.parts)


def assemble_run(state: State, run: str, parts: int) -> Run | None:
    """The run put together from its kept parts, or None while one is missing. `run` as `run_key` gives it."""
    found = []
    for number in range(1, parts + 1):
        part = read(state, _key(number, run), RunPart)
        if part is None:
            return None
        found.append(_decoder.decode(zlib.decompress(part.packed)))
    anomalies = {a.id: a for summary in found for a in summary.anomalies}
    first = found[0]
    return Run(
        run_id=first.run_id,
        ended_at=max(summary.ended_at for summary in found),
        anomalies=tuple(anomalies.values()),
        started_at=first.started_at,
        parts=parts,
        revision=first.revision,
        follow_up=first.follow_up,
        published_after_s=min((summary.published_after_s or 0.0) for summary in found),
        status=first.status,
        error=first.error or "",
        scored=first.scored,
        failures=first.failures,
        expected=first.expected,
        not_waited_for=tuple(first.not_waited_for),
        reported_before=first.anomaly_count - sum(len(one.new) for one in found) if first.revision > 1 else 0,
        movement=first.movement,
    )


def remove_from_run(state: State, run: Run, anomaly_ids: frozenset[str], now_s: float) -> None:
    """Take silenced anomalies out of what is kept of the run, so that no later try shows them."""
    if not anomaly_ids:
        return
    for number in range(1, run.parts + 1):
        key = _key(number, run_key(run))
        part = read(state, key, RunPart)
        if part is not None:
            summary = _decoder.decode(zlib.decompress(part.packed))
            left = [a for a in summary.anomalies if a.id not in anomaly_ids]
            kept = msgspec.structs.replace(summary, anomalies=left)
            write(state, key, RunPart(at_s=now_s, packed=_pack(kept)))


def delete_run_parts(state: State, run: str, parts: int) -> None:
    """Drop the parts of a run that nobody will render again. `run` as `run_key` gives it."""
    for number in range(1, parts + 1):
        state.pop(_key(number, run), None)


def _key(part: int, run: str) -> str:
    return f"{RUN_PART}{part}:{run}"


def _pack(summary: RunSummary) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(summary))
