"""The runs that are under way, in the table `runs-state`, and which of them have ended by now."""

from collections.abc import Iterator
from typing import Any

from stream_detector.detect.runs import Run, apply_part, summaries
from stream_detector.events import RunPart, RunSummary
from stream_detector.stream import topics, worker
from stream_detector.stream.part import Codec, Part

RUN: Codec[Run] = Codec(lambda run: run.pack(), lambda _, packed: Run.unpack(packed))

FORGET_EVERY_MS = 60_000


class RunTable:
    """Gathers parts; a run's summary comes out once, however often its parts are replayed."""

    def __init__(self, app: worker.WorkerApp, partitions: int) -> None:
        self._table = app.state(topics.RUNS_STATE, RUN, partitions)
        self._open: dict[int, set[str]] = {}
        """Per partition the runs that have not ended; built anew after each rebalance."""
        self._forget_at_ms = 0

        @app.on_rebalance_complete.connect(weak=False)
        async def look_again(app: Any, **_: Any) -> None:
            self._open.clear()

    def apply(self, number: int, run_part: RunPart, record_ms: int) -> None:
        """Put a part into its run."""
        part: Part[Run] = self._table.data.owned(number)
        run = part.get(run_part.run_id) or Run.new(run_part.run_id)
        apply_part(run, run_part, record_ms)
        part.put(run_part.run_id, run)
        if not run.closed:
            self._open_runs(number, part).add(run_part.run_id)

    def ended(self, number: int, now_ms: int) -> Iterator[tuple[str, RunSummary]]:
        """The summaries of runs that have ended by `now_ms`; their runs are closed with the same checkpoint."""
        part: Part[Run] | None = self._table.data.owned(number)
        if part is None:
            return  # a partition of a producer's topic that has more of them than our tables
        if now_ms > self._forget_at_ms:
            self._forget_at_ms = now_ms + FORGET_EVERY_MS
            self._forget(now_ms)
        still_open = self._open_runs(number, part)
        for run_id in list(still_open):
            run = part.get(run_id)
            if run is not None and run.finished(now_ms):
                yield from ((run_id, summary) for summary in summaries(run, now_ms))
                run.close()
                part.put(run_id, run)
                still_open.discard(run_id)

    def _open_runs(self, number: int, part: Part[Run]) -> set[str]:
        if number not in self._open:
            known = ((key, part.get(key)) for key in list(part.keys()))
            self._open[number] = {key for key, run in known if run is not None and not run.closed}
        return self._open[number]

    def _forget(self, now_ms: int) -> None:
        for part in filter(None, map(self._table.data.owned, list(self._table.data.parts))):
            for key in list(part.keys()):
                run = part.get(key)
                if run is not None and run.closed and run.forget_at_ms < now_ms:
                    part.delete(key)
