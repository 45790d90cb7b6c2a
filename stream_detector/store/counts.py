"""How much is stored, for the demo and for `doctor`."""

import asyncpg

from stream_detector.store.connect import store_errors

_COUNTS = """
SELECT
    (SELECT count(*) FROM executions) AS executions,
    (SELECT count(*) FROM scores) AS scores,
    (SELECT count(DISTINCT run_id) FROM score_runs) AS score_runs,
    (SELECT count(*) FROM anomalies) AS anomalies,
    (SELECT count(*) FROM notifications WHERE channel = 'inbox' AND outcome = 'delivered') AS inbox
"""


async def stored_counts(pool: asyncpg.Pool) -> dict[str, int]:
    """Rows: executions, scores, score_runs, anomalies, inbox messages. Raises `StoreAwayError`."""
    with store_errors():
        found = await pool.fetchrow(_COUNTS)
    assert found is not None, "a SELECT without FROM has a row"
    return dict(found)
