"""Bitbucket Cloud: one completed pipeline, or one build status of a commit that is final, is one execution.

Sources: Bitbucket's REST API, "Pipelines" (`pipeline`, `pipeline_state_completed`, one or a page of them), and "Event
payloads", `repo:commit_status_created` and `repo:commit_status_updated`, which Bitbucket Pipelines and other CI systems
cause. Steps of a pipeline that are run again keep its `uuid`, so the event's id has the time of the end.
"""

import re

from stream_detector.events.completion import Status
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
from stream_detector.events.variant import MANUAL, PULL_REQUEST, SCHEDULE, TAG

STATUS: dict[str, Status] = {
    "SUCCESSFUL": "success",
    "FAILED": "failure",
    "ERROR": "error",
    "EXPIRED": "timeout",
    "STOPPED": "cancellation",
    "SKIPPED": "skip",
}
"""Bitbucket's result of a pipeline, or state of a build status -> our status."""

_EVENTS = ("repo:commit_status_updated", "repo:commit_status_created")
_ADVICE = "in the webhook's settings choose Build status updated, or send a pipeline as Bitbucket's REST API returns it"
_NOT_COMPLETED = "the pipeline has not completed"
_NUMBER = re.compile(r"\s*#\d+\b.*$", re.DOTALL)
"""`Pipeline #42 for main`: number and branch are those of one run."""


def read(payload: bytes) -> Reading:
    """What has ended; of another event why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    if "commit_status" in document.root:
        return _read_status(document)
    if isinstance(document.value("values"), list):
        return read_each(document.parts("values"), _read_pipeline, "none of the pipelines has completed")
    return _read_pipeline(document)


def _read_pipeline(document: Document) -> Reading:
    state = document.value("state.name")
    if state in ("IN_PROGRESS", "BUILDING"):
        return read_start(
            document.details,
            _NOT_COMPLETED,
            lambda: start(_about_pipeline(document), document.moment("created_on"), may_end_again=True),
        )
    if state in ("PENDING", "PAUSED", "HALTED"):
        return Reading(ignored=_NOT_COMPLETED)
    duration_s = document.seconds("duration_in_seconds")
    event = execution(
        **_about_pipeline(document),
        status=document.needed_status("state.result.name", STATUS),
        ended_at=document.needed_moment("completed_on"),
        started_at=None if duration_s else document.moment("created_on"),
        duration_s=duration_s,
        output=document.output("state.result.error.message"),
        may_end_again=True,
    )
    return Reading([event], "", document.details.left_out)


def _about_pipeline(document: Document) -> RunFields:
    repository, run = document.needed_text("repository.full_name"), document.needed_text("uuid")
    target = document.part("target")
    custom = target.text("selector.pattern") if target.value("selector.type") == "custom" else None
    is_tag, trigger = target.value("ref_type") == "tag", document.text("trigger.name")
    return RunFields(
        run=f"bitbucket:{run}",
        workflow=f"bitbucket:{repository}" + (f":{custom}" if custom else ""),
        name=custom or repository,
        labels={
            "repository": repository,
            "branch": target.text("source") or (None if is_tag else target.text("ref_name")),
            "tag": target.text("ref_name") if is_tag else None,
            "commit": target.text("commit.hash"),
            "trigger": trigger,
        },
        url=document.link("links.html.href"),
        variant=_variant(target, trigger, is_tag),
    )


def _variant(target: Document, trigger: str | None, is_tag: bool) -> str | None:
    if trigger == "SCHEDULE":
        return SCHEDULE
    if target.value("type") == "pipeline_pullrequest_target":
        return PULL_REQUEST
    return TAG if is_tag else MANUAL if trigger == "MANUAL" else None


def _read_status(document: Document) -> Reading:
    found = document.part("commit_status")
    if found.value("state") == "INPROGRESS":
        return read_start(
            document.details,
            "the build has not ended",
            lambda: start(_about_status(document, found), found.moment("created_on"), may_end_again=True),
        )
    event = execution(
        **_about_status(document, found),
        status=found.needed_status("state", STATUS),
        ended_at=found.needed_moment("updated_on"),
        started_at=found.moment("created_on"),
        output=found.output("description"),
        may_end_again=True,
    )
    return Reading([event], "", document.details.left_out)


def _about_status(document: Document, found: Document) -> RunFields:
    repository, key = document.needed_text("repository.full_name"), found.needed_text("key")
    commit = (found.text("links.commit.href") or "").rpartition("/")[2]
    name = _NUMBER.sub("", found.text("name") or "") or key
    return RunFields(
        run=f"bitbucket:{repository}:{commit}:{key}",
        workflow=f"bitbucket:{repository}:{name}",
        name=name,
        labels={"repository": repository, "branch": found.text("refname"), "commit": commit},
        url=found.link("url"),
        variant=None,
    )


def _recognises(fields: Fields) -> bool:
    if "commit_status" in fields:
        return "repository" in fields
    if "values" in fields:
        return "pagelen" in fields and b'"build_number"' in bytes(fields["values"])
    return literal(fields, "type") == "pipeline" and fields.keys() >= {"uuid", "build_number", "state"}


SOURCE: Source = Source(
    name="bitbucket",
    title="Bitbucket",
    recognises=_recognises,
    read=read,
    becomes="a build status of a commit that is final becomes an execution, and so does a completed pipeline of the "
    "REST API; both without steps",
    statuses=STATUS,
    places=Places(
        id="commit_status.key",
        workflow="commit_status.name",
        status="commit_status.state",
        started="commit_status.created_on",
        finished="commit_status.updated_on",
        branch="commit_status.refname",
        url="commit_status.url",
    ),
    needed=(
        "repository.full_name",
        "commit_status.key",
        "commit_status.state",
        "commit_status.updated_on",
        "commit_status.links",
    ),
    webhook=Webhook(
        setting="bitbucket_webhook_secret",
        verification=hmac_sha256(
            "X-Hub-Signature",
            advice="enter the value of STREAM_DETECTOR_BITBUCKET_WEBHOOK_SECRET as Secret in the webhook's settings",
        ),
        event_header="X-Event-Key",
        events=_EVENTS,
        description="Bitbucket Cloud's webhook: a build status that is final becomes an execution; any other delivery "
        "is acknowledged, and the message is why nothing was accepted.",
    ),
)
