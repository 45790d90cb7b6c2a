"""X21: the check of stored executions by variant, under the VARIANT_BY that was in force when each was evaluated."""

from datetime import timedelta

import asyncpg
import pytest

from stream_detector.detect import Config
from stream_detector.detect.replay import Replayer
from stream_detector.events import Completion
from stream_detector.events.detector_settings import DetectorSettings
from stream_detector.events.encode import encode
from stream_detector.events.variant import DEFAULT_BRANCH
from stream_detector.kafka.topics import COMPLETIONS
from stream_detector.serve.check import check
from stream_detector.serve.detection_settings import DetectionSettings
from stream_detector.settings import Settings
from stream_detector.store import executions
from stream_detector.store.detector_settings import Revisions
from stream_detector.store.rows import Row, Rows
from stream_detector.store.write import Writer
from tests.events_made import NOON, completion, row

CHANGED = 60
"""From this offset on VARIANT_BY is in force."""


def runs() -> list[Completion]:
    """Pushes that succeed, and nightlies that fail from the tenth on; the last pushes name their variant."""
    made = []
    for n in range(160):
        trigger = "nightly" if n % 8 == 7 else "push"
        status = "failure" if trigger == "nightly" and n > 80 else "success"
        at, variant = NOON + timedelta(hours=3 * n), DEFAULT_BRANCH if n > 120 and trigger == "push" else None
        labels = {"trigger": trigger}
        made.append(completion(f"e{n}", finished_at=at, status=status, labels=labels, variant=variant))
    return made


def in_force(variant_by: str, revision: int, first: int) -> DetectorSettings:
    texts = {"profile": "robust", "variant_by": variant_by}
    return DetectorSettings(
        schema_version=1,
        kind="in_force",
        revision=revision,
        settings=texts,
        offsets={COMPLETIONS: {0: first}},
        at=NOON,
    )


@pytest.fixture
async def stored(pool: asyncpg.Pool) -> list[Row[Completion]]:
    rows = [
        row(
            event,
            offset,
            epoch=1,
            value=encode(event),
            topic=COMPLETIONS,
            variant_by=("trigger",) if offset >= CHANGED else (),
        )
        for offset, event in enumerate(runs())
    ]
    assert await Writer(pool).write(Rows(executions=rows)) == []
    return rows


async def test_x21_the_check_finds_in_a_variant_what_the_detector_found(
    pool: asyncpg.Pool, stored: list[Row[Completion]]
) -> None:
    settings = DetectionSettings(Settings(), Revisions({1: [in_force("none", 1, 0), in_force("trigger", 2, CHANGED)]}))
    live, plain = Replayer(Config(variant_by=("trigger",))), Config()
    severities = []
    for each in stored:
        live.config = plain if each.offset < CHANGED else Config(variant_by=("trigger",))
        wanted = live.apply(each.event, each.record_ms).anomalies
        if each.offset % 8 == 7 or wanted:
            target = await executions.execution(pool, each.event.execution_id)
            assert target is not None
            assert list((await check(pool, target, settings)).anomalies) == list(wanted)
        severities += [one.severity for one in wanted if one.variant == "nightly"]
    assert severities == ["warning", "critical"]
    variants = {found["variant"] for found in await pool.fetch("SELECT variant FROM executions")}
    assert variants == {None, "push", "nightly", DEFAULT_BRANCH}
