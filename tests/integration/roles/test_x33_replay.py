"""X33: what a real detector found in its events is found in a file of its records with their times, id by id."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from stream_detector.cli import main
from stream_detector.events.encode import encode
from stream_detector.events.times import from_epoch_ms
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import ALERTS, COMPLETIONS
from tests.drills.stage import until
from tests.unit.detect.test_x33_replay import arrived

RULES = {"expect_rules": "rule? -> daily 05:00 Europe/Berlin", "max_duration_rules": "rule? -> 1h"}


@pytest.fixture(params=["tansu"])
def broker(request):
    """Its records have the times of who wrote them: months of a history arrive within seconds."""
    return request.getfixturevalue(request.param)


async def test_x33_the_records_of_a_detector_replayed_from_a_file_have_the_same_ids(play, producer, tmp_path):
    play.settings = replace(play.settings, **RULES)
    for record_ms, event in arrived():
        await producer.send(
            play.settings.topic(COMPLETIONS), encode(event), key=event.workflow_id.encode(), timestamp_ms=record_ms
        )
    await producer.flush()
    detector = play.start("detector")

    async def ready():
        return detector.ready

    await until(ready, "the detector", play.last_words)
    await play.drained("detector", alive=lambda: detector.alive)
    live = [json.loads(record.value) async for record in read_topic(play.settings, ALERTS)]
    records = [record async for record in read_topic(play.settings, COMPLETIONS)]
    path = tmp_path / "history.jsonl"
    path.write_text(
        "\n".join(
            json.dumps({"record_at": from_epoch_ms(record.timestamp).isoformat(), "event": json.loads(record.value)})
            for record in sorted(records, key=lambda record: record.timestamp)
        )
    )
    flags = [word for name, value in RULES.items() for word in ("--set", f"{name}={value}")]
    done = CliRunner().invoke(main, ["replay", str(path), "--json", *flags])
    assert done.exit_code == 0, done.output
    replayed = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(map(known_by, live)) == sorted(map(known_by, replayed))
    assert {one["detector"] for one in live} >= {"missed_run", "still_running"}


def known_by(anomaly):
    return anomaly["id"], anomaly["state"], anomaly["detected_at"], anomaly["description"]
