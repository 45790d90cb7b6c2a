"""What a checkpoint writes of the detector's baselines, while events go on."""

import json
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from faust.types import TP

from benchmarks import load
from benchmarks.hot_path import App
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.repartition import ORIGIN, Origin
from stream_detector.delivery.state import changelog_record
from stream_detector.detect import Baseline, Config, step
from stream_detector.events import Anomaly, RefusedError, RunPart
from stream_detector.events.decode import decode_anomaly, decode_completion, decode_run_part
from stream_detector.events.encode import encode
from stream_detector.events.label_counts import read_label_counts
from stream_detector.events.sources import LEFT_OUT
from stream_detector.events.times import from_epoch_ms
from stream_detector.kafka import topics
from stream_detector.roles.detector import Detector
from stream_detector.telemetry import metrics
from tests.events_made import NOON, completion, score
from tests.unit.delivery.snapshots import take_snapshot
from tests.unit.events.source_matrix import PAYLOADS

CONFIG = Config(profile="robust", score_threshold=Decimal("0.5"))
NOW_MS = round(NOON.timestamp() * 1000)
HERE = [number for number in range(40) if load.partition_of(f"wf-{number:06d}") == 0]
"""The workflows of partition 0, by their numbers."""


def event(workflows: load.Workflows, number: int, of: int) -> bytes:
    """The `number`-th execution, of the workflow with the number `of`."""
    return workflows.execution(number, f"{NOON:%Y-%m-%dT%H:%M:%SZ}", of)[1]


class Scene:
    """A detector, and beside it the same baselines without any checkpoint."""

    def __init__(self) -> None:
        app = App()
        self.detector = Detector(app, CONFIG)  # type: ignore[arg-type]
        self.partition = app.tables[0].partitions[0]
        self.plain: dict[str, Baseline] = {}
        self.offset = 0

    async def apply(self, value: bytes) -> None:
        await self.detector.apply(topics.COMPLETIONS, Chunk(TP(topics.COMPLETIONS, 0), [self._record(value)], 0))

    def _record(self, value: bytes) -> Any:
        completion = decode_completion(value, (), NOW_MS)
        key = f"workflow:{completion.workflow_id}"
        step(self.plain.setdefault(key, Baseline.new(key)), completion, CONFIG)
        self.offset += 1
        return SimpleNamespace(headers=[], value=value, timestamp=NOW_MS, key=None, offset=self.offset - 1)

    def packed(self) -> dict[bytes, bytes]:
        return {key.encode(): baseline.pack() for key, baseline in self.plain.items()}


@pytest.mark.parametrize("seed", range(20))
async def test_a_snapshot_holds_each_baseline_as_it_was_at_its_moment_and_nothing_is_left_out(seed: int) -> None:
    draw, scene = random.Random(seed), Scene()
    workflows = load.Workflows(len(HERE), seed, load.PLAIN)
    written: dict[bytes, bytes] = {}
    snapshot, then = None, {}
    for number in range(300):
        kind = draw.choice(("handle", "handle", "freeze", "encode"))
        if kind == "handle":
            await scene.apply(event(workflows, number, draw.choice(HERE)))
        elif kind == "freeze" and snapshot is None:
            snapshot, then = scene.partition.begin_snapshot({topics.COMPLETIONS: scene.offset}), scene.packed()
        elif snapshot is not None:
            if snapshot.unencoded and draw.random() < 0.8:
                scene.partition.encode_now(min(snapshot.unencoded))
                continue
            snapshot.encode_for(float("inf"))
            made = {key: changelog_record.payload_of(value) for key, value in snapshot.records}
            assert made == {key: then[key] for key in made}
            written, snapshot = written | made, None
            assert written == then, "what did not change is as it was written before"
    assert len(scene.plain) > 5


