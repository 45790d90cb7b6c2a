"""X33: a history with the times of its records is replayed id by id as the detector found it live, clock and all."""

import io
import json
from types import SimpleNamespace

from faust.types import TP
from msgspec.structs import replace

from benchmarks import load
from stream_detector.delivery.chunk import Chunk
from stream_detector.detect import Config
from stream_detector.detect.replay import Replayer
from stream_detector.events import Anomaly, Completion, ScoreRun, Start
from stream_detector.events.decode import decode_anomaly
from stream_detector.events.encode import encode
from stream_detector.events.files import read_events
from stream_detector.events.times import from_epoch_ms
from stream_detector.kafka import topics
from stream_detector.timing_rules import expect_rules, max_duration_rules
from tests.unit.detect.test_x33_replay import arrived
from tests.unit.roles.test_x30_starts import HOME, Scene

TICK_MS = 1_000_000
NAMES = [name for name in (f"wf-{n:06d}" for n in range(400)) if load.partition_of(name) == HOME][:4]


async def live(scene: Scene, history: list[tuple[int, Completion | Start]]) -> list[Anomaly]:
    """What it sent: events in their order, and the clock in between, each time with a checkpoint behind it."""
    at_ms = history[0][0]
    for number, (record_ms, event) in enumerate(history):
        while at_ms + TICK_MS <= record_ms:
            at_ms += TICK_MS
            ask(scene, at_ms)
        record = SimpleNamespace(headers=[], value=encode(event), timestamp=record_ms, key=None, offset=number)
        await scene.detector.apply(topics.COMPLETIONS, Chunk(TP(topics.COMPLETIONS, HOME), [record], number + 1))
    ask(scene, history[-1][0] + 60_000)
    return [decode_anomaly(value) for topic, _, value in scene.sent if topic == topics.ALERTS]


def ask(scene: Scene, at_ms: int) -> None:
    """What the clock does once it knows that everything published before is applied."""
    detector = scene.detector
    mine = detector.clock.begin(HOME, detector._baselines.get_owned(HOME))
    for key in mine.keys.take(at_ms):
        mine.find(key, at_ms, 0)
    for key, alerts in mine.take_safe(0):
        for alert in alerts:
            detector._send_due(key, alert, HOME)


def from_file(config: Config, history: list[tuple[int, Completion | Start]]) -> list[Anomaly]:
    lines = [
        json.dumps({"record_at": from_epoch_ms(ms).isoformat(), "event": json.loads(encode(event))})
        for ms, event in history
    ]
    replayer, found = Replayer(config), list[Anomaly]()
    for line in read_events(io.BytesIO("\n".join(lines).encode()), "history", record_ms=-1):
        assert line.event is not None and not isinstance(line.event, ScoreRun)
        found += replayer.apply(line.event, line.record_ms).anomalies
    return found + replayer.due()


async def test_x33_a_history_with_record_times_is_replayed_as_the_clock_and_events_found_it_live() -> None:
    nightly, ruled, hourly, never = NAMES
    config = {
        "expect_rules": expect_rules(f"{ruled} -> daily 05:00 Europe/Berlin, {never} -> every 700h"),
        "max_duration_rules": max_duration_rules(f"{ruled} -> 1h"),
    }
    history = arrived({"nightly": nightly, "ruled": ruled, "hourly": hourly})
    scene = Scene(**config)
    detector = scene.detector
    partition = detector._baselines.get_owned(HOME)
    for baseline in detector._expect_runs(HOME, partition, history[0][0] // 1000):
        partition.put(baseline.key, baseline.pack())
        detector.clock.begin(HOME, partition).look(baseline.key, baseline.pack())
    found = await live(scene, history)
    replayed = from_file(Config(**config), history)  # type: ignore[arg-type]
    assert sorted(map(shown, found)) == sorted(map(shown, replayed))
    rules = {(one.detector, one.state) for one in found}
    assert {(rule, state) for rule in ("missed_run", "still_running") for state in ("opened", "resolved")} <= rules
    assert {one.entity_id for one in found if one.detector == "missed_run"} >= {nightly, ruled, hourly, never}


def shown(anomaly: Anomaly) -> bytes:
    """As a subscriber has it."""
    return encode(decode_anomaly(encode(replace(anomaly, published_at=None))))
