"""GitLab's pipeline webhook: one pipeline that has ended is one execution, its jobs are the steps.

Source: GitLab's "Webhook events", pipeline events. A pipeline that is retried keeps its number and ends again, so the
event's id is the number and the time of the end; a delivery that is sent again has both the same.
"""

import hmac
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct

from stream_detector.events.completion import Completion, Status, Step
from stream_detector.events.reasons import refusal_for
from stream_detector.events.refused import RefusedError
from stream_detector.events.sources.source import Fields, Source, Webhook

STATUS: dict[str, Status] = {
    "success": "success",
    "failed": "failure",
    "canceled": "cancellation",
    "skipped": "skip",
}
"""GitLab's status of what has ended -> our status; any other is still on its way."""
_OLD_FORM = "%Y-%m-%d %H:%M:%S %Z"
_MOST_STEPS = 1000


class _Pipeline(Struct):
    id: int
    status: str
    created_at: str | None = None
    finished_at: str | None = None
    duration: float | None = None
    ref: str | None = None
    sha: str | None = None
    source: str | None = None
    url: str | None = None
    name: str | None = None


class _Project(Struct):
    path_with_namespace: str
    web_url: str | None = None


class _Build(Struct):
    name: str
    stage: str = ""
    status: str = ""
    duration: float | None = None


class _Delivery(Struct):
    object_kind: str
    object_attributes: _Pipeline
    project: _Project
    builds: list[_Build] = []


_decode = msgspec.json.Decoder(_Delivery).decode


def read(payload: bytes) -> list[Completion]:
    """The pipeline that ended; none of one that has not, or of another kind of delivery. Raises `RefusedError`."""
    try:
        delivery = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal_for(error, payload) from None
    pipeline, project = delivery.object_attributes, delivery.project
    if delivery.object_kind != "pipeline" or pipeline.status not in STATUS:
        return []
    finished_at = _instant("finished_at", pipeline.finished_at or pipeline.created_at)
    begun_at = _instant("created_at", pipeline.created_at or pipeline.finished_at)
    duration_s = pipeline.duration if pipeline.duration and pipeline.duration > 0 else None
    started_at = finished_at - timedelta(seconds=min(duration_s, 1e9)) if duration_s else min(begun_at, finished_at)
    labels = {
        "repository": project.path_with_namespace,
        "branch": pipeline.ref,
        "commit": pipeline.sha,
        "trigger": pipeline.source,
    }
    event = Completion(
        execution_id=f"gitlab:{pipeline.id}.{int(finished_at.timestamp())}",
        workflow_id=f"gitlab:{project.path_with_namespace}",
        workflow_name=pipeline.name or project.path_with_namespace,
        status=STATUS[pipeline.status],
        started_at=started_at,
        finished_at=finished_at,
        duration_s=duration_s,
        steps=[
            Step(
                f"{build.stage}: {build.name}" if build.stage else build.name, STATUS.get(build.status), build.duration
            )
            for build in delivery.builds[:_MOST_STEPS]
        ],
        labels={name: value for name, value in labels.items() if value},
        url=pipeline.url or (f"{project.web_url}/-/pipelines/{pipeline.id}" if project.web_url else None),
    )
    return [event]


def _instant(name: str, text: str | None) -> datetime:
    """RFC 3339, or `2016-08-12 15:23:28 UTC`, which older versions send."""
    try:
        if text and text.endswith(" UTC"):
            return datetime.strptime(text, _OLD_FORM).replace(tzinfo=UTC)
        parsed = datetime.fromisoformat(text or "")
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise RefusedError("validate", "bad_time", f"$.object_attributes.{name}: not a time that GitLab documents")
    return parsed.astimezone(UTC)


def is_authentic(secret: str, given: str, _: bytes = b"") -> bool:
    """Whether the header is the secret itself, which is how GitLab proves its deliveries."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())


def _recognises(fields: Fields) -> bool:
    kind = fields.get("object_kind")
    return kind is not None and bytes(kind) == b'"pipeline"' and "object_attributes" in fields and "project" in fields


SOURCE = Source(
    name="gitlab",
    title="GitLab CI",
    recognises=_recognises,
    read=read,
    becomes="a finished pipeline becomes an execution with its jobs as steps; a retry is a new execution",
    webhook=Webhook(
        setting="gitlab_webhook_token",
        signature_header="X-Gitlab-Token",
        may_be_authentic=is_authentic,
        is_authentic=is_authentic,
        event_header=("X-Gitlab-Event", "Pipeline Hook"),
        description="GitLab webhook: a finished pipeline becomes an execution; any other is acknowledged, no more.",
    ),
)
