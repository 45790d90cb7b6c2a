"""A database of an older version, with data in it, is brought up to date without losing a row."""

import asyncpg
import pytest

from stream_detector.store import incidents
from stream_detector.store.connect import open_pool
from stream_detector.store.filter import Filter
from stream_detector.store.migrate import migrate, migrations
from stream_detector.store.progress import progress
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import action, anomaly, completion, row, uuid

_TABLES = "SELECT count(*) FROM executions", "SELECT count(*) FROM anomalies", "SELECT count(*) FROM incidents"
_OLD_ROWS = """
    INSERT INTO executions (execution_id, attempt, workflow_id, status, finished_at, stream_epoch, source_partition,
        source_offset, backfill, record_at, event)
    SELECT n::text, 1, 'nightly', 'success', now(), 0, 0, n, false, now(), '{}' FROM generate_series(1, 500) n;
    INSERT INTO recorder_progress (recorded_at, newest_event_at) VALUES (now(), now());
    INSERT INTO anomalies (id, incident_id, state, detected_at, anomaly_type, severity, description, entity_kind,
        entity_id, entity_name, current_value, baseline_value, deviation, direction, detector, profile, event)
    SELECT id, id, 'opened', now(), 'SpikeInFailures', 'info', 'd', 'workflow', 'w', 'w', 3, 1, 2, 'up', 'd', 'classic',
        event::bytea FROM (VALUES
        ('00000000-0000-0000-0000-000000000001'::uuid, '{"metrics":{"z_score":2.5,"confidence":0.75}}'),
        ('00000000-0000-0000-0000-000000000002', '{"metrics":{"z_score":null,"confidence":1}}'),
        ('00000000-0000-0000-0000-000000000003', '{"metrics":{"z_score":"far","confidence":1e999}}')) o (id, event);
    INSERT INTO tokens (name, role, token_hash) VALUES ('old', 'viewer', 'x');
"""


@pytest.mark.parametrize("version", [each.version for each in migrations()])
async def test_each_older_version_with_data_is_brought_up_to_date(postgres_url: str, version: int) -> None:
    pool = await open_pool(postgres_url, name="test", size=2)
    try:
        known = migrations()
        assert len(await migrate(pool, known[:version])) == version
        await pool.execute(_OLD_ROWS)
        assert await migrate(pool) == [each.name for each in known[version:]]
        assert await migrate(pool) == []
        numbers = await pool.fetch("SELECT z_score, confidence FROM anomalies ORDER BY id")
        assert [tuple(each) for each in numbers] == [(2.5, 0.75), (None, 1.0), (None, None)]
        await written(pool)
        assert await pool.fetchval(_TABLES[0]) == 501
        assert (await progress(pool)).newest_event_at is not None
    finally:
        await pool.close()


async def written(pool: asyncpg.Pool) -> None:
    """Today's program writes and reads there."""
    rows = Rows(
        executions=[row(completion("new"))],
        anomalies=[row(anomaly("a"))],
        actions=[row(action("1", "acknowledge", incident_id=uuid("a")))],
    )
    assert await Writer(pool).write(rows) == []
    page = await incidents.find(pool, Filter(is_acknowledged=True), limit=5)
    assert len(page.items) == 1
