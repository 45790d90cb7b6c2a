"""Workflow ids that look unique per run, by what is stored of the baselines."""

import asyncpg

from stream_detector.events.id_patterns import Patterns

_ROWS_AT_ONCE = 5_000
# In a packed baseline: 1 the kind (workflow), 3 the number of recent ids, 4 to 11 the newest event time in epoch ms.
# The seconds of the day are compared by the middle bytes: epoch ms >> 16 is 65.5 s.
_NEW_TODAY = """
    SELECT entity_id FROM baselines
    WHERE entity_kind = 'workflow' AND state <> 'unknown'
        AND record_at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
        AND CASE WHEN octet_length(packed) >= 20 THEN
            get_byte(packed, 1) = 1 AND get_byte(packed, 3) = 1
            AND get_byte(packed, 6)::bigint + 256 * get_byte(packed, 7) + 65536 * get_byte(packed, 8)::bigint
                + 16777216 * get_byte(packed, 9)::bigint
                >= extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC'))::bigint * 1000 / 65536
        ELSE false END
"""


async def ids_that_look_unique(pool: asyncpg.Pool) -> dict[str, int]:
    """Pattern -> how many workflows are new today (UTC) and have run once, where they are many, the most first."""
    patterns = Patterns()
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        cursor = await connection.cursor(_NEW_TODAY)
        while rows := await cursor.fetch(_ROWS_AT_ONCE):
            for row in rows:
                patterns.add(row["entity_id"])
    return patterns.that_look_unique()
