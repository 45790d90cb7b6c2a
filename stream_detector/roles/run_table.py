"""The runs that are under way, and each type's memberships, in the table `runs-state`; which runs have ended by now."""

from collections.abc import Iterator
from typing import Any

from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect.rules.missing_entity import PREFIX, Memberships, apply_membership, membership_parts
from stream_detector.detect.runs import Run, apply_part, summaries
from stream_detector.events import Anomaly, Profile, RunPart, RunSummary
from stream_detector.kafka import topics

Value = Run | Memberships
VALUE: Codec[Value] = Codec(
    lambda value: value.pack(), lambda key, packed: (Memberships if key.startswith(PREFIX) else Run).unpack(packed)
)

EXPIRE_EVERY_MS = 60_000


def key_of(run_part: RunPart) -> str:
    """Where a part belongs. A producer may call a run anything, also like a membership: it gets a ~ before it."""
    run_id = run_part.run_id
    return f"~{run_id}" if run_part.kind != "roster" and run_id.lstrip("~").startswith(PREFIX) else run_id


class RunTable:
    """Gathers parts; a run's summary comes out once, however often its parts are replayed."""

    def __init__(self, app: WorkerApp, partitions: int, profile: Profile) -> None:
        self._profile = profile
        self._table = app.state_table(topics.RUNS_STATE, VALUE, partitions)
        self._open: dict[int, set[str]] = {}
        """Per partition the runs that have not ended; built anew after each rebalance."""
        self._expire_at_ms = 0

        @app.on_rebalance_complete.connect(weak=False)
        async def forget_open_runs(app: Any, **_: Any) -> None:
            self._open.clear()

    def apply(self, number: int, run_part: RunPart, record_ms: int) -> list[Anomaly]:
        """Put a part into its run, or a membership beside the earlier ones; returns the entities that are missing."""
        partition = self._table.get_owned(number)
        key = key_of(run_part)
        value = partition.get(key)
        if run_part.kind == "roster":
            memberships = value if isinstance(value, Memberships) else Memberships()
            missing = apply_membership(memberships, run_part, record_ms, self._profile)
            partition.put(key, memberships)
            return missing
        run = value if isinstance(value, Run) else Run.new(run_part.run_id)
        apply_part(run, run_part, record_ms)
        partition.put(key, run)
        if not run.closed:
            self._open_runs(number, partition).add(key)
        return []

    def close_ended(self, number: int, now_ms: int) -> Iterator[RunSummary | RunPart]:
        """Close the runs that have ended by `now_ms`; gives their summaries and the memberships that they pass on.

        That they are closed is written with the next checkpoint.
        """
        partition = self._table.find_owned(number)
        if partition is None:
            return  # a partition of a producer's topic that has more of them than our tables
        if now_ms > self._expire_at_ms:
            self._expire_at_ms = now_ms + EXPIRE_EVERY_MS
            self._delete_expired(now_ms)
        still_open = self._open_runs(number, partition)
        for key in list(still_open):
            run = partition.get(key)
            if isinstance(run, Run) and run.has_ended(now_ms):
                yield from summaries(run, now_ms)
                yield from membership_parts(run, now_ms)
                run.close()
                partition.put(key, run)
                still_open.discard(key)

    def _open_runs(self, number: int, partition: StatePartition[Value]) -> set[str]:
        if number not in self._open:
            known = ((key, partition.get(key)) for key in list(partition.keys()))
            self._open[number] = {key for key, value in known if isinstance(value, Run) and not value.closed}
        return self._open[number]

    def _delete_expired(self, now_ms: int) -> None:
        for partition in self._table.owned_partitions.values():
            for key in list(partition.keys()):
                value = partition.get(key)
                if isinstance(value, Run) and not value.closed:
                    continue
                if value is not None and value.forget_at_ms < now_ms:
                    partition.delete(key)
