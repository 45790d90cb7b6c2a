"""Workflows that the detector already knows: baselines with a history, as a detector would have left them.

The rules judge a duration from 30 executions on (`robust`), so a benchmark that began with none would measure events
that are learned and never judged. A baseline depends on its workflow's durations, of which there are `load.KINDS`
kinds; one of each kind is learned and every workflow of the kind begins with it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

from benchmarks import load
from stream_detector.composition import detection_config
from stream_detector.delivery.state import changelog_record
from stream_detector.detect import Baseline, step
from stream_detector.events.decode import decode_completion
from stream_detector.events.variant import workflow_key
from stream_detector.kafka.topics import BASELINES
from stream_detector.settings import Settings

EXECUTIONS = 120
"""Of each workflow before the first measured event: four a day for 30 days, which is what a baseline looks back on."""
_SEED = 7


@cache
def learned(profile: str, shape: load.Shape = load.PLAIN) -> tuple[bytes, ...]:
    """The packed baseline of each kind of workflow."""
    config = detection_config(Settings(profile=profile))
    newest = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    ends = [newest - timedelta(days=30) * (EXECUTIONS - 1 - n) / EXECUTIONS for n in range(EXECUTIONS)]
    usual = load.Workflows(load.KINDS, _SEED, load.Shape(shape.n_bytes, shape.steps, shape.resources, 1 << 30))
    kinds = []
    for kind in range(load.KINDS):
        baseline = Baseline.new(workflow_key(f"wf-{kind:06d}"))
        for n, end in enumerate(ends):
            _, value = usual.execution(kind * EXECUTIONS + n, end.strftime("%Y-%m-%dT%H:%M:%SZ"), kind)
            step(baseline, decode_completion(value, (), -1), config)
        kinds.append(baseline.pack())
    return tuple(kinds)


async def write(broker: str, prefix: str, keys: int, kinds: tuple[bytes, ...]) -> None:
    """Put a baseline of each workflow on the changelog, as a detector that has ended would have."""
    head = changelog_record.encode_header(1, {})
    values = [head + packed for packed in kinds]

    def records() -> Iterator[tuple[int, bytes, bytes]]:
        for key in range(keys):
            workflow = f"wf-{key:06d}"
            yield load.partition_of(workflow), workflow_key(workflow).encode(), values[key % load.KINDS]

    await load.publish_records(broker, Settings(topic_prefix=prefix).topic(BASELINES), records())


def expected_alerts(
    values: Iterator[tuple[str, bytes]], *, profile: str, kinds: tuple[bytes, ...] | None = None
) -> set[str]:
    """The ids of the anomalies that the same step finds without any stream, from `kinds` on or from nothing."""
    config = detection_config(Settings(profile=profile))
    baselines: dict[str, Baseline] = {}
    ids: set[str] = set()
    for workflow, value in values:
        baseline = baselines.get(workflow)
        if baseline is None:
            key = workflow_key(workflow)
            packed = kinds[int(workflow[3:]) % load.KINDS] if kinds else None
            baseline = baselines[workflow] = Baseline.unpack(key, packed) if packed else Baseline.new(key)
        ids.update(anomaly.id for anomaly in step(baseline, decode_completion(value, (), -1), config).anomalies)
    return ids
