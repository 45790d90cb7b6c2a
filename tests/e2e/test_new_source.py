"""A new source is one file, its entry in the table and its secret setting: with these three it works everywhere."""

import hmac
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_up import Up

PACKAGE = Path(__file__).parents[2] / "stream_detector"
SECRET = "a secret of the new source"
FORMAT = '''"""Acme's webhook: one finished job is one execution."""

import hmac
from datetime import datetime
from hashlib import sha256

import msgspec

from stream_detector.events.completion import Completion
from stream_detector.events.reasons import refusal_for
from stream_detector.events.sources.source import Source, Webhook, has_fields


class _Job(msgspec.Struct):
    acme_job: str
    run: int
    ok: bool
    began: datetime
    ended: datetime


def read(payload: bytes) -> list[Completion]:
    """The job's execution. Raises `RefusedError`."""
    try:
        job = msgspec.json.decode(payload, type=_Job)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refusal_for(error, payload) from None
    return [
        Completion(
            execution_id=f"acme:{job.run}",
            workflow_id=f"acme:{job.acme_job}",
            status="success" if job.ok else "failure",
            started_at=job.began,
            finished_at=job.ended,
        )
    ]


def is_authentic(secret: str, given: str, body: bytes) -> bool:
    """Whether the header is the body's HMAC-SHA256."""
    expected = hmac.new(secret.encode(), body, sha256).hexdigest()
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


SOURCE = Source(
    name="acme",
    title="Acme",
    recognises=has_fields("acme_job", "run"),
    read=read,
    becomes="a finished job becomes an execution",
    webhook=Webhook(
        setting="acme_webhook_secret",
        signature_header="X-Acme-Signature",
        is_authentic=is_authentic,
        event_header=("X-Acme-Event", "job"),
        description="Acme's webhook: a finished job becomes an execution.",
    ),
)
'''
CHANGES = {
    "events/sources/__init__.py": (
        ("import cloudevents, confluent, github, gitlab", "import acme, cloudevents, confluent, github, gitlab"),
        ("(github.SOURCE, gitlab.SOURCE)", "(github.SOURCE, gitlab.SOURCE, acme.SOURCE)"),
    ),
    "settings.py": (
        (
            "    gitlab_webhook_token: str = ",
            '    acme_webhook_secret: str = setting("", _text, "/api/v1/webhooks/acme", secret=True, group="API")\n'
            "    gitlab_webhook_token: str = ",
        ),
    ),
}
"""What is changed beside the new file `events/sources/acme.py`: file -> (text, what stands there instead)."""


@pytest.fixture
def running(open_folder: Path, tmp_path: Path) -> Iterator[Up]:
    """`up` of a copy of the package that has the source."""
    copy = tmp_path / "stream_detector"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    (copy / "events" / "sources" / "acme.py").write_text(FORMAT, "utf-8")
    for name, replacements in CHANGES.items():
        text = (copy / name).read_text("utf-8")
        for old, new in replacements:
            assert text.count(old) == 1, f"{name}: {old}"
            text = text.replace(old, new)
        (copy / name).write_text(text, "utf-8")
    more = {"PYTHONPATH": str(tmp_path), "STREAM_DETECTOR_ACME_WEBHOOK_SECRET": SECRET}
    up = Up(open_folder, more=more, cwd=tmp_path)
    up.wait_for("ready: ")
    yield up
    up.end()


def test_a_new_source_goes_the_whole_way_from_its_webhook_to_the_dashboard(running: Up, open_folder: Path) -> None:
    token = json.loads((open_folder / "running.json").read_text("utf-8"))["api_token"]

    def ask(path: str, body: bytes | None = None, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://127.0.0.1:{running.api_port}{path}", body, named)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def api(path: str) -> Any:
        return json.loads(ask(f"/api/v1{path}", Authorization=f"Bearer {token}"))

    def deliver(run: int, secret: str = SECRET) -> Any:
        at = f"2026-01-22T00:{run:02}"
        job = {"acme_job": "nightly", "run": run, "ok": False, "began": f"{at}:00Z", "ended": f"{at}:30Z"}
        body = json.dumps(job).encode()
        signature = hmac.new(secret.encode(), body, sha256).hexdigest()
        headers = {"Content_Type": "application/json", "X_Acme_Event": "job", "X_Acme_Signature": signature}
        return json.loads(ask("/api/v1/webhooks/acme", body, **headers))

    with pytest.raises(urllib.error.HTTPError, match="401"):
        deliver(0, secret="another")
    assert [deliver(run)["topics"] for run in (1, 2, 3)] == [{"workflow-completions": 1}] * 3
    deadline_s = time.monotonic() + 60
    while not (found := api("/ai/anomalies?hours=87600")["items"]) or not api("/inbox")["items"]:
        assert time.monotonic() < deadline_s, running.said
        time.sleep(0.1)
    assert {(each["anomaly_type"], each["entity_id"]) for each in found} == {("ConsecutiveFailures", "acme:nightly")}
    assert "acme:nightly" in api("/inbox")["items"][0]["title"]
    assert api(f"/why?anomaly={found[0]['id']}")["sentences"]
    assert "/api/v1/webhooks/acme" in api("/openapi.json")["paths"]
    assert b"<html" in ask("/anomalies", Accept="text/html").lower()
