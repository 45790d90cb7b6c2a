"""Workflows and entities whose ids look the same."""

import asyncpg

from stream_detector.events.lookalikes import find_lookalikes, plain_form

_RECENT = "FROM baselines WHERE entity_kind = $1 AND recorded_at > now() - interval '7 days'"
_ODD = (
    f"SELECT entity_id {_RECENT} AND entity_id !~ '^[!-~]+( [!-~]+)*$'"
    " GROUP BY 1 ORDER BY max(recorded_at) DESC LIMIT 50000"
)
"""Any two that look the same have at least one with more than ASCII and single spaces. A workflow with several variants
has several rows."""
_OF_FORMS = f"SELECT DISTINCT entity_id {_RECENT} AND entity_id = ANY($2::text[])"


async def stored_lookalikes(pool: asyncpg.Pool, kind: str) -> list[list[str]]:
    """Groups of ids that look the same, of what had events in the last 7 days.

    Args:
        kind: workflow or score.
    """
    odd = [each["entity_id"] for each in await pool.fetch(_ODD, kind)]
    forms = list({plain_form(each) for each in odd})
    plain = [each["entity_id"] for each in await pool.fetch(_OF_FORMS, kind, forms)] if forms else []
    return find_lookalikes([*odd, *plain])
