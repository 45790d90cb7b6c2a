"""OpenLineage's `RunEvent`: the event that ends a run is one execution of its job.

Source: the OpenLineage specification (`spec/OpenLineage.json`, 2-0-2; `eventType`, `run`, `job`). A producer sends
START and one of COMPLETE, FAIL and ABORT for a run; the last has no time but its own, which is its start and its end,
and START gives it the duration. The run's id is the event's id: a retry is a run of its own.
"""

from stream_detector.events.completion import Status
from stream_detector.events.sources.document import (
    Document,
    RunFields,
    execution,
    members,
    read_document,
    read_start,
    start,
)
from stream_detector.events.sources.source import Fields, Places, Reading, Source, Webhook
from stream_detector.events.sources.verification import authorization

STATUS: dict[str, Status] = {"COMPLETE": "success", "FAIL": "failure", "ABORT": "cancellation"}
"""OpenLineage's type of the event that ends a run -> our status."""

_NOT_ENDED = "the run has not ended"
_UNFINISHED = ("RUNNING", "OTHER", None)
_ADVICE = "send OpenLineage run events; those that end a run are COMPLETE, FAIL and ABORT"


def read(payload: bytes) -> Reading:
    """The run that has ended; of another event why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    if "run" not in document.root and ("job" in document.root or "dataset" in document.root):
        return Reading(ignored="an event of a job or a dataset is not read, only run events")
    document.needed_text("run.runId")
    if document.value("eventType") == "START":
        return read_start(
            document.details, _NOT_ENDED, lambda: start(_about(document), document.needed_moment("eventTime"))
        )
    if document.value("eventType") in _UNFINISHED:
        return Reading(ignored=_NOT_ENDED)
    event = execution(
        **_about(document),
        status=document.needed_status("eventType", STATUS),
        ended_at=document.needed_moment("eventTime"),
        output=_error(document.part("run.facets.errorMessage")),
    )
    return Reading([event], "", document.details.left_out)


def _about(document: Document) -> RunFields:
    namespace, name = document.needed_text("job.namespace"), document.needed_text("job.name")
    return RunFields(
        run=f"openlineage:{document.needed_text('run.runId')}",
        workflow=f"openlineage:{namespace}:{name}",
        name=name,
        labels={
            "namespace": namespace,
            "parent": document.text("run.facets.parent.job.name"),
            "integration": document.text("job.facets.jobType.integration"),
        },
        url=None,
        variant=None,
    )


def _error(facet: Document) -> str:
    """The trace, then the message: where there is room for a few lines, the last ones are shown."""
    return "\n".join(text for name in ("stackTrace", "message") if (text := facet.output(name)))


def _recognises(fields: Fields) -> bool:
    if not fields.keys() >= {"eventTime", "producer"}:
        return False
    if "run" in fields:
        return "runId" in members(fields, "run") and "job" in fields
    return "schemaURL" in fields and ("job" in fields or "dataset" in fields)


SOURCE: Source = Source(
    name="openlineage",
    title="OpenLineage",
    recognises=_recognises,
    read=read,
    becomes="a `RunEvent` that ends a run becomes an execution of the job without steps, and `START` a start, which "
    "gives it its duration",
    statuses=STATUS,
    places=Places(id="run.runId", workflow="job.name", status="eventType", finished="eventTime"),
    needed=("run.runId", "job.namespace", "job.name", "eventType", "eventTime"),
    webhook=Webhook(
        setting="openlineage_webhook_token",
        verification=authorization(
            advice="enter the value of STREAM_DETECTOR_OPENLINEAGE_WEBHOOK_TOKEN as the transport's api_key",
        ),
        description="OpenLineage's HTTP transport: a run event that ends a run becomes an execution, `START` a start; "
        "any other is acknowledged, and the message is why nothing was accepted.",
    ),
)
