"""The walk-throughs of CONTRIBUTING.md, followed on a copy: a type of anomaly, a channel and a source.

Each touches exactly the files that its section names, and what `make generate` writes. Then all three are taken through
`up` of the copy: a job of the new source is sent to its webhook, the detector finds the new type, the recorder stores
it, the notifier sends it on the new channel, and API and page show it.
"""

import hmac
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

import hatch_build
from tests.e2e.additions import ADDITIONS, Addition
from tests.e2e.additions.addition import contents, copy_of_the_checkout
from tests.e2e.test_up import Up, wait_until
from tests.generate import generated
from tests.servers.browser import a_page

SECRET = "a secret of the new source"


def generate(checkout: Path) -> None:
    """What `make generate` does, in the copy."""
    environ = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "tests.generate"]
    done = subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("addition", ADDITIONS, ids=lambda addition: addition.heading)
def test_it_touches_the_files_that_the_guide_names_and_what_is_generated(addition: Addition, tmp_path: Path) -> None:
    checkout = copy_of_the_checkout(tmp_path)
    before = contents(checkout)
    addition.add_to(checkout)
    generate(checkout)
    after = contents(checkout)
    touched = {path for path in after if after[path] != before.get(path)}
    named = {f"stream_detector/{path}" for path in addition.named}
    assert set(before) <= set(after)
    assert touched - set(generated()) == named
    assert len(named) <= addition.at_most


@pytest.fixture
def pages() -> Iterator[tuple[str, list[str]]]:
    """The address of the pager's server, and the texts that it was sent."""
    texts: list[str] = []

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Receive)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", texts
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def running(open_folder: Path, tmp_path: Path, pages: tuple[str, list[str]]) -> Iterator[Up]:
    """`up` of a copy with all three, its page built of the copy's sources."""
    checkout = copy_of_the_checkout(tmp_path)
    for addition in ADDITIONS:
        addition.add_to(checkout)
    generate(checkout)
    hatch_build.build(checkout)
    more = {
        "PYTHONPATH": str(checkout),
        "STREAM_DETECTOR_ACME_WEBHOOK_SECRET": SECRET,
        "STREAM_DETECTOR_PAGER_URL": pages[0],
    }
    up = Up(open_folder, more=more, cwd=checkout)
    up.wait_for("ready: ")
    yield up
    up.end()


def ask(running: Up, path: str, body: bytes | None = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://127.0.0.1:{running.api_port}{path}", body, named)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def deliver(running: Up, attempt: int, secret: str = SECRET) -> Any:
    """A finished job, as Acme would send it."""
    ended = datetime.now(UTC)  # what ended more than a day ago has no message of its own
    began = ended - timedelta(seconds=30)
    job = {"acme_job": "nightly", "run": 1, "attempt": attempt, "ok": True}
    job |= {"began": began.isoformat(), "ended": ended.isoformat()}
    body = json.dumps(job).encode()
    signature = hmac.new(secret.encode(), body, sha256).hexdigest()
    headers = {"Content_Type": "application/json", "X_Acme_Event": "job", "X_Acme_Signature": f"sha256={signature}"}
    return ask(running, "/api/v1/webhooks/acme", body, **headers)


@pytest.mark.browser
async def test_all_three_work_in_every_role_and_on_the_page(
    running: Up, open_folder: Path, pages: tuple[str, list[str]]
) -> None:
    token = json.loads((open_folder / "running.json").read_text("utf-8"))["api_token"]

    def api(path: str) -> Any:
        return ask(running, f"/api/v1{path}", Authorization=f"Bearer {token}")

    with pytest.raises(urllib.error.HTTPError, match="401"):
        deliver(running, 1, secret="another")
    assert [deliver(running, attempt)["topics"] for attempt in (1, 2, 3)] == [{"workflow-completions": 1}] * 3
    wait_until(lambda: api("/ai/anomalies?hours=87600")["items"] and api("/inbox")["items"] and pages[1])
    (found,) = api("/ai/anomalies?hours=87600&type=RetriedOften")["items"]
    assert (found["entity_id"], found["severity"], found["state"]) == ("acme:nightly", "warning", "opened")
    assert "Retried often" in pages[1][0] and "Retried often" in api("/inbox")["items"][0]["title"]
    incident = f"/incidents/{found['incident_id']}"
    wait_until(lambda: {each["channel"] for each in api(incident)["notifications"]} >= {"inbox", "pager"})
    assert api(f"/why?anomaly={found['id']}")["sentences"]
    assert "/api/v1/webhooks/acme" in api("/openapi.json")["paths"]
    async with a_page(signed_in=False) as page:  # the browser of this machine is signed in by itself
        await page.goto(f"http://127.0.0.1:{running.api_port}/anomalies/{found['id']}")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("acme:nightly")
        await expect(page.locator("main")).to_contain_text("Retried often")
