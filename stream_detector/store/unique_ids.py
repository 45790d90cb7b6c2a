"""Workflow ids that look unique per run, by what is stored of the baselines."""

import asyncpg

from stream_detector.events.id_patterns import Patterns

# In a packed baseline: 1 the kind (workflow), 3 the number of recent ids, 4 to 11 the newest event time in epoch ms.
# A new variant of a workflow that has others makes no id new.
# The seconds of the day are compared by the middle bytes: epoch ms >> 16 is 65.5 s.
_DECLARE = """
    DECLARE new_today NO SCROLL CURSOR FOR SELECT entity_id FROM baselines b
    WHERE entity_kind = 'workflow' AND state <> 'unknown'
        AND record_at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
        AND CASE WHEN octet_length(packed) >= 20 THEN
            get_byte(packed, 1) = 1 AND get_byte(packed, 3) = 1
            AND get_byte(packed, 6)::bigint + 256 * get_byte(packed, 7) + 65536 * get_byte(packed, 8)::bigint
                + 16777216 * get_byte(packed, 9)::bigint
                >= extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC'))::bigint * 1000 / 65536
        ELSE false END
        AND (variant IS NULL OR NOT EXISTS (
            SELECT 1 FROM baselines o
            WHERE o.entity_kind = 'workflow' AND o.entity_id = b.entity_id AND o.key <> b.key))
"""
_FETCH = "FETCH 5000 FROM new_today"
"""By SQL, since asyncpg's own cursor has a named statement, which pgbouncer may give to another client."""


async def ids_that_look_unique(pool: asyncpg.Pool) -> dict[str, int]:
    """Pattern -> how many workflows are new today (UTC) and have run once, where they are many, the most first."""
    patterns = Patterns()
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(_DECLARE)
        while rows := await connection.fetch(_FETCH):
            for row in rows:
                patterns.add(row["entity_id"])
    return patterns.that_look_unique()
