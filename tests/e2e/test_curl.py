"""The API as a person at a terminal drives it, with real curl: a token, events in, what was found, a decision, why."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stream_detector.devstack.tansu import Tansu
from stream_detector.settings import PREFIX, Settings
from tests.servers.installation import Installation, wait_until


async def out_of(*words: str, **environ: str) -> str:
    """What the program prints; it must end with 0."""
    process = await asyncio.create_subprocess_exec(
        *words, env={"PATH": os.environ["PATH"], **environ}, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, words
    return said.decode()


async def test_curl_drives_it(
    tansu: Tansu, postgres_url: str, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(broker=tansu.address, database_url=postgres_url)
    async with Installation(settings, tmp_path / "data") as running:
        root = f"http://127.0.0.1:{running.settings.api_port}/api/v1"
        program = (sys.executable, "-m", "stream_detector", "token", "create", "--role", "operator", "--name", "ann")
        token = (await out_of(*program, **{PREFIX + "DATABASE_URL": postgres_url})).strip()

        async def curl(path: str, body: Any = None, status: int = 200) -> Any:
            words = ["curl", "-sS", "--compressed", "-H", f"Authorization: Bearer {token}", "-w", "\n%{http_code}"]
            if body is not None:
                words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
            text, _, code = (await out_of(*words, root + path)).rpartition("\n")
            assert int(code) == status, text
            return json.loads(text)

        assert '"status":401' in await out_of("curl", "-sS", f"{root}/ai/anomalies")
        end = datetime.now(UTC).replace(microsecond=0)
        events = [
            {
                "execution_id": f"run-{number}",
                "workflow_id": "nightly",
                "status": "failure",
                "started_at": (end - timedelta(minutes=4 - number)).isoformat(),
                "finished_at": (end - timedelta(minutes=3 - number)).isoformat(),
            }
            for number in range(3)
        ]
        assert (await curl("/events", events))["accepted"] == 3

        async def listed() -> Any:
            return (await curl("/ai/anomalies?type=ConsecutiveFailures"))["items"]

        (found,) = await wait_until(listed, "the streak is an anomaly")
        assert (found["entity_id"], found["severity"]) == ("nightly", "warning")
        assert [each["id"] for each in await curl("/ai/check-anomalies", {"workflow_execution_id": "run-2"})] == [
            found["id"]
        ]
        decision = {"kind": "acknowledge", "incident_ids": [found["incident_id"]], "comment": "on it"}
        assert (await curl("/actions", decision))["stored"] is True
        incident = await curl(f"/incidents/{found['incident_id']}")
        assert incident["acknowledged_by"] == "ann" and incident["actions"][0]["comment"] == "on it"
        told = await curl(f"/why?anomaly={found['id']}")
        assert told["sentences"][0].startswith("Execution run-2 of nightly ended")
        assert (await curl("/overview"))["swimlane"][0]["entity"] == "workflow:nightly"
        await curl("/nothing", status=404)
