"""What is told together: the score changes of one run make one message. The inbox is never grouped."""

import zlib

import msgspec

from stream_detector.events import Anomaly, RunSummary
from stream_detector.notify.config import INBOX
from stream_detector.notify.kept import RunPart
from stream_detector.notify.state import PART, State, read, write
from stream_detector.notify.subject import Run, Subject
from stream_detector.notify.verdict import Verdict, passes, stops

_decoder = msgspec.msgpack.Decoder(RunSummary)


def group(channel: str, subject: Subject) -> Verdict:
    """S14, S15, S22: score changes go by the summary of their run; the inbox gets each by itself instead.

    A drift (`PatternDeviation`) within a run goes alone: a summary tells of steps from one score to the next, and a
    drift has none to show.
    """
    if isinstance(subject, Run):
        if channel == INBOX:
            return stops(None, "each of its anomalies is in the inbox by itself")
        if not subject.anomalies:
            return stops("suppressed", "the run has no anomaly")
        return passes(f"one message for the run's {len(subject.anomalies)} anomalies")
    if channel != INBOX and in_a_run(subject):
        return stops(None, "goes with the message of its run")
    return passes("by itself")


def collect(state: State, summary: RunSummary, now_s: float) -> Run | None:
    """Keep this part; the whole run once every part is there, in whatever order they came."""
    key = _key(summary.part, summary.run_id)
    if key not in state:
        write(state, key, RunPart(at_s=now_s, packed=_pack(summary)))
    return whole(state, summary.run_id, summary.parts)


def whole(state: State, run_id: str, parts: int) -> Run | None:
    """The run put together from its kept parts, or None while one is missing."""
    found = []
    for number in range(1, parts + 1):
        part = read(state, _key(number, run_id), RunPart)
        if part is None:
            return None
        found.append(_decoder.decode(zlib.decompress(part.packed)))
    ended_at = max(summary.ended_at for summary in found)
    anomalies = {a.id: a for summary in found for a in summary.anomalies}
    return Run(run_id=run_id, ended_at=ended_at, anomalies=tuple(anomalies.values()), parts=parts)


def hide(state: State, run: Run, hidden: frozenset[str], now_s: float) -> Run:
    """The run without the hidden anomalies, also in what is kept of it for a later try."""
    for number in range(1, run.parts + 1):
        part = read(state, _key(number, run.run_id), RunPart)
        if part is not None and hidden:
            summary = _decoder.decode(zlib.decompress(part.packed))
            left = [a for a in summary.anomalies if a.id not in hidden]
            kept = msgspec.structs.replace(summary, anomalies=left)
            write(state, _key(number, run.run_id), RunPart(at_s=now_s, packed=_pack(kept)))
    return run.without(hidden)


def forget(state: State, run_id: str, parts: int) -> None:
    """Drop the parts of a run that nobody will render again."""
    for number in range(1, parts + 1):
        state.pop(_key(number, run_id), None)


def in_a_run(anomaly: Anomaly) -> bool:
    """Whether a summary will tell it: every score change, since scores outside a run are summed up by the minute."""
    return anomaly.anomaly_type == "SignificantScoreChange"


def _key(part: int, run_id: str) -> str:
    return f"{PART}{part}:{run_id}"


def _pack(summary: RunSummary) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(summary))
