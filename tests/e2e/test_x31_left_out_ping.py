"""X31: ten minutes as a new user: a job that pings is left out once, and what comes of it, as docs/ping.md has it."""

import json
import re
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.test_up import PROGRAM, Up, environ

PAGE = Path(__file__).parents[2] / "docs" / "ping.md"


def shown_rule() -> str:
    """The rule that the page sets."""
    (found,) = re.findall(r'^STREAM_DETECTOR_EXPECT_RULES="(.+?)"', PAGE.read_text("utf-8"), re.MULTILINE)
    return str(found)


def made_token(home: dict[str, str], *words: str) -> str:
    command = [*PROGRAM, "token", "create", *words]
    made = subprocess.run(command, env=environ() | home, capture_output=True, text=True, check=True)
    return made.stdout.split()[0]


def missed_runs(port: int, token: str) -> list[dict[str, str]]:
    url = f"http://127.0.0.1:{port}/api/v1/ai/anomalies?range=24h"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return [one for one in json.load(response)["items"] if one["detector"] == "missed_run"]


@pytest.mark.drill
def test_x31_a_job_that_is_left_out_once_is_reported_and_its_next_run_ends_that(open_folder: Path) -> None:
    home = {"XDG_DATA_HOME": str(open_folder)}
    running = Up(None, more={**home, "STREAM_DETECTOR_EXPECT_RULES": shown_rule()})
    try:
        running.wait_for("ready: ")
        key = made_token(home, "--role", "producer", "--workflow", "heartbeat")
        token = made_token(home, "--role", "viewer")

        def ping() -> None:
            url = f"http://127.0.0.1:{running.api_port}/ping/{key}"
            subprocess.run(["curl", "-fsS", "-m", "10", "--retry", "5", "-X", "POST", url], check=True)

        def state(wanted: str) -> dict[str, str]:
            until_s = time.monotonic() + 300
            while time.monotonic() < until_s:
                for one in missed_runs(running.api_port, token):
                    if one["state"] == wanted:
                        return one
                time.sleep(1)
            pytest.fail(f"no {wanted} missed run: {missed_runs(running.api_port, token)}")

        ping()
        opened = state("opened")
        assert (opened["entity_id"], opened["severity"]) == ("heartbeat", "warning")
        ping()
        ended = state("resolved")
        assert ended["incident_id"] == opened["incident_id"] and ended["end_reason"] == "recovered"
    finally:
        assert running.end() == 0
