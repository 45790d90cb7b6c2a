"""CDEvents: a `pipelinerun.finished` or `taskrun.finished` event is one execution.

Source: the CDEvents specification, "Core events" (0.3 to 0.6: `dev.cdevents.pipelinerun.finished.*` and
`dev.cdevents.taskrun.finished.*`), and its conformance examples. An event has no time but its own: start and end of
what has finished are the event's `timestamp`, and `pipelinerun.started` and `taskrun.started` give the duration. Source
and id of its subject are the run's identity.
"""

import re
from datetime import datetime

from stream_detector.events.completion import Status
from stream_detector.events.sources.details import parse_epoch_ms
from stream_detector.events.sources.document import (
    Document,
    RunFields,
    execution,
    literal,
    members,
    read_document,
    read_start,
    start,
)
from stream_detector.events.sources.source import Fields, Places, Reading, Source, Webhook
from stream_detector.events.sources.verification import authorization

STATUS: dict[str, Status] = {
    "success": "success",
    "failure": "failure",
    "error": "error",
    "cancel": "cancellation",
}
"""The outcome of a run -> our status."""

_ADVICE = "send the CDEvents pipelinerun.finished and taskrun.finished"
_DIGITS = 13
"""Of a time in milliseconds since 1970 between 2001 and 2286."""
_RUN = re.compile(r"dev\.cdevents\.(?P<of>pipelinerun|taskrun)\.(?P<state>started|finished)(?:\.|$)")


def read(payload: bytes) -> Reading:
    """The run that has finished; of another event why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    if "specversion" in document.root and "data" in document.root:
        document = document.part("data")
    kind = _RUN.match(document.needed_text("context.type"))
    if kind is None:
        return Reading(ignored="only pipelinerun and taskrun, started and finished, are read")
    is_pipeline = kind["of"] == "pipelinerun"
    if kind["state"] == "started":
        return read_start(
            document.details,
            "the run has not finished",
            lambda: start(_about(document, is_pipeline), _moment(document)),
        )
    subject = document.part("subject")
    event = execution(
        **_about(document, is_pipeline),
        status=subject.needed_status("content.outcome", STATUS),
        ended_at=_moment(document),
        output=subject.output("content.errors"),
    )
    return Reading([event], "", document.details.left_out)


def _about(document: Document, is_pipeline: bool) -> RunFields:
    subject = document.part("subject")
    run = subject.needed_text("id")
    source = subject.text("source") or document.needed_text("context.source")
    name = subject.needed_text("content.pipelineName" if is_pipeline else "content.taskName")
    return RunFields(
        run=f"cdevents:{source}:{run}",
        workflow=f"cdevents:{source}:{'' if is_pipeline else 'task:'}{name}",
        name=name,
        labels={"source": source, "pipeline_run": subject.text("content.pipelineRun.id")},
        url=subject.link("content.uri") or subject.link("content.url"),
        variant=None,
    )


def _moment(document: Document) -> datetime:
    """RFC 3339; Harness sends milliseconds since 1970 as text."""
    written = document.value("context.timestamp")
    is_ms = isinstance(written, str) and len(written) == _DIGITS and written.isascii() and written.isdecimal()
    return (parse_epoch_ms(int(str(written))) if is_ms else None) or document.needed_moment("context.timestamp")


def _recognises(fields: Fields) -> bool:
    if "specversion" in fields and "data" in fields:
        fields = members(fields, "data")
    return "subject" in fields and literal(members(fields, "context"), "type").startswith("dev.cdevents.")


SOURCE: Source = Source(
    name="cdevents",
    title="CDEvents",
    recognises=_recognises,
    read=read,
    becomes="`pipelinerun.finished` and `taskrun.finished` become an execution without steps, the same with `started` "
    "a start, which gives the execution its duration",
    statuses=STATUS,
    places=Places(
        id="subject.id",
        workflow="subject.content.pipelineName",
        status="subject.content.outcome",
        finished="context.timestamp",
        url="subject.content.uri",
    ),
    needed=(
        "context.type",
        "context.timestamp",
        "subject.id",
        "subject.source",
        "subject.content.pipelineName",
        "subject.content.outcome",
    ),
    webhook=Webhook(
        setting="cdevents_webhook_token",
        verification=authorization(
            advice="send the value of STREAM_DETECTOR_CDEVENTS_WEBHOOK_TOKEN as Authorization: Bearer"
        ),
        content_types=("application/json", "application/cloudevents+json"),
        description="CDEvents over HTTP, bare or as a CloudEvent: `pipelinerun.finished` and `taskrun.finished` become "
        "an execution, the same with `started` a start; any other is acknowledged, and the message is why nothing was "
        "accepted.",
    ),
)
