"""The least valid event of each kind, as a dict to change and as JSON."""

import json
from typing import Any

AT = "2026-01-22T00:05:00Z"
AT_MS = 1769040300000

COMPLETION = {
    "execution_id": "e1",
    "workflow_id": "nightly",
    "status": "success",
    "started_at": "2026-01-22T00:00:00Z",
    "finished_at": AT,
}
SCORE = {"entity_id": "lido", "entity_name": "Lido", "score": 5.8, "scored_at": AT}
SCORE_RUN = {"run_id": "r1", "status": "completed", "at": AT}
ACTION = {"action_id": "a1", "kind": "resolve", "entity": "workflow:nightly", "by": "sam", "at": AT}


def completion(**changes: Any) -> bytes:
    return json.dumps(COMPLETION | changes).encode()


def score(raw: str = "5.8", **changes: Any) -> bytes:
    """`raw` stands in the JSON as it is."""
    return json.dumps(SCORE | {"score": "RAW"} | changes).replace('"RAW"', raw).encode()


def score_run(**changes: Any) -> bytes:
    return json.dumps(SCORE_RUN | changes).encode()


def action(**changes: Any) -> bytes:
    return json.dumps(ACTION | changes).encode()
