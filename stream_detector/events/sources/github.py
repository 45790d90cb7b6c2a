"""GitHub's webhook `workflow_run`: one completed run of a workflow is one execution.

Source: GitHub's "Webhook events and payloads", `workflow_run`. The duration is `updated_at - run_started_at`, which is
what GitHub's own page shows; id and `run_attempt` together are the event's id, so a delivery that is sent again counts
once and a run that is started again counts separately.
"""

import hmac
import re
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from stream_detector.events.completion import Completion, Status
from stream_detector.events.fields import Instant
from stream_detector.events.reasons import refusal_for
from stream_detector.events.refused import RefusedError
from stream_detector.events.sources.source import Source, Webhook, has_fields

STATUS: dict[str, Status] = {
    "success": "success",
    "neutral": "success",
    "failure": "failure",
    "action_required": "failure",
    "timed_out": "timeout",
    "startup_failure": "error",
    "cancelled": "cancellation",
    "stale": "cancellation",
    "skipped": "skip",
}
"""GitHub's conclusion -> our status."""


class _Run(Struct):
    id: int
    run_started_at: Instant
    updated_at: Instant
    conclusion: str | None = None
    name: str | None = None
    path: str = ""
    run_attempt: int = 1
    html_url: str | None = None
    head_branch: str | None = None
    head_sha: str | None = None
    event: str | None = None


class _Repository(Struct):
    full_name: str


class _Delivery(Struct):
    action: str
    workflow_run: _Run
    repository: _Repository


_decode = msgspec.json.Decoder(_Delivery).decode


def read(payload: bytes) -> list[Completion]:
    """The execution that ended; none of a run that is requested or in progress. Raises `RefusedError`."""
    try:
        delivery = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal_for(error, payload) from None
    run = delivery.workflow_run
    if delivery.action != "completed":
        return []
    if run.conclusion not in STATUS:
        raise RefusedError("validate", "unknown_value", "$.workflow_run.conclusion: not a value that GitHub documents")
    path = run.path.partition("@")[0] or run.name or "workflow"
    labels: dict[str, Any] = {
        "repository": delivery.repository.full_name,
        "branch": run.head_branch,
        "commit": run.head_sha,
        "trigger": run.event,
    }
    event = Completion(
        execution_id=f"github:{run.id}",
        workflow_id=f"github:{delivery.repository.full_name}:{path}",
        workflow_name=run.name or path,
        status=STATUS[run.conclusion],
        started_at=run.run_started_at,
        finished_at=run.updated_at,
        duration_s=max(0.0, (run.updated_at - run.run_started_at).total_seconds()),
        attempt=run.run_attempt,
        labels={name: value for name, value in labels.items() if value},
        url=run.html_url,
    )
    return [event]


_SIGNATURE = re.compile("sha256=[0-9a-f]{64}")


def may_be_authentic(_: str, given: str) -> bool:
    """Whether the header has the form of a signature; what it signs is the body."""
    return _SIGNATURE.fullmatch(given) is not None


def is_authentic(secret: str, given: str, body: bytes) -> bool:
    """Whether the header is the body's HMAC-SHA256 under the secret, as GitHub signs its deliveries."""
    expected = "sha256=" + hmac.new(secret.encode(), body, sha256).hexdigest()
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


SOURCE = Source(
    name="github",
    title="GitHub Actions",
    recognises=has_fields("action", "workflow_run", "repository"),
    read=read,
    becomes="a completed `workflow_run` becomes an execution; the payload has no jobs, so the execution has no steps",
    webhook=Webhook(
        setting="github_webhook_secret",
        signature_header="X-Hub-Signature-256",
        may_be_authentic=may_be_authentic,
        is_authentic=is_authentic,
        event_header=("X-GitHub-Event", "workflow_run"),
        description="GitHub's webhook: a completed `workflow_run` becomes an execution; any other delivery is "
        "acknowledged.",
    ),
)
