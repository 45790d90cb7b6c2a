"""Jenkins: one build that has ended is one execution, whichever of three ways it is reported.

Sources: the remote API's build object (`<build>/api/json`, in the core's `hudson.model.Run`), the Notification plugin
(`JobState`, `BuildState`, `Phase`) and the CloudEvents plugin (`JobModel`, `BuildModel`, `Stage`), both in their
repositories under github.com/jenkinsci.

All times are milliseconds. The API's `timestamp` is the start; that of the plugins is the end, exactly so in the phase
COMPLETED (start + duration) and a moment later in FINALIZED. The host, the job's path and the number are the identity,
so both phases and the API give the same execution; a rebuild has a number of its own.
"""

import re
from datetime import timedelta
from urllib.parse import unquote

from stream_detector.events.completion import Status
from stream_detector.events.sources.details import url_parts
from stream_detector.events.sources.document import (
    Document,
    RunFields,
    execution,
    literal,
    members,
    read_document,
    read_each,
    read_start,
    start,
)
from stream_detector.events.sources.source import Fields, Places, Reading, Source, Webhook
from stream_detector.events.sources.verification import authorization
from stream_detector.events.variant import MANUAL, SCHEDULE

STATUS: dict[str, Status] = {
    "SUCCESS": "success",
    "UNSTABLE": "failure",
    "FAILURE": "failure",
    "FAILED": "failure",
    "ABORTED": "cancellation",
    "NOT_BUILT": "skip",
}
"""Jenkins' result -> our status. FAILED stands only in the CloudEvents plugin's documentation; its code has FAILURE."""

_ENDED = ("COMPLETED", "FINALIZED")
_ADVICE = "send a build as `<build>/api/json` returns it, or what the Notification or the CloudEvents plugin sends"
_NOT_ENDED = Reading(ignored="the build has not ended")
_CAUSES = {
    "hudson.triggers.TimerTrigger$TimerTriggerCause": ("timer", SCHEDULE),
    "hudson.model.Cause$UserIdCause": ("user", MANUAL),
    "hudson.triggers.SCMTrigger$SCMTriggerCause": ("scm", None),
    "hudson.model.Cause$UpstreamCause": ("upstream", None),
    "jenkins.branch.BranchEventCause": ("push", None),
    "com.cloudbees.jenkins.GitHubPushCause": ("push", None),
}
"""Class of a cause in the API -> (label `trigger`, variant)."""

_LISTS = ("builds", "allBuilds", "jobs")
_PACKAGES = ("hudson.", "jenkins.", "org.jenkinsci.", "com.cloudbees.")
_NUMBERED = re.compile(r" #\d+$")


