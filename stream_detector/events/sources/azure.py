"""Azure DevOps: one completed run of a pipeline is one execution, from the service hook or the Build REST API.

Sources: Microsoft's "Service hook events", build completed, whose resource version 1.0 has the result in `status` and
2.0 in `result`; and "Builds - List" with `Build`, `BuildResult`, `BuildReason` of the REST API, whose build is the
resource of the hook. Times have seven decimals of a second.

The id is that of the build and the time of its end: failed stages that are run again keep the build's id and end again,
while a delivery that is sent again has both the same.
"""

import re
from collections.abc import Mapping

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
from stream_detector.events.sources.verification import authorization
from stream_detector.events.start import Start
from stream_detector.events.variant import BRANCH, DEFAULT_BRANCH, MANUAL, PULL_REQUEST, SCHEDULE, TAG

STATUS: dict[str, Status] = {
    "succeeded": "success",
    "partiallySucceeded": "failure",
    "failed": "failure",
    "canceled": "cancellation",
    "stopped": "cancellation",
    "none": "skip",
}
"""Azure's result -> our status. Of a partial success a step has failed; `stopped` is the name of `canceled` in 1.0."""

_NOT_ENDED = "the run has not ended"
_UNFINISHED = ("inProgress", "notStarted", "postponed", "cancelling")
_VARIANTS = {
    "schedule": SCHEDULE,
    "scheduleForced": SCHEDULE,
    "pullRequest": PULL_REQUEST,
    "manual": MANUAL,
    "userCreated": MANUAL,
}
_ORGANISATION = re.compile(r"https://(?:dev\.azure\.com/([^/]+)|([^./]+)\.visualstudio\.com)(?:/|$)")
_HOOK = "in the project's settings, Service hooks, choose the trigger Build completed"
_ADVICE = f"{_HOOK}, or send builds as _apis/build/builds returns them"
_BUILDS = re.compile(rb'^\[\s*(?:\]|\{.*?"buildNumber"\s*:)', re.DOTALL)
_TAGS, _HEADS, _PULLS = "refs/tags/", "refs/heads/", "refs/pull/"


def read(payload: bytes) -> Reading:
    """The run that has ended; of another event why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    if isinstance(document.value("value"), list):
        return read_each(document.parts("value"), lambda build: _read_build(build, build), "none of the runs has ended")
    if _is_build(document.root):
        return _read_build(document, document)
    if document.needed_text("eventType") != "build.complete":
        return Reading(ignored=f"only build.complete is read; {_HOOK}")
    return _read_build(document, document.part("resource"))


def _read_build(document: Document, build: Document) -> Reading:
    if build.value("status") == "inProgress":
        return read_start(document.details, _NOT_ENDED, lambda: _start(document, build))
    if build.value("status") in _UNFINISHED:
        return Reading(ignored=_NOT_ENDED)
    version_1 = build.value("result") is None and build.value("status") != "completed"
    event = execution(
        **_about(document, build),
        status=build.needed_status("status" if version_1 else "result", STATUS),
        ended_at=build.needed_moment("finishTime"),
        started_at=build.moment("startTime"),
        output=document.output("message.text") or document.output("detailedMessage.text"),
        may_end_again=True,
    )
    return Reading([event], "", document.details.left_out)


def _about(document: Document, build: Document) -> RunFields:
    name = build.needed_text("definition.name")
    number = build.needed_number("id")
    scope = _scope(document, build)
    folder = (build.text("definition.path") or "").replace("\\", "/").strip("/")
    ref, reason = build.text("sourceBranch") or "", build.text("reason") or ""
    return RunFields(
        run=f"azure:{scope}{number}",
        workflow=f"azure:{scope}{folder + '/' if folder else ''}{name}",
        name=name,
        labels={
            "repository": build.text("repository.name"),
            "branch": None if ref.startswith(_TAGS) else ref.removeprefix(_HEADS),
            "tag": ref.removeprefix(_TAGS) if ref.startswith(_TAGS) else None,
            "commit": build.text("sourceVersion"),
            "trigger": reason,
        },
        url=build.link("_links.web.href"),
        variant=_variant(build, ref, reason),
    )


def _start(document: Document, build: Document) -> Start | None:
    about = _about(document, build)
    return start(about, build.moment("startTime"), build.moment("queueTime"), may_end_again=True)


def _scope(document: Document, build: Document) -> str:
    """Organisation and project, as far as the payload has them: a build's number is unique within the first alone."""
    urls = (build.text("url"), document.text("resourceContainers.project.baseUrl"))
    found = [match for match in map(_ORGANISATION.match, (url or "" for url in urls)) if match]
    organisation = found[0].group(1) or found[0].group(2) if found else None
    project = build.text("project.name") or build.text("definition.project.name")
    project = project or document.text("resourceContainers.project.id")
    return "".join(f"{each}/" for each in (organisation, project) if each)


def _variant(build: Document, ref: str, reason: str) -> str | None:
    if reason in _VARIANTS:
        return _VARIANTS[reason]
    if ref.startswith((_TAGS, _PULLS)):
        return TAG if ref.startswith(_TAGS) else PULL_REQUEST
    default = build.text("repository.defaultBranch")
    if not default or not ref.startswith(_HEADS):
        return None
    return DEFAULT_BRANCH if ref.removeprefix(_HEADS) == default.removeprefix(_HEADS) else BRANCH


def _is_build(fields: Mapping[str, object]) -> bool:
    return "eventType" not in fields and fields.keys() >= {"id", "buildNumber", "definition"}


def _recognises(fields: Fields) -> bool:
    if "value" in fields:
        return "count" in fields and _BUILDS.search(bytes(fields["value"])) is not None
    if _is_build(fields):
        return True
    # Every service hook has a publisher, those of pipelines, code and work items, too.
    return "resource" in fields and (
        literal(fields, "eventType").startswith("build.") or fields.keys() >= {"eventType", "publisherId"}
    )


SOURCE: Source = Source(
    name="azure",
    title="Azure DevOps",
    recognises=_recognises,
    read=read,
    becomes="`build.complete`, a build or a list of builds of the REST API becomes an execution without steps; stages "
    "that are run again make another one",
    statuses=STATUS,
    places=Places(
        id="resource.id",
        workflow="resource.definition.name",
        status="resource.result",
        started="resource.startTime",
        finished="resource.finishTime",
        branch="resource.sourceBranch",
        url="resource._links.web.href",
    ),
    needed=(
        "eventType",
        "resource.id",
        "resource.definition",
        "resource.project",
        "resource.status",
        "resource.result",
        "resource.finishTime",
    ),
    webhook=Webhook(
        setting="azure_webhook_password",
        verification=authorization(
            advice="enter the value of STREAM_DETECTOR_AZURE_WEBHOOK_PASSWORD as Basic authentication password in the "
            "settings of the service hook"
        ),
        description="Azure DevOps' service hook: `build.complete` becomes an execution; any other delivery is "
        "acknowledged, and the message is why nothing was accepted.",
    ),
)
