"""X3: a part that is dead or hangs is said by `/health`, `doctor` and `up` within 15 s, and `up` starts it again."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stream_detector.devstack.folder import RUNNING
from tests.e2e.test_up import PROGRAM, Up, environ
from tests.servers.installation import get

WITHIN_S = 90.0
"""Patience. On an idle machine each takes at most the 15 s that are promised; beside other tests it may take longer."""

TRIES = 5
"""So often an answer that does not come within the timeout of `get` is asked for."""


class Watched:
    """A running `up`, what it says, and what its parts answer."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.up, self.folder = Up(folder, *words), folder
        self.up.wait_for("ready: ")
        threading.Thread(target=self._read, daemon=True).start()
        running = json.loads((folder / RUNNING).read_text("utf-8"))
        self.token = running["api_token"]
        self.probes = dict(pair.split("=") for pair in running["probe_urls"].split(","))

    def _read(self) -> None:
        assert self.up.process.stderr is not None
        for line in self.up.process.stderr:
            self.up.said += line

    def health(self) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.up.api_port}/api/v1/health"
        for _ in range(TRIES):  # a busy machine
            status, text = get(url, token=self.token)
            if status:
                break
        assert status == 200, "the API answers whatever is away"
        found: dict[str, Any] = json.loads(text)
        return found

    def state(self, part: str) -> str:
        return next(each["state"] for each in self.health()["parts"] if each["name"] == part)

    def ready(self, role: str) -> int:
        return get(f"{self.probes[role]}/readyz")[0]

    def is_well(self) -> bool:
        return self.health()["status"] == "ok"

    def doctor(self) -> dict[str, dict[str, Any]]:
        """By the name of the check; it finds the running `up` by itself."""
        more = {"STREAM_DETECTOR_DATA_DIR": str(self.folder)}
        done = subprocess.run([*PROGRAM, "doctor", "--json"], env=environ() | more, capture_output=True, text=True)
        return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}

    def pids(self, word: str) -> list[int]:
        return [pid for pid, title in self.up.children().items() if word in title]

    @contextmanager
    def stopped(self, word: str) -> Iterator[None]:
        """SIGSTOP: connections stay open, and nobody answers."""
        pids = [*self.pids(word)]
        for pid in [*pids]:
            pids += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def within(condition: Callable[[], bool], what: Callable[[], Any]) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline_s, what()
        time.sleep(0.2)


@pytest.fixture(
    params=[
        pytest.param((), id="embedded"),
        pytest.param(("--broker", "apache"), id="apache", marks=[pytest.mark.apache, pytest.mark.drill]),
    ]
)
def watched(request: pytest.FixtureRequest, open_folder: Path) -> Iterator[Watched]:
    started = Watched(open_folder, *request.param)
    yield started
    if started.up.process.poll() is None:
        started.up.process.kill()
        started.up.process.wait(10)


def test_x3_what_hangs_or_dies_is_said_and_started_again(watched: Watched) -> None:
    within(watched.is_well, watched.health)
    a_role_that_hangs(watched)
    a_broker_that_hangs(watched)
    a_database_that_hangs(watched)
    a_broker_that_dies(watched)
    a_database_that_dies(watched)
    watched.up.process.send_signal(signal.SIGINT)
    assert watched.up.process.wait(30) == 0


def a_role_that_hangs(watched: Watched) -> None:
    with watched.stopped("notifier"):
        within(lambda: watched.state("notifier") == "away", watched.health)
        within(lambda: "The notifier does not answer" in watched.up.said, lambda: watched.up.said)
        found = watched.doctor()
        assert not found["notifier"]["ok"] and found["recorder"]["ok"], found
    within(watched.is_well, watched.health)
    within(lambda: "The notifier is ok again" in watched.up.said, lambda: watched.up.said)


def a_broker_that_hangs(watched: Watched) -> None:
    broker = "tansu" if not watched.pids("java") else "java"
    with watched.stopped(broker):
        within(lambda: watched.health()["broker"] == "away" and watched.state("kafka") == "away", watched.health)
        within(lambda: "Kafka does not answer" in watched.up.said, lambda: watched.up.said)
        within(lambda: {watched.ready(role) for role in watched.probes} == {503}, watched.health)
    within(watched.is_well, watched.health)
    within(lambda: {watched.ready(role) for role in watched.probes} == {200}, watched.health)


def a_database_that_hangs(watched: Watched) -> None:
    with watched.stopped("postgres"):
        within(lambda: watched.health()["database"] == "away", watched.health)
        within(lambda: watched.ready("recorder") == 503, watched.health)
        assert (watched.ready("detector"), watched.ready("notifier")) == (200, 200)
        within(lambda: "PostgreSQL does not answer" in watched.up.said, lambda: watched.up.said)
    within(watched.is_well, watched.health)


def a_broker_that_dies(watched: Watched) -> None:
    (pid,) = watched.pids("tansu") or watched.pids("java")
    os.kill(pid, signal.SIGKILL)
    within(lambda: "exited with code -9, restarting in 0.5 s" in watched.up.said, lambda: watched.up.said)
    within(lambda: not watched.is_well(), watched.health)
    # Kafka takes a broker that was killed for two until the session of the former one has ended.
    within(watched.is_well, watched.health)
    within(lambda: {watched.ready(role) for role in watched.probes} == {200}, watched.health)
    event = {
        "execution_id": "after",
        "workflow_id": "nightly",
        "status": "success",
        "finished_at": "2026-01-22T00:05:00Z",
        "started_at": "2026-01-22T00:00:00Z",
    }
    api = f"http://127.0.0.1:{watched.up.api_port}/api/v1"
    assert get(f"{api}/events", event, token=watched.token)[0] in (200, 202)
    within(lambda: get(f"{api}/executions?workflow=nightly", token=watched.token)[1].count("after") > 0, watched.health)


def a_database_that_dies(watched: Watched) -> None:
    (pid,) = watched.pids("postgres")
    os.kill(pid, signal.SIGKILL)
    within(lambda: "the embedded database exited with code -9" in watched.up.said, lambda: watched.up.said)
    within(watched.is_well, watched.health)
