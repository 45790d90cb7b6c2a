"""Everything that is stored, key by key, each key's events in the order of its stream."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg

from stream_detector.store.executions import StoredCompletion, completions_in_order
from stream_detector.store.scores import StoredScore, scores_in_order

_EVER = datetime(9999, 1, 1, tzinfo=UTC)


async def everything(pool: asyncpg.Pool) -> AsyncIterator[StoredCompletion | StoredScore]:
    """Scores first, since they are few; then executions. Memory stays bounded however much there is."""
    after = ""
    while entity_id := await pool.fetchval("SELECT min(entity_id) FROM scores WHERE entity_id > $1", after):
        async for scored in scores_in_order(pool, entity_id, _EVER):
            yield scored
        after = entity_id
    after = ""
    while workflow_id := await pool.fetchval("SELECT min(workflow_id) FROM executions WHERE workflow_id > $1", after):
        async for completed in completions_in_order(pool, workflow_id):
            yield completed
        after = workflow_id
