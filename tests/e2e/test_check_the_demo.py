"""W39 for the demo's history: what the API says of every execution is what the live detector published about it."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from stream_detector.devstack.demo import demo_events
from stream_detector.devstack.tansu import Tansu
from stream_detector.events.decode import decode_anomaly, decode_completion
from stream_detector.kafka.end_offsets import EndOffsets, read_topic, total_lag
from stream_detector.kafka.publish import publish
from stream_detector.kafka.topics import ALERTS, COMPLETIONS
from stream_detector.settings import Settings
from tests.servers.database import pool
from tests.servers.installation import Installation, wait_until

__all__ = ["pool"]
DATA = ("executions", "anomalies", "incidents", "baselines", "notifications", "actions")
COUNT = "SELECT count(*), max(xmin::text::bigint) FROM {}"


def by_id(found: Any) -> tuple[str, str]:
    return found["id"], found["state"]


async def published(settings: Settings) -> dict[tuple[str, int], list[Any]]:
    """What is on `alerts` of each execution and attempt, in its order, each id once."""
    found: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    async for record in read_topic(settings, ALERTS):
        anomaly = decode_anomaly(record.value)
        about = anomaly.execution_id or "", anomaly.attempt or 1
        found[about].setdefault(f"{anomaly.id} {anomaly.state}", msgspec.to_builtins(anomaly))
    return {about: list(each.values()) for about, each in found.items()}


@pytest.mark.parametrize("profile", [pytest.param("classic", marks=pytest.mark.drill), "robust"])
async def test_w39_every_execution_of_the_demo_is_checked_as_it_was_said_live(
    tansu: Tansu, postgres_url: str, pool: asyncpg.Pool, make_settings: Callable[..., Settings], tmp_path: Path,
    profile: str,
) -> None:  # fmt: skip
    settings = make_settings(broker=tansu.address, database_url=postgres_url, profile=profile)
    events = [event for event in demo_events(datetime.now(UTC)) if event.topic == COMPLETIONS]
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    executions = [decode_completion(event.value, (), now_ms) for event in events]
    async with Installation(settings, tmp_path / "data", roles=("detector", "recorder", "api")) as running:
        await publish(settings, events)

        async def caught_up() -> bool:
            async with EndOffsets(settings) as ends:
                lags = await ends.lags()
                return not total_lag(lags, "detector") + total_lag(lags, "recorder")

        await wait_until(caught_up, "detector and recorder have worked everything off")
        said = await published(settings)
        before = [await pool.fetch(COUNT.format(table)) for table in DATA]
        for each in executions:
            asked = {"workflow_execution_id": each.execution_id, "attempt": each.attempt}
            status, found = running.api("/api/v1/ai/check-anomalies", asked)
            expected = said.get((each.execution_id, each.attempt), [])
            assert (status, sorted(found, key=by_id)) == (200, sorted(expected, key=by_id)), asked
        assert [await pool.fetch(COUNT.format(table)) for table in DATA] == before
    assert len(executions) == 396
    kinds = {each["anomaly_type"] for several in said.values() for each in several}
    assert len(kinds) >= 3 and set(said) <= {(each.execution_id, each.attempt) for each in executions}
