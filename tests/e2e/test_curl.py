"""The API as a person at a terminal drives it, with real curl: as the README shows it, and further."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stream_detector.devstack.tansu import Tansu
from stream_detector.settings import PREFIX, Settings
from tests.e2e.test_up import PROGRAM, Up, environ
from tests.servers.installation import Installation, wait_until

README = Path(__file__).parents[2] / "README.md"
BIN = Path(sys.executable).parent


def as_the_readme_shows_it(port: int) -> str:
    """Its block of curl as a script, each response on a line of its own."""
    (block,) = re.findall(r"```sh\n(API=.*?)```", README.read_text("utf-8"), re.DOTALL)
    lines = block.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace(".venv/bin/", f"{BIN}/").splitlines()
    assert sum(line.startswith("curl ") for line in lines) >= 4
    return "set -eu\n" + "\n".join(f"{line}; echo" if line.startswith("curl ") else line for line in lines)


def test_what_the_readme_shows_works_as_written_under_up(open_folder: Path) -> None:
    """W54: no part of it by hand."""
    home = {"XDG_DATA_HOME": str(open_folder)}
    running = Up(None, more=home)
    try:
        running.wait_for("ready: ")
        link = running.wait_for("sign in: ").split()[2]
        assert "token create" in running.wait_for("token for programs")
        root = f"http://127.0.0.1:{running.api_port}"
        for path in ("/api/v1/ai/anomalies", "/api/v1/health", "/api/v1/session", "/api/v1/openapi.json"):
            refused = subprocess.run(["curl", "-sS", root + path], capture_output=True, text=True)
            assert json.loads(refused.stdout)["status"] == 401
        page = subprocess.run(
            ["curl", "-sSi", "-H", "Accept: text/html", f"{root}/anomalies"], capture_output=True, text=True
        )
        assert "stream_detector_session" in page.stdout and link.startswith(f"{root}/open/")
        done = subprocess.run(
            ["bash", "-c", as_the_readme_shows_it(running.api_port)],
            env=environ() | home, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        sent, checked, listed, why = [json.loads(line) for line in done.stdout.splitlines() if line]
        assert sent["accepted"] == 3 and [each["anomaly_type"] for each in checked] == ["ConsecutiveFailures"]
        assert [each["id"] for each in listed["items"]] == [checked[0]["id"]] and listed["next"] is None
        assert why["subject"].startswith("Execution run-3 of nightly-import") and len(why["anomalies"]) == 1
        for words, code in ((["check", "run-3"], 1), (["anomalies", "--hours", "720"], 0), (["why", "run-3"], 0)):
            said = subprocess.run([*PROGRAM, *words], env=environ() | home, capture_output=True, text=True)
            assert (said.returncode, said.stderr) == (code, "") and "failed 3 times in a row" in said.stdout
        kept = open_folder / "stream-detector"
        assert {(kept / name).stat().st_mode & 0o777 for name in ("api-token", "running.json")} == {0o600}
    finally:
        assert running.end() == 0


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
