"""Which of several streams an offset belongs to: one created again starts at offset 0."""

import asyncpg

from stream_detector.store.connect import store_errors


def stream_identity(cluster_id: str, topic_prefix: str) -> str:
    """What changes where topics are made again on another cluster, or others are used."""
    return f"{cluster_id}/{topic_prefix}"


async def epoch_of(pool: asyncpg.Pool, identity: str) -> int:
    """The epoch of the stream called `identity`: the same for the same one, a greater number for a new one.

    Args:
        pool: the store.
        identity: what changes when topics are created again, for example the broker's cluster id.

    Raises:
        StoreAwayError: the database is away.
    """
    with store_errors():
        async with pool.acquire() as connection, connection.transaction():
            # Asked first: an INSERT that conflicts would use up a number each time.
            known = await connection.fetchval("SELECT epoch FROM stream_epochs WHERE identity = $1", identity)
            if known is None:
                await connection.execute(
                    "INSERT INTO stream_epochs (identity, has_positions) VALUES ($1, true) ON CONFLICT DO NOTHING",
                    identity,
                )
                known = await connection.fetchval("SELECT epoch FROM stream_epochs WHERE identity = $1", identity)
            return int(known)


async def find_epoch(pool: asyncpg.Pool, identity: str) -> int | None:
    """The epoch of the stream called `identity`, None where nothing of it is stored. Makes none."""
    found: int | None = await pool.fetchval("SELECT epoch FROM stream_epochs WHERE identity = $1", identity)
    return found
