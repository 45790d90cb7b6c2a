"""Events as producers send them, for tests of the running detector."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any


def completion(number: int, workflow_id: str = "nightly", **more: Any) -> bytes:
    """The number-th execution of a workflow, a success unless stated otherwise; times grow with the number."""
    at = datetime.now(UTC) - timedelta(days=2) + timedelta(minutes=number)
    event = {
        "execution_id": f"x{number}",
        "workflow_id": workflow_id,
        "status": "success",
        "started_at": (at - timedelta(seconds=60)).isoformat(),
        "finished_at": at.isoformat(),
        "duration_s": 60 + number % 7,
    }
    return json.dumps(event | more).encode()
