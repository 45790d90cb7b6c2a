"""Tekton: one `PipelineRun` or `TaskRun` that has finished is one execution.

Sources: "Events in Tekton", whose CloudEvents have the run as `pipelineRun` or `taskRun`; and the resources themselves,
`tekton.dev/v1` and `v1beta1`, one or a `List` of them as kubectl prints it. Times are whole seconds. A run is created
for each execution, a retry of a task is within it; so the resource's `uid` is the event's id.
"""

import re

from stream_detector.events.completion import Status
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
from stream_detector.events.start import Start

STATUS: dict[str, Status] = {"True": "success", "False": "failure"}
"""Of the condition `Succeeded` -> our status. Of a failure the reason tells a timeout and a cancellation."""

_REASONS: dict[str, Status] = {
    "PipelineRunTimeout": "timeout",
    "TaskRunTimeout": "timeout",
    "Cancelled": "cancellation",
    "CancelledRunningFinally": "cancellation",
    "PipelineRunCancelled": "cancellation",
    "TaskRunCancelled": "cancellation",
    "StoppedRunFinally": "cancellation",
    "PipelineRunStopped": "cancellation",
}
_KINDS = {"PipelineRun": "pipelineRun", "TaskRun": "taskRun"}
_LISTED = re.compile(rb'"apiVersion"\s*:\s*"tekton\.dev/')
"""kubectl prints a `List` of any kind."""
_ADVICE = "send Tekton's CloudEvents, or PipelineRuns as `kubectl get -o json` prints them"


def read(payload: bytes) -> Reading:
    """The runs that have finished; of one that has not why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    if isinstance(document.value("items"), list):
        return read_each(document.parts("items"), _read_run, "none of the runs has finished")
    for kind, name in _KINDS.items():
        if name in document.root:
            return _read_run(document.part(name), kind)
    return _read_run(document)


def _read_run(run: Document, kind: str = "") -> Reading:
    kind = kind or run.needed_text("kind")
    if kind not in _KINDS:
        return Reading(ignored="only PipelineRuns and TaskRuns are read")
    found = [each for each in run.parts("status.conditions") if each.value("type") == "Succeeded"]
    condition = found[0] if found else Document({}, run.details, run.at)
    if condition.value("status") in ("Unknown", None):
        return read_start(run.details, "the run has not finished", lambda: _start(run, kind))
    status = condition.needed_status("status", STATUS)
    event = execution(
        **_about(run, kind),
        status=_REASONS.get(condition.text("reason") or "", status) if status == "failure" else status,
        ended_at=run.needed_moment("status.completionTime"),
        started_at=run.moment("status.startTime"),
        output=condition.output("message"),
    )
    return Reading([event], "", run.details.left_out)


def _start(run: Document, kind: str) -> Start | None:
    return start(_about(run, kind), run.moment("status.startTime"), run.moment("metadata.creationTimestamp"))


def _about(run: Document, kind: str) -> RunFields:
    labels = run.part("metadata.labels")
    name = (
        labels.text(f"tekton.dev/{kind.removesuffix('Run').lower()}", exact=True)
        or run.text("spec.pipelineRef.name")
        or run.text("spec.taskRef.name")
        or (run.text("metadata.generateName") or "").rstrip("-")
        or run.needed_text("metadata.name")
    )
    namespace = run.text("metadata.namespace") or "default"
    return RunFields(
        run=f"tekton:{run.needed_text('metadata.uid')}",
        workflow=f"tekton:{namespace}/{'' if kind == 'PipelineRun' else 'task:'}{name}",
        name=name,
        labels={
            "namespace": namespace,
            "trigger": labels.text("triggers.tekton.dev/trigger", exact=True),
            "pipeline_run": labels.text("tekton.dev/pipelineRun", exact=True) if kind == "TaskRun" else None,
        },
        url=None,
        variant=None,
    )


def _recognises(fields: Fields) -> bool:
    for name in _KINDS.values():
        if name in fields and members(fields, name).keys() >= {"metadata", "status"}:
            return True
    if literal(fields, "apiVersion").startswith("tekton.dev/"):
        return "kind" in fields
    if "items" not in fields:
        return False
    kind = literal(fields, "kind")
    return kind in ("PipelineRunList", "TaskRunList") or (
        kind == "List" and _LISTED.search(bytes(fields["items"])) is not None
    )


SOURCE: Source = Source(
    name="tekton",
    title="Tekton",
    recognises=_recognises,
    read=read,
    becomes="a `PipelineRun` or `TaskRun` that has finished becomes an execution without steps",
    statuses=STATUS,
    places=Places(
        id="metadata.uid",
        workflow="spec.pipelineRef.name",
        status="status.conditions.0.status",
        started="status.startTime",
        finished="status.completionTime",
    ),
    needed=("kind", "metadata", "status.conditions", "status.completionTime"),
    webhook=Webhook(
        setting="tekton_webhook_password",
        verification=authorization(
            advice="write STREAM_DETECTOR_TEKTON_WEBHOOK_PASSWORD into the sink's URL in config-events, as "
            "https://tekton:PASSWORD@HOST/api/v1/webhooks/tekton"
        ),
        description="Tekton's CloudEvents: a PipelineRun or TaskRun that has finished becomes an execution; any other "
        "is acknowledged, and the message is why nothing was accepted.",
    ),
)