async def test_a_baseline_that_is_forgotten_and_comes_back_is_written() -> None:
    scene, workflows = Scene(), load.Workflows(1, 1, load.PLAIN)
    await scene.apply(event(workflows, 1, HERE[0]))
    key = f"workflow:wf-{HERE[0]:06d}"
    scene.partition.delete(key)
    await scene.apply(event(workflows, 2, HERE[0]))
    (record,) = take_snapshot(scene.partition, {topics.COMPLETIONS: 2})[0]
    assert record[0] == key.encode() and not changelog_record.is_deleted(record[1])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(ORIGIN, b"\xff")],
        [(ORIGIN, b"scores/one/2/3")],
        [(ORIGIN, b"scores/1")],
        [Origin("a-topic-of-later", 0, 7, NOW_MS).header()],
    ],
    ids=repr,
)
async def test_x12_a_record_that_no_detector_forwarded_is_ignored_with_a_line(
    headers: list[tuple[str, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    record = SimpleNamespace(headers=headers, value=b"from elsewhere", timestamp=NOW_MS, key=b"x", offset=7)
    with caplog.at_level("WARNING", "stream_detector"):
        outcomes = await scene.detector.apply(topics.REKEYED, Chunk(TP(topics.REKEYED, 0), [record], 0))
    assert outcomes == {"ignored": 1}
    assert "ignored rekeyed-0@7: it was not written by a detector" in caplog.text


async def test_x20_a_detail_that_is_left_out_is_counted_once_although_its_labels_are_read_twice() -> None:
    scene, payload = Scene(), json.loads((PAYLOADS / "teamcity_build_finished.json").read_text("utf-8"))
    payload["payload"]["statusText"] = ["odd"]
    records = [
        SimpleNamespace(headers=[], value=json.dumps(payload).encode(), timestamp=NOW_MS, key=None, offset=offset)
        for offset in range(3)
    ]
    before = dict(LEFT_OUT)
    await scene.detector.apply(topics.COMPLETIONS, Chunk(TP(topics.COMPLETIONS, 0), records, 0))  # type: ignore[arg-type]
    assert {place: count - before.get(place, 0) for place, count in LEFT_OUT.items() if count != before.get(place)} == {
        ("teamcity", "$.payload.statusText"): 3
    }
    assert not LEFT_OUT.is_paused


async def test_x5_an_alert_carries_how_common_its_labels_are_also_within_its_own_chunk() -> None:
    app = App()
    detector = Detector(app, replace(CONFIG, profile="classic"))  # type: ignore[arg-type]
    alerts: list[Any] = []
    app.batch_producer.put = lambda topic, *given, **_: alerts.append((topic, given))  # type: ignore[method-assign]

    def record(offset: int, image: str, status: str) -> Any:
        event = completion(f"e{offset}", "wf-000004", status=status, labels={"image": image, "branch": "main"})
        return SimpleNamespace(headers=[], value=encode(event), timestamp=NOW_MS, key=None, offset=offset)

    records = [record(n, "9" if n % 10 == 0 else "8", "success") for n in range(40)]
    failures = [record(40 + n, "9", "failure") for n in range(3)]
    number = load.partition_of("wf-000004")
    await detector.apply(topics.COMPLETIONS, Chunk(TP(topics.COMPLETIONS, number), [*records, *failures], 43))
    headers = [given[3] for topic, given in alerts if topic == topics.ALERTS]
    assert headers
    counts = read_label_counts(headers[-1])
    assert counts is not None and counts.executions == 43 and counts.labels == {"image": 7, "branch": 43}


FAILURES = [completion(f"e{number}", "wf-000004", status="failure", finished_at=NOON) for number in range(3)]


def alerts_of(detector: Detector, app: App) -> list[Anomaly]:
    found: list[Anomaly] = []

    def put(topic: str, *given: Any, **_: Any) -> None:
        if topic == topics.ALERTS:
            found.append(decode_anomaly(given[2]))

    app.batch_producer.put = put  # type: ignore[method-assign]
    return found


@pytest.mark.parametrize("record_ms", [NOW_MS, NOW_MS + 40 * 86_400_000, -1])
async def test_x9_an_anomaly_names_the_timestamp_of_the_record_whoever_set_it(record_ms: int) -> None:
    """The producer's, or the broker's where the topic has LogAppendTime: both are the record's timestamp."""
    app = App()
    detector = Detector(app, CONFIG)  # type: ignore[arg-type]
    found = alerts_of(detector, app)
    records = [
        SimpleNamespace(headers=[], value=encode(event), timestamp=record_ms, key=None, offset=offset)
        for offset, event in enumerate(FAILURES)
    ]
    number = load.partition_of("wf-000004")
    await detector.apply(topics.COMPLETIONS, Chunk(TP(topics.COMPLETIONS, number), records, 3))
    assert [one.anomaly_type for one in found] == ["ConsecutiveFailures"]
    assert found[0].published_at == (None if record_ms < 0 else from_epoch_ms(record_ms))


async def test_x9_an_event_that_was_passed_on_was_published_when_its_first_record_was() -> None:
    app = App()
    detector = Detector(app, CONFIG)  # type: ignore[arg-type]
    found = alerts_of(detector, app)
    records = [
        SimpleNamespace(
            headers=[Origin(topics.COMPLETIONS, 9, offset, NOW_MS + 5_000).header()],
            value=encode(event),
            timestamp=NOW_MS + 3 * 86_400_000,
            key=None,
            offset=offset,
        )
        for offset, event in enumerate(FAILURES)
    ]
    number = load.partition_of("wf-000004")
    await detector.apply(topics.REKEYED, Chunk(TP(topics.REKEYED, number), records, 3))
    assert [one.published_at for one in found] == [from_epoch_ms(NOW_MS + 5_000)]


async def test_w36_the_metric_counts_what_opens_and_neither_what_goes_on_nor_what_ends() -> None:
    app = App()
    detector = Detector(app, CONFIG)  # type: ignore[arg-type]
    alerts: list[str] = []

    def put(topic: str, _number: int, _key: bytes, value: bytes, *_: Any, **__: Any) -> None:
        if topic == topics.ALERTS:
            alerts.append(msgspec.json.decode(value)["state"])

    app.batch_producer.put = put  # type: ignore[method-assign]

    def counted() -> float:
        samples = [each for metric in metrics.ANOMALIES.collect() for each in metric.samples]
        return sum(each.value for each in samples if each.name.endswith("_total"))

    number = load.partition_of("wf-000004")
    before, statuses = counted(), ["success"] * 20 + ["failure"] * 12 + ["success"] * 30
    for offset, status in enumerate(statuses):
        event = completion(f"e{offset}", "wf-000004", status=status, finished_at=NOON + timedelta(minutes=offset))
        record = SimpleNamespace(headers=[], value=encode(event), timestamp=NOW_MS + 10**7, key=None, offset=offset)
        await detector.apply(topics.COMPLETIONS, Chunk(TP(topics.COMPLETIONS, number), [record], 0))
    assert set(alerts) >= {"opened", "resolved"}
    assert counted() - before == alerts.count("opened")


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        ([(TP(topics.SCORES, 0), 3, 9)], "loading what scores need"),
        ([(TP(topics.SCORES, 0), 9, 9), (TP(topics.COMPLETIONS, 0), 0, 9)], ""),
        ([], ""),
    ],
)
async def test_ready_waits_for_what_scores_need_only_where_scores_are_there(
    monkeypatch: pytest.MonkeyPatch, progress: list[tuple[TP, int, int]], expected: str
) -> None:
    app: Any = App()

    async def read_progress() -> list[tuple[TP, int, int]]:
        return progress

    app.worker_consumer = SimpleNamespace(read_progress=read_progress)
    app.settings = SimpleNamespace(topic=str, single_run_keys=1)
    detector = Detector(app, CONFIG)
    monkeypatch.setattr("stream_detector.roles.detector.is_loaded", lambda: False)
    assert detector.find_unmet_need() == "looking for scores to read"
    await detector.look_for_scores()
    assert detector.find_unmet_need() == expected
    monkeypatch.setattr("stream_detector.roles.detector.is_loaded", lambda: True)
    assert detector.find_unmet_need() == ""


async def test_s11_another_score_of_the_same_run_is_on_dead_letters_and_a_repeat_is_not() -> None:
    app = App()
    detector = Detector(app, CONFIG)  # type: ignore[arg-type]
    letters: list[tuple[int, RefusedError]] = []
    app.send_to_dlq = lambda record, headers, origin, number, error: letters.append((record.offset, error))  # type: ignore
    app.batch_producer.put = lambda *given, **more: None  # type: ignore[method-assign]
    number = load.partition_of("lido")
    records = [
        SimpleNamespace(
            headers=[], value=encode(score("lido", value, run_id="r")), timestamp=NOW_MS, key=None, offset=at
        )
        for at, value in enumerate(("5.8", "5.80", "6.2"))
    ]
    outcomes = await detector.apply(topics.SCORES, Chunk(TP(topics.SCORES, number), records, 3))
    assert outcomes == {"applied": 1, "duplicate": 2}
    assert [(offset, error.stage, error.reason) for offset, error in letters] == [(2, "step", "changed_duplicate")]


async def test_x7_the_part_of_a_score_has_how_it_moved_with_and_without_an_anomaly() -> None:
    app = App()
    detector = Detector(app, CONFIG)  # type: ignore[arg-type]
    parts: list[RunPart] = []

    def put(topic: str, *given: Any, **_: Any) -> None:
        if topic == topics.RUN_PARTS:
            parts.append(decode_run_part(given[2]))

    app.batch_producer.put = put  # type: ignore[method-assign]
    values = ["7.5", "5.8", "5.9", "5.6", "5.6"]
    records = [
        SimpleNamespace(
            headers=[],
            value=encode(score("lido", value, run_id=f"r{number}", scored_at=NOON - timedelta(days=9 - number))),
            timestamp=NOW_MS,
            key=None,
            offset=number,
        )
        for number, value in enumerate(values)
    ]
    await detector.apply(topics.SCORES, Chunk(TP(topics.SCORES, load.partition_of("lido")), records, len(records)))
    assert [one.moved for one in parts] == ["not_compared", "fell", "unchanged", "fell", "unchanged"]
    assert [one.anomaly is not None for one in parts] == [False, True, False, False, False]


async def test_x20_a_payload_without_an_event_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    detector = Detector(app, CONFIG)  # type: ignore[arg-type]
    letters: list[Any] = []
    app.send_to_dlq = lambda *given: letters.append(given)  # type: ignore[attr-defined]
    running = b'{"object_kind":"pipeline","object_attributes":{"status":"running"},"project":{}}'
    values = [running, running, b'{"object_kind":"push","project":{}}', b'{"schema":{},"payload":null}', b'{"odd":1}']
    records = [
        SimpleNamespace(headers=[], value=value, timestamp=NOW_MS, key=None, offset=offset)
        for offset, value in enumerate(values)
    ]
    with caplog.at_level("INFO", "stream_detector"):
        outcomes = await detector.apply(topics.COMPLETIONS, Chunk(TP(topics.COMPLETIONS, 0), records, len(records)))
    assert outcomes == {"ignored": 4, "refused": 1} and len(letters) == 1
    lines = [each.getMessage() for each in caplog.records if "holds no event" in each.getMessage()]
    assert [line.partition("holds no event: ")[2].partition(".")[0] for line in lines] == [
        "GitLab CI: the pipeline has not ended",
        "GitLab CI: push is not switched on",
        "Kafka Connect: a deleted row holds no event",
    ]
