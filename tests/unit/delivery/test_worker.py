"""What a worker reports of itself."""

from types import SimpleNamespace

from faust.types import TP
from prometheus_client import REGISTRY

from stream_detector.delivery import worker
from stream_detector.delivery.task import Position, Tasks
from stream_detector.kafka.topics import SCORES

TP0, TP1 = TP("p." + SCORES, 0), TP("p." + SCORES, 1)


def lag(partition: int) -> float | None:
    return REGISTRY.get_sample_value("stream_detector_lag_records", {"topic": SCORES, "partition": str(partition)})


def test_lag_is_counted_from_what_is_committed_and_a_partition_that_moved_away_has_none():
    tasks, ends = Tasks(), {TP0: 20, TP1: 9}
    app = SimpleNamespace(
        started=True,
        topic_prefix="p.",
        tasks=tasks,
        checkpoint=SimpleNamespace(finished_at_s=0.0),
        worker_consumer=SimpleNamespace(last_stable_offset=ends.get),
    )
    tasks.get_or_create(0).positions[TP0] = Position(15, 13)
    tasks.get_or_create(1).positions[TP1] = Position(9, None)
    worker.refresh_metrics(app)
    assert (lag(0), lag(1)) == (7, 0)
    tasks.clear()
    tasks.get_or_create(1).positions[TP1] = Position(4, 4)
    worker.refresh_metrics(app)
    assert (lag(0), lag(1)) == (None, 5)
