"""TeamCity's webhooks `BUILD_FINISHED` and `BUILD_INTERRUPTED`: one build is one execution.

Sources: JetBrains' "TeamCity Webhooks", whose payload is a build of the REST API, and "Build" in its reference;
one build or a list (`GET /app/rest/builds?fields=build(*)`) is read, too. Times are whole seconds, as
`20260122T000500+0000`. A build that is started again has an id of its own.
"""

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
from stream_detector.events.sources.verification import authorization
from stream_detector.events.start import Start
from stream_detector.events.variant import BRANCH, DEFAULT_BRANCH, MANUAL, SCHEDULE

STATUS: dict[str, Status] = {
    "SUCCESS": "success",
    "FAILURE": "failure",
    "ERROR": "error",
    "UNKNOWN": "cancellation",
}
"""TeamCity's status of a build that has finished -> our status. A build that was cancelled has none: `UNKNOWN`."""

_EVENTS = ("BUILD_STARTED", "BUILD_FINISHED", "BUILD_INTERRUPTED")
_NOT_FINISHED = "the build has not finished"
_VARIANTS = {"schedule": SCHEDULE, "user": MANUAL}
_ADVICE = "set teamcity.internal.webhooks.events to BUILD_STARTED;BUILD_FINISHED;BUILD_INTERRUPTED"


def read(payload: bytes) -> Reading:
    """The build that has finished; of another event why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    if isinstance(document.value("build"), list):
        return read_each(document.parts("build"), _read_build, "none of the builds has finished")
    if "eventType" not in document.root:
        return _read_build(document)
    kind = document.needed_text("eventType")
    if kind not in _EVENTS:
        return Reading(ignored=f"only {', '.join(_EVENTS)} are read; {_ADVICE}")
    return _read_build(document.part("payload"), interrupted=kind == "BUILD_INTERRUPTED")


def _read_build(build: Document, interrupted: bool = False) -> Reading:
    if build.value("state") == "running":
        return read_start(build.details, _NOT_FINISHED, lambda: _start(build))
    if build.value("state") == "queued":
        return Reading(ignored=_NOT_FINISHED)
    status = build.needed_status("status", STATUS)
    event = execution(
        **_about(build),
        status="cancellation" if interrupted else status,
        ended_at=build.needed_moment("finishDate"),
        started_at=build.moment("startDate"),
        output=build.output("statusText"),
    )
    return Reading([event], "", build.details.left_out)


def _start(build: Document) -> Start | None:
    return start(_about(build), build.moment("startDate"), build.moment("queuedDate"))


def _about(build: Document) -> RunFields:
    number = build.needed_number("id")
    project = build.needed_text("buildTypeId")
    url = build.text("webUrl")
    host = _host(url)
    branch, trigger = (build.text("branchName") or "").removeprefix("refs/heads/"), build.text("triggered.type")
    variant = _VARIANTS.get(trigger or "")
    if variant is None and isinstance(build.value("defaultBranch"), bool):
        variant = DEFAULT_BRANCH if build.value("defaultBranch") else BRANCH
    return RunFields(
        run=f"teamcity:{host}{number}",
        workflow=f"teamcity:{host}{project}",
        name=build.text("buildType.name") or project,
        labels={"branch": branch, "trigger": trigger, "project": build.text("buildType.projectName")},
        url=url,
        variant=variant,
    )


def _host(url: str | None) -> str:
    """The server that a build's number is unique on, of its page's URL."""
    host = url_parts(url or "").netloc.rpartition("@")[2].lower()
    return f"{host}/" if host else ""


def _recognises(fields: Fields) -> bool:
    if "payload" in fields and "eventType" in fields:
        return literal(fields, "eventType").startswith(("BUILD_", "AGENT_", "CHANGES_"))
    if "build" in fields:
        return bytes(fields["build"]).startswith(b"[") and "count" in fields
    return fields.keys() >= {"buildTypeId", "id", "status", "state"}


SOURCE: Source = Source(
    name="teamcity",
    title="TeamCity",
    recognises=_recognises,
    read=read,
    becomes="`BUILD_FINISHED` and `BUILD_INTERRUPTED` become an execution without steps, `BUILD_STARTED` a "
    "start; the same for a build of the REST API",
    statuses=STATUS,
    places=Places(
        id="payload.id",
        workflow="payload.buildTypeId",
        status="payload.status",
        started="payload.startDate",
        finished="payload.finishDate",
        branch="payload.branchName",
        url="payload.webUrl",
    ),
    needed=(
        "eventType",
        "payload.id",
        "payload.buildTypeId",
        "payload.status",
        "payload.state",
        "payload.finishDate",
        "payload.webUrl",
    ),
    webhook=Webhook(
        setting="teamcity_webhook_password",
        verification=authorization(
            advice="set teamcity.internal.webhooks.password to the value of STREAM_DETECTOR_TEAMCITY_WEBHOOK_PASSWORD"
        ),
        description="TeamCity's webhooks: `BUILD_FINISHED` and `BUILD_INTERRUPTED` become an execution, "
        "`BUILD_STARTED` a start; any other is acknowledged, and the message is why nothing was accepted.",
    ),
)