def read(payload: bytes) -> Reading:
    """The builds that have ended; of one that is queued or running why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    if any(isinstance(document.value(name), list) for name in _LISTS):
        return read_each(_builds(document), _read_api, "none of the builds has ended")
    return _read_plugin(document) if "build" in document.root else _read_api(document)


def _builds(item: Document) -> list[Document]:
    """Those of a job, or of all jobs of a folder, as deep as the tree of the request went."""
    found, items = [], [item]
    while items:
        inner = items.pop()
        found += inner.parts("allBuilds") or inner.parts("builds")
        items += reversed(inner.parts("jobs"))
    return found


def _read_api(build: Document) -> Reading:
    if build.value("building") is True or ("result" in build.root and build.value("result") is None):
        return read_start(
            build.details, _NOT_ENDED.ignored, lambda: start(_about_api(build), build.needed_ms("timestamp"))
        )
    duration_s = _seconds(build)
    event = execution(
        **_about_api(build),
        status=build.needed_status("result", STATUS),
        ended_at=build.needed_ms("timestamp") + timedelta(seconds=duration_s or 0),
        duration_s=duration_s,
    )
    return Reading([event], "", build.details.left_out)


def _about_api(build: Document) -> RunFields:
    actions = build.parts("actions")
    trigger, variant = _cause(actions)
    name, labels = _NUMBERED.sub("", build.text("fullDisplayName") or ""), {"trigger": trigger, **_revision(actions)}
    return _about(build, build.text("url"), name, build.needed_number("number"), labels, variant)


def _read_plugin(document: Document) -> Reading:
    build = document.part("build")
    phase = build.needed_text("phase")
    if phase == "STARTED":
        return read_start(
            document.details,
            _NOT_ENDED.ignored,
            lambda: start(_about_plugin(document, build), build.needed_ms("timestamp")),
        )
    if phase not in _ENDED:
        return _NOT_ENDED
    event = execution(
        **_about_plugin(document, build),
        status=build.needed_status("status", STATUS),
        ended_at=build.needed_ms("timestamp"),
        duration_s=_seconds(build),
        output=build.output("log"),
    )
    return Reading([event], "", document.details.left_out)


def _about_plugin(document: Document, build: Document) -> RunFields:
    scm = build.part("scmState") if "scmState" in build.root else build.part("scm")
    url = build.text("full_url") or build.text("fullUrl") or build.text("url")
    labels = {"branch": _branch(scm.text("branch")), "commit": scm.text("commit")}
    return _about(document, url, document.text("name"), build.needed_number("number"), labels, None)


def _about(
    document: Document,
    url: str | None,
    name: str | None,
    number: int,
    labels: dict[str, str | None],
    variant: str | None,
) -> RunFields:
    host, job = _host_and_job(url or "")
    job = job or name or ""
    if not job:
        raise document.details.refusal("missing_field", "$.url", "is missing, and the name of the job, too")
    workflow = f"jenkins:{host}/{job}" if host else f"jenkins:{job}"
    return RunFields(run=f"{workflow}#{number}", workflow=workflow, name=job, labels=labels, url=url, variant=variant)


def _host_and_job(url: str) -> tuple[str, str]:
    """Of `https://ci.example/job/acme/job/nightly/31/`: `ci.example` and `acme/nightly`, its full name."""
    split = url_parts(url)
    before, *folders = f"/{split.path.lstrip('/')}".split("/job/")
    job = "/".join(_decoded(folder.split("/")[0]) for folder in folders)
    return (split.netloc.rpartition("@")[2].lower() + before, job) if job else ("", "")


def _decoded(name: str) -> str:
    """Percent-decoded; as it is where that gives no text that can be stored."""
    try:
        plain = unquote(name, errors="strict")
    except UnicodeDecodeError:
        return name
    return name if "\0" in plain else plain


def _seconds(build: Document) -> float | None:
    ms = build.seconds("duration")
    return ms / 1000 if ms else None


def _cause(actions: list[Document]) -> tuple[str | None, str | None]:
    for action in actions:
        for cause in action.parts("causes"):
            found = _CAUSES.get(cause.text("_class") or "")
            if found:
                return found
    return None, None


def _revision(actions: list[Document]) -> dict[str, str | None]:
    for action in actions:
        if "lastBuiltRevision" in action.root:
            revision = action.part("lastBuiltRevision")
            names = [branch.text("name") for branch in revision.parts("branch")]
            return {"commit": revision.text("SHA1"), "branch": _branch(next(iter(names), None))}
    return {}


def _branch(name: str | None) -> str | None:
    """Git's plugin names the remote: `origin/main`, or `refs/remotes/origin/main`. A detached one is no branch."""
    short = (name or "").removeprefix("refs/remotes/").removeprefix("refs/heads/").removeprefix("origin/")
    return None if short in ("", "detached", "HEAD") else short


def _recognises(fields: Fields) -> bool:
    if "build" in fields:
        return "name" in fields and "url" in fields and members(fields, "build").keys() >= {"phase", "number"}
    if any(name in fields for name in _LISTS):
        return literal(fields, "_class").startswith(_PACKAGES)
    return fields.keys() >= {"number", "timestamp", "result"} and ("_class" in fields or "url" in fields)


SOURCE: Source = Source(
    name="jenkins",
    title="Jenkins",
    recognises=_recognises,
    read=read,
    becomes="a build that has ended becomes an execution, one that runs a start: the API's build object, "
    "a job's `builds` or `allBuilds`, "
    "also within a folder's `jobs`, and what the Notification and CloudEvents plugins send; there are no steps, and "
    "only the API has the cause",
    statuses=STATUS,
    places=Places(
        id="number",
        workflow="url",
        status="result",
        started="timestamp",
        finished="duration",
        duration="duration",
        url="url",
    ),
    needed=("number", "result", "timestamp", "building"),
    webhook=Webhook(
        setting="jenkins_webhook_password",
        verification=authorization(
            advice="write the value of STREAM_DETECTOR_JENKINS_WEBHOOK_PASSWORD into the endpoint's URL, as "
            "https://jenkins:PASSWORD@HOST/api/v1/webhooks/jenkins"
        ),
        description="Jenkins' Notification and CloudEvents plugins, or a build of its API: one that has ended becomes "
        "an execution; any other delivery is acknowledged, and the message is why nothing was accepted.",
    ),
)
