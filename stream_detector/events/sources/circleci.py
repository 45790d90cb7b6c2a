"""CircleCI's outbound webhook `workflow-completed`: one completed workflow is one execution.

Source: CircleCI's "Outbound webhooks" and "Outbound webhooks reference", and for the statuses of a workflow its API v2.
The duration is `stopped_at - created_at`, in milliseconds, so it includes the wait for a machine. A rerun is a new
workflow with an id of its own; the payload does not connect the two. `job-completed` is acknowledged and ignored.
"""

import re

from stream_detector.events.completion import Status
from stream_detector.events.sources.details import url_parts
from stream_detector.events.sources.document import Document, execution, literal, read_document
from stream_detector.events.sources.source import Fields, Places, Reading, Source, Webhook
from stream_detector.events.sources.verification import hmac_sha256
from stream_detector.events.variant import PULL_REQUEST, SCHEDULE, TAG

STATUS: dict[str, Status] = {
    "success": "success",
    "failed": "failure",
    "error": "error",
    "canceled": "cancellation",
    "unauthorized": "skip",
    "not_run": "skip",
}
"""CircleCI's status of a workflow that has ended -> our status. What is unauthorized was not run."""

_UNFINISHED = ("running", "on_hold", "failing")
_SCHEDULED = ("schedule", "scheduled_pipeline")
_ADVICE = "in the project's settings, Webhooks, choose Workflow Completed"


def read(payload: bytes) -> Reading:
    """The workflow that has ended; of another event why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    if document.needed_text("type") != "workflow-completed":
        return Reading(ignored=f"only workflow-completed is read; {_ADVICE}")
    if document.value("workflow.status") in _UNFINISHED:
        return Reading(ignored="the workflow has not ended")
    name = document.needed_text("workflow.name")
    run = document.needed_text("workflow.id")
    project = document.text("project.slug") or document.needed_text("project.id")
    git = document.part("pipeline.vcs")
    git = git if git.root else document.part("pipeline.trigger_parameters.git")
    tag, branch, fork = git.text("tag"), git.text("branch"), _fork(git)
    trigger = document.text("pipeline.trigger.type")
    event = execution(
        run=f"circleci:{run}",
        workflow=f"circleci:{project}:{name}",
        name=name,
        status=document.needed_status("workflow.status", STATUS),
        ended_at=document.moment("workflow.stopped_at") or document.needed_moment("happened_at"),
        started_at=document.moment("workflow.created_at"),
        labels={
            "repository": _repository(git) or project,
            "branch": None if tag else f"{fork}:{branch}" if fork and branch else branch,
            "tag": tag,
            "commit": git.text("revision") or git.text("checkout_sha"),
            "trigger": trigger,
        },
        url=document.link("workflow.url"),
        variant=SCHEDULE if trigger in _SCHEDULED else TAG if tag else PULL_REQUEST if fork else None,
    )
    return Reading([event], "", document.details.left_out)


def _repository(git: Document) -> str | None:
    path = url_parts(git.text("target_repository_url") or "").path
    return path.strip("/").removesuffix(".git") or None


def _fork(git: Document) -> str | None:
    """The owner of the repository that a commit comes from, where it is not the one that is built."""
    origin, target = git.text("origin_repository_url"), git.text("target_repository_url")
    if not origin or not target or origin == target:
        return None
    return origin.rstrip("/").rpartition("/")[0].rpartition("/")[2] or None


def _recognises(fields: Fields) -> bool:
    kind = literal(fields, "type")
    return kind in ("workflow-completed", "job-completed") and fields.keys() >= {"workflow", "pipeline", "happened_at"}


SOURCE: Source = Source(
    name="circleci",
    title="CircleCI",
    recognises=_recognises,
    read=read,
    becomes="`workflow-completed` becomes an execution without steps; a rerun is another one; `job-completed` is "
    "ignored",
    statuses=STATUS,
    places=Places(
        id="workflow.id",
        workflow="workflow.name",
        status="workflow.status",
        started="workflow.created_at",
        finished="workflow.stopped_at",
        branch="pipeline.vcs.branch",
        url="workflow.url",
    ),
    needed=("type", "workflow.id", "workflow.name", "workflow.status", "project.slug"),
    webhook=Webhook(
        setting="circleci_webhook_secret",
        verification=hmac_sha256(
            "circleci-signature",
            re.compile(r"(?:[^,]*,)*?v1=(?P<signature>[0-9a-f]{64})(?:,.*)?"),
            advice="enter STREAM_DETECTOR_CIRCLECI_WEBHOOK_SECRET as Secret token in the webhook's settings",
        ),
        event_header="circleci-event-type",
        events=("workflow-completed",),
        description="CircleCI's outbound webhook: `workflow-completed` becomes an execution; any other delivery is "
        "acknowledged, and the message is why nothing was accepted.",
    ),
)
