"""CircleCI: one completed workflow is one execution, from the outbound webhook `workflow-completed` or the API v2.

Source: CircleCI's "Outbound webhooks" and "Outbound webhooks reference"; API v2, "Get a pipeline's workflows", whose
workflow may have its pipeline, as "Get a pipeline by ID" returns it, in a member `pipeline`: `import` puts it there.
The API shortens the project's slug (`gh/acme/shop`) that webhooks write out (`github/acme/shop`).
The duration is `stopped_at - created_at`, in milliseconds, so it includes the wait for a machine. A rerun is a new
workflow with an id of its own; the payload does not connect the two. `job-completed` is acknowledged and ignored.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from stream_detector.events.completion import Status
from stream_detector.events.sources.details import url_parts
from stream_detector.events.sources.document import (
    Document,
    RunFields,
    execution,
    literal,
    read_document,
    read_each,
    read_start,
    start,
)
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

_NOT_ENDED = Reading(ignored="the workflow has not ended")
_UNFINISHED = ("running", "on_hold", "failing")
_SCHEDULED = ("schedule", "scheduled_pipeline")
_HOOK = "in the project's settings, Webhooks, choose Workflow Completed"
_ADVICE = f"{_HOOK}, or send workflows as the API v2 returns them for a pipeline"
_SHORT = {"gh": "github", "bb": "bitbucket"}
_OF_API = re.compile(rb'^\[\s*(?:\]|\{.*?"project_slug"\s*:)', re.DOTALL)
"""A list of workflows, or of pipelines, which is refused with what to send; the last page may be empty."""


def read(payload: bytes) -> Reading:
    """The workflow that has ended; of another event why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    if isinstance(document.value("items"), list):
        return read_each(document.parts("items"), _read_of_api, "none of the workflows has ended")
    if _is_of_api(document.root):
        return _read_of_api(document)
    if document.needed_text("type") != "workflow-completed":
        return Reading(ignored=f"only workflow-completed is read; {_HOOK}")
    if document.value("workflow.status") in _UNFINISHED:
        return _NOT_ENDED
    project = _written_out(document.text("project.slug") or document.needed_text("project.id"))
    workflow = document.part("workflow")
    return _read_workflow(document, workflow, project, lambda: document.needed_moment("happened_at"))


def _read_of_api(workflow: Document) -> Reading:
    if workflow.value("status") in ("running", "failing"):
        return read_start(
            workflow.details,
            _NOT_ENDED.ignored,
            lambda: start(_about(workflow, workflow, _project_of_api(workflow)), workflow.moment("created_at")),
        )
    if workflow.value("status") in _UNFINISHED:
        return _NOT_ENDED
    project = _project_of_api(workflow)
    return _read_workflow(workflow, workflow, project, lambda: workflow.needed_moment("stopped_at"))


def _project_of_api(workflow: Document) -> str:
    return _written_out(workflow.needed_text("project_slug"))


def _written_out(slug: str) -> str:
    """One name for a project, whichever of the two a payload has."""
    service, slash, rest = slug.partition("/")
    return f"{_SHORT.get(service, service)}{slash}{rest}" if slash else slug


def _read_workflow(
    document: Document, workflow: Document, project: str, otherwise_ended_at: Callable[[], datetime]
) -> Reading:
    """Args: `document` is what holds the pipeline; `otherwise_ended_at` is asked where `stopped_at` cannot be read."""
    event = execution(
        **_about(document, workflow, project),
        status=workflow.needed_status("status", STATUS),
        ended_at=workflow.moment("stopped_at") or otherwise_ended_at(),
        started_at=workflow.moment("created_at"),
    )
    return Reading([event], "", document.details.left_out)


def _about(document: Document, workflow: Document, project: str) -> RunFields:
    name, run = workflow.needed_text("name"), workflow.needed_text("id")
    git = document.part("pipeline.vcs")
    git = git if git.root else document.part("pipeline.trigger_parameters.git")
    tag, branch, fork = git.text("tag"), git.text("branch"), _fork(git)
    trigger = document.text("pipeline.trigger.type")
    return RunFields(
        run=f"circleci:{run}",
        workflow=f"circleci:{project}:{name}",
        name=name,
        labels={
            "repository": _repository(git) or project,
            "branch": None if tag else f"{fork}:{branch}" if fork and branch else branch,
            "tag": tag,
            "commit": git.text("revision") or git.text("checkout_sha"),
            "trigger": trigger,
        },
        url=workflow.link("url"),
        variant=SCHEDULE if trigger in _SCHEDULED else TAG if tag else PULL_REQUEST if fork else None,
    )


def _repository(git: Document) -> str | None:
    path = url_parts(git.text("target_repository_url") or "").path
    return path.strip("/").removesuffix(".git") or None


def _fork(git: Document) -> str | None:
    """The owner of the repository that a commit comes from, where it is not the one that is built."""
    origin, target = git.text("origin_repository_url"), git.text("target_repository_url")
    if not origin or not target or origin == target:
        return None
    return origin.rstrip("/").rpartition("/")[0].rpartition("/")[2] or None


def _is_of_api(fields: Mapping[str, object]) -> bool:
    return "type" not in fields and fields.keys() >= {"id", "pipeline_id", "project_slug", "status"}


def _recognises(fields: Fields) -> bool:
    if "items" in fields:
        return "next_page_token" in fields and _OF_API.search(bytes(fields["items"])) is not None
    if _is_of_api(fields):
        return True
    kind = literal(fields, "type")
    return kind in ("workflow-completed", "job-completed") and fields.keys() >= {"workflow", "pipeline", "happened_at"}


SOURCE: Source = Source(
    name="circleci",
    title="CircleCI",
    recognises=_recognises,
    read=read,
    becomes="`workflow-completed`, a workflow or a list of workflows of the API v2 becomes an execution without steps; "
    "a rerun is another one; `job-completed` is ignored",
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
