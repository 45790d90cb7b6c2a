"""Argo Workflows: one `Workflow` that has finished is one execution, its pods are the steps.

Source: the resource `argoproj.io/v1alpha1`, `Workflow` (`WorkflowStatus`, `NodeStatus`, "Fields" in Argo's reference),
one or a list of them as kubectl or the Argo server's API returns it. Times are whole seconds. A workflow that is
retried keeps its `uid` and finishes again, so the event's id is the `uid` and the time of the end.
"""

import re

from stream_detector.events.completion import Status
from stream_detector.events.sources.document import (
    Document,
    RunFields,
    execution,
    literal,
    named_texts,
    read_document,
    read_each,
    read_start,
    seconds_between,
    start,
    step,
)
from stream_detector.events.sources.source import Fields, Places, Reading, Source, Webhook
from stream_detector.events.sources.verification import authorization
from stream_detector.events.start import Start
from stream_detector.events.variant import SCHEDULE

STATUS: dict[str, Status] = {"Succeeded": "success", "Failed": "failure", "Error": "error"}
"""Argo's phase of a workflow that has finished -> our status."""

_STEPS: dict[str, Status] = STATUS | {"Skipped": "skip", "Omitted": "skip"}
_NOT_FINISHED = "the workflow has not finished"
_UNFINISHED = ("Pending", "Running", "", None)
_ADVICE = "send a Workflow as `kubectl get workflow -o json` prints it"
_LISTED = re.compile(rb'"apiVersion"\s*:\s*"argoproj\.io/')
"""kubectl prints a `List` of any kind, and the Argo server leaves the kind of its list out."""
_LABELS = "workflows.argoproj.io/"


def read(payload: bytes) -> Reading:
    """The workflows that have finished; of one that has not why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    if isinstance(document.value("items"), list):
        return read_each(document.parts("items"), _read_workflow, "none of the workflows has finished")
    return _read_workflow(document)


def _read_workflow(document: Document) -> Reading:
    if document.needed_text("kind") != "Workflow":
        return Reading(ignored="only a Workflow is read")
    if document.value("status.phase") == "Running":
        return read_start(document.details, _NOT_FINISHED, lambda: _start(document))
    if document.value("status.phase") in _UNFINISHED:
        return Reading(ignored=_NOT_FINISHED)
    about = _about(document)
    pods, message = _pods(document.part("status.nodes")), document.output("status.message")
    event = execution(
        **about,
        status=document.needed_status("status.phase", STATUS),
        ended_at=document.needed_moment("status.finishedAt"),
        started_at=document.moment("status.startedAt"),
        steps=[step(name, _STEPS.get(pod.text("phase") or ""), _seconds(pod)) for name, pod in pods],
        output=named_texts(
            [*((pod_name, pod.output("message")) for pod_name, pod in pods), (about["name"] or "", message)]
        ),
        may_end_again=True,
    )
    return Reading([event], "", document.details.left_out)


def _about(document: Document) -> RunFields:
    labels = document.part("metadata.labels")
    cron = labels.text(f"{_LABELS}cron-workflow", exact=True)
    template = labels.text(f"{_LABELS}workflow-template", exact=True) or document.text("spec.workflowTemplateRef.name")
    name = cron or template or (document.text("metadata.generateName") or "").rstrip("-")
    name = name or document.needed_text("metadata.name")
    namespace = document.text("metadata.namespace") or "default"
    return RunFields(
        run=f"argo:{document.needed_text('metadata.uid')}",
        workflow=f"argo:{namespace}/{name}",
        name=name,
        labels={"namespace": namespace, "template": template},
        url=None,
        variant=SCHEDULE if cron else None,
    )


def _start(document: Document) -> Start | None:
    created_at = document.moment("metadata.creationTimestamp")
    return start(_about(document), document.moment("status.startedAt"), created_at, may_end_again=True)


def _pods(nodes: Document) -> list[tuple[str, Document]]:
    """The pods by name, in the order in which they began; the other nodes only group them."""
    found = [
        Document(node, nodes.details, f"{nodes.at}[...]") for node in nodes.root.values() if isinstance(node, dict)
    ]
    pods = [each for each in found if each.value("type") == "Pod"]
    pods.sort(key=lambda pod: str(pod.moment("startedAt")))
    return [(pod.text("displayName") or pod.text("name") or "pod", pod) for pod in pods]


def _seconds(pod: Document) -> float | None:
    return seconds_between(pod.moment("startedAt"), pod.moment("finishedAt"))


def _recognises(fields: Fields) -> bool:
    if literal(fields, "apiVersion").startswith("argoproj.io/"):
        return "metadata" in fields
    if "items" not in fields:
        return False
    kind = literal(fields, "kind")
    return kind == "WorkflowList" or (kind in ("List", "") and _LISTED.search(bytes(fields["items"])) is not None)


SOURCE: Source = Source(
    name="argo",
    title="Argo Workflows",
    recognises=_recognises,
    read=read,
    becomes="a `Workflow` that has finished becomes an execution with its pods as steps; a retry is a new execution",
    statuses=STATUS,
    places=Places(
        id="metadata.uid",
        workflow="metadata.generateName",
        status="status.phase",
        started="status.startedAt",
        finished="status.finishedAt",
    ),
    needed=("kind", "metadata", "spec", "status.phase", "status.finishedAt"),
    webhook=Webhook(
        setting="argo_webhook_token",
        verification=authorization(
            advice="send the value of STREAM_DETECTOR_ARGO_WEBHOOK_TOKEN as Authorization: Bearer"
        ),
        description="Workflows of Argo: one that has finished becomes an execution; any other is acknowledged, and the "
        "message is why nothing was accepted.",
    ),
)
