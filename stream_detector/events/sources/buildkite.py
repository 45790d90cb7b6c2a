"""Buildkite's webhook `build.finished`: one finished build is one execution.

Sources: Buildkite's "Pipelines webhooks", "Build events" and, for the build itself, the REST API's "Builds". Times have
milliseconds; the duration is `finished_at - started_at`, so it includes what the build waited for between its jobs.

A job that is retried makes a finished build run and finish again, so the event's id is the build's and the time of its
end. A build that is blocked by a step is sent as finished, too: it goes on once it is unblocked, so it is not read.
"""

import re

from stream_detector.events.completion import Status
from stream_detector.events.sources.details import url_parts
from stream_detector.events.sources.document import (
    Document,
    RunFields,
    execution,
    literal,
    read_document,
    read_start,
    start,
)
from stream_detector.events.sources.source import Fields, Places, Reading, Source, Webhook
from stream_detector.events.sources.verification import either, hmac_sha256, token_header
from stream_detector.events.start import Start
from stream_detector.events.variant import MANUAL, PULL_REQUEST, SCHEDULE, TAG, variant_of_ref

STATUS: dict[str, Status] = {
    "passed": "success",
    "failed": "failure",
    "canceled": "cancellation",
    "skipped": "skip",
    "not_run": "skip",
}
"""Buildkite's state of a build that has ended -> our status."""

_UNFINISHED = ("creating", "scheduled", "running", "failing", "blocked", "canceling", "waiting", "waiting_failed")
_ADVICE = "in the webhook's settings choose the event build.finished"
_NOT_ENDED = "the build is blocked, or has not ended"
_TOKEN = "enter the value of STREAM_DETECTOR_BUILDKITE_WEBHOOK_TOKEN as Token in the webhook's settings"
_SIGNATURE = re.compile(r"timestamp=(?P<timestamp>\d{1,12}), ?signature=(?P<signature>[0-9a-f]{64})")


def read(payload: bytes) -> Reading:
    """The build that has ended; of another event why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    kind, build = document.needed_text("event"), document.part("build")
    if kind == "build.running" and build.value("state") in ("running", "failing"):
        return read_start(document.details, _NOT_ENDED, lambda: _start(document))
    if kind not in ("build.finished", "build.skipped"):
        return Reading(ignored=f"only build.finished and build.running are read; {_ADVICE}")
    if build.value("blocked") is True or build.value("state") in _UNFINISHED:
        return Reading(ignored=_NOT_ENDED)
    event = execution(
        **_about(document),
        status=build.needed_status("state", STATUS),
        ended_at=build.moment("finished_at") or build.needed_moment("created_at"),
        started_at=build.moment("started_at"),
        may_end_again=True,
    )
    return Reading([event], "", document.details.left_out)


def _about(document: Document) -> RunFields:
    build, pipeline = document.part("build"), document.part("pipeline")
    path = _path(build) or pipeline.text("slug") or pipeline.needed_text("id")
    branch, tag = build.text("branch"), build.text("tag")
    return RunFields(
        run=f"buildkite:{build.needed_text('id')}",
        workflow=f"buildkite:{path}",
        name=pipeline.text("name") or path,
        labels={
            "repository": pipeline.text("repository"),
            "branch": None if tag else branch,
            "tag": tag,
            "commit": build.text("commit"),
            "trigger": build.text("source"),
        },
        url=build.link("web_url"),
        variant=_variant(build, branch, tag, pipeline.text("default_branch")),
    )


def _start(document: Document) -> Start | None:
    build = document.part("build")
    queued_at = build.moment("scheduled_at") or build.moment("created_at")
    return start(_about(document), build.moment("started_at"), queued_at, may_end_again=True)


def _path(build: Document) -> str | None:
    """Organisation and pipeline, of `https://buildkite.com/acme/shop/builds/31`."""
    names = url_parts(build.text("web_url") or "").path.strip("/").split("/")
    return "/".join(names[:2]) if len(names) == 4 and names[2] == "builds" else None


def _variant(build: Document, branch: str | None, tag: str | None, default: str | None) -> str | None:
    if build.text("pull_request.id") or build.part("pull_request").root:
        return PULL_REQUEST
    if tag:
        return TAG
    if build.value("source") in ("schedule", "ui"):
        return SCHEDULE if build.value("source") == "schedule" else MANUAL
    return variant_of_ref(branch, None, default)


def _recognises(fields: Fields) -> bool:
    kind = literal(fields, "event")
    if kind.startswith(("build.", "job.")):
        return fields.keys() >= {"event", "build", "pipeline"}
    return (kind == "ping" and "service" in fields) or (kind.startswith("agent.") and "agent" in fields)


SOURCE: Source = Source(
    name="buildkite",
    title="Buildkite",
    recognises=_recognises,
    read=read,
    becomes="`build.finished` becomes an execution without steps, `build.running` a start; a build that ends "
    "again after a retry is another "
    "one, and one that is blocked is none until it has ended",
    statuses=STATUS,
    places=Places(
        id="build.id",
        workflow="build.web_url",
        status="build.state",
        started="build.started_at",
        finished="build.finished_at",
        branch="build.branch",
        url="build.web_url",
    ),
    needed=("event", "build.id", "build.state", "build.blocked"),
    webhook=Webhook(
        setting="buildkite_webhook_token",
        verification=either(
            hmac_sha256("X-Buildkite-Signature", _SIGNATURE, advice=_TOKEN),
            token_header("X-Buildkite-Token", advice=_TOKEN),
        ),
        event_header="X-Buildkite-Event",
        events=("build.finished", "build.skipped", "build.running"),
        description="Buildkite's webhook: `build.finished` becomes an execution, `build.running` a start; any other "
        "delivery is acknowledged, "
        "and the message is why nothing was accepted.",
    ),
)
