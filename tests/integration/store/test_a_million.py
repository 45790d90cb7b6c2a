"""Every list of the API at a million anomalies and executions (a fifth in `make test`): each plan goes by an index."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from stream_detector.store import anomalies, incidents, overview
from stream_detector.store.facets import facets
from stream_detector.store.filter import Filter

_LARGE = {"anomalies", "executions"}
_ANOMALIES = """
    INSERT INTO anomalies (id, incident_id, state, detected_at, anomaly_type, severity, description, entity_kind,
        entity_id, entity_name, execution_id, current_value, baseline_value, deviation, direction, detector, profile,
        event)
    SELECT gen_random_uuid(), gen_random_uuid(), (ARRAY['opened', 'opened', 'ongoing', 'resolved'])[1 + n % 4],
        now() - n * $2::float * interval '31 seconds', (ARRAY['SpikeInFailures', 'UnusualExecutionTime'])[1 + n % 2],
        (ARRAY['info', 'warning', 'critical'])[1 + n % 3], 'd', 'workflow', 'w' || n % 5000, 'W' || n % 5000,
        'e' || n, 1, 1, 1, 'up', 'd', 'classic', '{}'
    FROM generate_series(1, $1::int) n
"""
_EXECUTIONS = """
    INSERT INTO executions (execution_id, attempt, workflow_id, status, finished_at, stream_epoch, source_partition,
        source_offset, backfill, record_at, event)
    SELECT 'e' || n, 1, 'w' || n % 5000, 'success', now() - n * $2::float * interval '7 seconds',
        0, 0, n, false, now(), '{}'
    FROM generate_series(1, $1::int) n
"""


class Explained:
    """The pool, which notes the plan of each statement before it runs it."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.scanned: set[str] = set()

    async def fetch(self, statement: str, *values: Any) -> Any:
        plan = await self._pool.fetchval("EXPLAIN (FORMAT JSON) " + statement, *values)
        self._look(json.loads(plan)[0]["Plan"])
        return await self._pool.fetch(statement, *values)

    async def fetchrow(self, statement: str, *values: Any) -> Any:
        found = await self.fetch(statement, *values)
        return found[0] if found else None

    async def fetchval(self, statement: str, *values: Any) -> Any:
        found = await self.fetchrow(statement, *values)
        return found[0] if found else None

    def _look(self, plan: dict[str, Any]) -> None:
        if "Seq Scan" in plan["Node Type"]:
            self.scanned.add(plan["Relation Name"])
        for part in plan.get("Plans", []):
            self._look(part)


@pytest.mark.parametrize("rows", [200_000, pytest.param(1_000_000, marks=pytest.mark.drill)])
async def test_no_list_of_the_api_reads_a_whole_table(pool: asyncpg.Pool, rows: int) -> None:
    for statement in (_ANOMALIES, _EXECUTIONS):
        await pool.execute(statement, rows, 1_000_000 / rows, timeout=300)
    await pool.execute("ANALYZE anomalies; ANALYZE executions")
    now = datetime.now(UTC)
    month = {"from_at": now - timedelta(days=30), "to_at": now}
    page = await anomalies.find(pool, Filter(), limit=50)
    filters: list[dict[str, Any]] = [
        {}, month, {"types": ["SpikeInFailures"]}, {"severities": ["critical"]}, {"states": ["resolved"]},
        {"entity": "workflow:w17"}, {"entity": "w17"}, {"run_id": "r1"}, {"severities": ["warning", "critical"]},
        {"types": ["SpikeInFailures"], "severities": ["critical"], **month}, {"text": "W17", **month},
        {"is_open": True, **month},
    ]  # fmt: skip
    explained: Any = Explained(pool)
    for given in filters:
        await anomalies.find(explained, Filter(**given), limit=50)
        await anomalies.find(explained, Filter(**given), limit=50, cursor=page.next)
        plain = {name: value for name, value in given.items() if name != "states"}
        await incidents.find(explained, Filter(**plain), limit=50)
    await anomalies.trends(explained, Filter(**month))
    await facets(explained, Filter(**month))
    await overview.counts(explained, now)
    await overview.facets(explained, month["from_at"], now)
    await overview.lanes(explained, now - timedelta(days=1), now, 3600.0, 30)
    await overview.newest(explained)
    assert await explained.fetchval("SELECT event FROM executions WHERE execution_id = $1", "e17")
    await explained.fetch(
        "SELECT event FROM executions WHERE workflow_id = $1 ORDER BY finished_at DESC LIMIT $2", "w17", 30
    )
    assert not explained.scanned & _LARGE
