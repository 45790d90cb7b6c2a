"""Under which settings and silences an import reports what would have been sent."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from stream_detector.cli.present_settings import present_settings
from stream_detector.cli.replayed_history import ReplayedHistory
from stream_detector.events.detector_settings import DetectorSettings
from stream_detector.events.files import value_reader
from stream_detector.settings import Settings
from stream_detector.store.rows import Row, Rows
from stream_detector.store.write import Writer
from tests.events_made import action
from tests.servers.github_runs import HISTORIES, REPOSITORY, dump

NOW = datetime.now(UTC)
LINT = f"workflow:github:{REPOSITORY}:.github/workflows/lint.yml"


async def stored(pool: asyncpg.Pool, *, until: datetime) -> None:
    silence = action("s", "silence", entity=LINT, at=NOW - timedelta(hours=1), until=until)
    texts = {"profile": "classic", "score_threshold": "0.7"}
    published = DetectorSettings(schema_version=1, kind="in_force", revision=1, settings=texts, at=NOW)
    rows = Rows(
        actions=[Row(silence, "operator-actions", 0, 0, 0)],
        settings=[Row(published, "detector-settings", 0, 0, 0)],
    )
    assert await Writer(pool).write(rows) == []


async def test_x22_settings_that_were_not_given_are_those_of_the_running_detector(
    pool: asyncpg.Pool, postgres_url: str, make_settings: Callable[..., Settings]
) -> None:
    await stored(pool, until=NOW + timedelta(hours=1))
    found = await present_settings(make_settings(database_url=postgres_url))
    assert found.detection.profile == "classic"
    given = make_settings(database_url=postgres_url, profile="robust", origin={"profile": "flag"})
    assert (await present_settings(given)).detection.profile == "robust"


@pytest.mark.parametrize("is_over", [False, True])
async def test_x22_a_silence_that_is_in_force_now_holds_for_the_whole_history(
    pool: asyncpg.Pool, postgres_url: str, make_settings: Callable[..., Settings], is_over: bool
) -> None:
    await stored(pool, until=NOW + timedelta(hours=-0.5 if is_over else 1))
    present = await present_settings(make_settings(database_url=postgres_url, origin={"profile": "flag"}))
    history = ReplayedHistory(present.detection, present.notify, None, present.silences)
    listed = dump(HISTORIES["failing, then slow"](), per_page=2_000)
    for event in sorted(
        (line.event for line in value_reader(-1)(listed)),
        key=lambda event: event.finished_at,  # type: ignore[union-attr]
    ):
        assert event is not None
        history.apply(event)
    forecast = history.finish().forecast
    assert forecast is not None
    about_lint = [message for message in forecast.sent if "LINT" in message.title]
    assert (about_lint != []) == is_over
    assert len(forecast.sent) > len(about_lint)


async def test_x22_a_database_that_cannot_be_read_is_said_and_stops_nothing(
    postgres_url: str, make_settings: Callable[..., Settings]
) -> None:
    found = await present_settings(make_settings(database_url=postgres_url))  # without a table
    assert found.silences == () and "silences and published settings are not in the report" in found.notes[0]
