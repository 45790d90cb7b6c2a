"""GitLab CI: one pipeline that has ended is one execution, its jobs are the steps; from the webhook or the REST API.

Sources: GitLab's "Webhook events" (pipeline events) and "Pipelines API", whose pipeline may have its project, as the
"Projects API" returns it, in a member `project`: `import` puts it there. A pipeline that is retried keeps its number
and ends again, so the event's id is the number and the time of the end; a delivery that is sent again has both the
same.
"""

import re
from datetime import datetime, timedelta
from typing import Any, TypedDict

import msgspec
from msgspec import Raw, Struct

from stream_detector.events.completion import Completion, Status, Step
from stream_detector.events.excerpt import excerpt_of_text
from stream_detector.events.sources.details import Details, attempt, fit_id, object_fields, url_parts
from stream_detector.events.sources.document import named_texts, read_start
from stream_detector.events.sources.source import Fields, Places, Reading, Source, Webhook
from stream_detector.events.sources.verification import token_header
from stream_detector.events.start import Start
from stream_detector.events.times import EARLIEST
from stream_detector.events.variant import (
    CHILD_PREFIX,
    MANUAL,
    PULL_REQUEST,
    SCHEDULE,
    UNNAMED_CHILD,
    variant_of_name,
    variant_of_ref,
)

STATUS: dict[str, Status] = {
    "success": "success",
    "failed": "failure",
    "canceled": "cancellation",
    "skipped": "skip",
}
"""GitLab's status of what has ended -> our status."""
_ON_ITS_WAY = frozenset(
    {"created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "running"}
    | {"manual", "scheduled", "canceling"}
)
_NOT_ENDED = "the pipeline has not ended"
_CHILD = "parent_pipeline"
_VARIANTS = {
    "schedule": SCHEDULE,
    "merge_request_event": PULL_REQUEST,
    "external_pull_request_event": PULL_REQUEST,
    "web": MANUAL,
    "chat": MANUAL,
}
"""What started the pipeline -> variant; of anything else the ref decides."""
_ADVICE = "in the webhook's settings choose Pipeline events, or send a pipeline as GitLab's REST API returns it"
_MOST_STEPS = 1000
_PAGE = re.compile(rb'/pipelines/\d+/?"$')
"""The end of a pipeline's address; before GitLab 12 there was no `/-/` in it."""


class _Pipeline(Struct):
    id: Any = None
    status: Any = None
    created_at: Any = None
    updated_at: Any = None
    started_at: Any = None
    finished_at: Any = None
    duration: Any = None
    queued_duration: Any = None
    ref: Any = None
    tag: Any = None
    sha: Any = None
    source: Any = None
    url: Any = None
    web_url: Any = None
    name: Any = None
    stages: Any = None


class _Project(Struct):
    path_with_namespace: Any = None
    web_url: Any = None
    default_branch: Any = None


class _MergeRequest(Struct):
    source_branch: Any = None
    source_project_id: Any = None
    target_project_id: Any = None


class _Build(Struct):
    name: Any = None
    stage: Any = None
    status: Any = None
    started_at: Any = None
    finished_at: Any = None
    duration: Any = None
    failure_reason: Any = None


class _Delivery(Struct):
    object_attributes: _Pipeline
    object_kind: Any = None
    project: Raw = Raw()
    merge_request: Raw = Raw()
    builds: Raw = Raw()


_delivery = msgspec.json.Decoder(_Delivery).decode
_pipeline = msgspec.json.Decoder(_Pipeline).decode
_project = msgspec.json.Decoder(_Project).decode
_merge_request = msgspec.json.Decoder(_MergeRequest).decode
_builds = msgspec.json.Decoder(list[_Build]).decode
_build = msgspec.json.Decoder(_Build).decode
_raws = msgspec.json.Decoder(list[Raw]).decode


def read(payload: bytes) -> Reading:
    """The pipeline that ended; of one that has not, or of another kind of delivery, why there is none."""
    details = Details(_ADVICE)
    delivery = attempt(_delivery, payload)
    if delivery is None or delivery.object_kind != "pipeline":
        return _read_other(details, payload)
    project = details.part("$.project", delivery.project, _project) or _Project()
    return _read_pipeline(details, delivery.object_attributes, project, delivery, "$.object_attributes.")


def _read_other(details: Details, payload: bytes) -> Reading:
    """What is no delivery of a pipeline: pipelines of the REST API, and deliveries of other kinds."""
    fields = details.decode(object_fields, payload)
    kind = fields.get("object_kind")
    if kind is None and _is_pipeline(fields):
        pipeline = details.decode(_pipeline, payload)
        project = details.part("$.project", fields.get("project"), _project) or _Project()
        project.path_with_namespace = details.text(
            "$.project.path_with_namespace", project.path_with_namespace
        ) or _project_of(details, pipeline.web_url)
        return _read_pipeline(details, pipeline, project, _Delivery(pipeline), "$.")
    if kind is None or bytes(kind) != b'"pipeline"':
        if kind is None:
            raise details.refusal("unsupported_format", "$", "is not a pipeline of GitLab")
        name = details.text("$.object_kind", details.part("$.object_kind", kind, msgspec.json.decode))
        known = name if name and name.isidentifier() and len(name) <= 64 else "this kind of event"
        return Reading(ignored=f"{known} is not switched on")
    details.decode(_delivery, payload)  # raises, since it could not be read before
    raise details.refusal("missing_field", "$.object_attributes", "is missing")


def _read_pipeline(details: Details, pipeline: _Pipeline, project: _Project, delivery: _Delivery, at: str) -> Reading:
    """Args: `at` is the place of the pipeline."""
    if isinstance(pipeline.status, str) and pipeline.status not in STATUS:
        if pipeline.status == "running":
            return read_start(details, _NOT_ENDED, lambda: _start(details, pipeline, project, delivery, at))
        if pipeline.status in _ON_ITS_WAY:
            return Reading(ignored=_NOT_ENDED)
        if pipeline.finished_at is None:
            return Reading(ignored="the pipeline has a status that this version does not know, and no end")
    path = details.needed_text("$.project.path_with_namespace", project.path_with_namespace)
    number = details.needed_number(f"{at}id", pipeline.id)
    status = details.needed_status(f"{at}status", pipeline.status, STATUS)
    builds = _read_builds(details, delivery.builds)
    duration_s = details.seconds(f"{at}duration", pipeline.duration) or None
    finished_at = _finished_at(details, pipeline, duration_s, builds, at)
    event = Completion(
        **_about(details, pipeline, project, delivery, path, number, at),
        execution_id=f"gitlab:{number}.{int(finished_at.timestamp())}",
        status=status,
        started_at=_started_at(details, pipeline, finished_at, duration_s, at),
        finished_at=finished_at,
        duration_s=duration_s,
        steps=[step for build in builds[:_MOST_STEPS] if (step := _step(details, build))],
        excerpt=_excerpt(builds),
    )
    return Reading((event,), "", details.left_out)


class _About(TypedDict):
    """What the start and the end of a pipeline have in common."""

    workflow_id: str
    workflow_name: str
    labels: dict[str, str]
    url: str | None
    variant: str | None


def _about(
    details: Details, pipeline: _Pipeline, project: _Project, delivery: _Delivery, path: str, number: int, at: str
) -> _About:
    name = details.text(f"{at}name", pipeline.name)
    branch, tag = _branch_or_tag(details, pipeline, delivery.merge_request)
    is_child = pipeline.source == _CHILD
    variant = _child(details, name, pipeline.stages) if is_child else _variant(pipeline, branch, tag, project)
    url = details.link(f"{at}url", pipeline.url or pipeline.web_url)
    if url is None and (page := details.link("$.project.web_url", project.web_url)):
        url = f"{page}/-/pipelines/{number}"
    return _About(
        workflow_id=fit_id(f"gitlab:{path}:{name}" if name and not is_child else f"gitlab:{path}"),
        workflow_name=name or path[-512:],
        labels=details.labels(
            repository=("$.project.path_with_namespace", path),
            branch=(f"{at}ref", branch),
            tag=(f"{at}ref", tag),
            commit=(f"{at}sha", pipeline.sha),
            trigger=(f"{at}source", pipeline.source),
        ),
        url=url,
        variant=variant,
    )


def _start(details: Details, pipeline: _Pipeline, project: _Project, delivery: _Delivery, at: str) -> Start | None:
    """The start of a pipeline that runs. One that is retried has jobs that have ended, and its creation is long ago."""
    path = details.needed_text("$.project.path_with_namespace", project.path_with_namespace)
    number = details.needed_number(f"{at}id", pipeline.id)
    builds = _read_builds(details, delivery.builds)
    begun = [moment for each in builds if (moment := details.instant("$.builds[...].started_at", each.started_at))]
    given = details.instant(f"{at}started_at", pipeline.started_at)
    created_at = details.instant(f"{at}created_at", pipeline.created_at)
    if any(each.finished_at for each in builds):
        began_at, created_at = max([*begun, *([given] if given else [])], default=None), None
    else:
        began_at = given or min(begun, default=None) or _left_queue_at(details, pipeline, created_at, at)
    began_at = began_at or created_at
    if began_at is None:
        return None
    return Start(
        **_about(details, pipeline, project, delivery, path, number, at),
        state="started",
        execution_id=f"gitlab:{number}",
        started_at=began_at,
        queued_at=created_at if created_at is not None and created_at < began_at else None,
    )


def _left_queue_at(details: Details, pipeline: _Pipeline, created_at: datetime | None, at: str) -> datetime | None:
    queued_s = details.seconds(f"{at}queued_duration", pipeline.queued_duration)
    return created_at + timedelta(seconds=min(queued_s, 1e9)) if created_at and queued_s else None


def _finished_at(
    details: Details, pipeline: _Pipeline, duration_s: float | None, builds: list[_Build], at: str
) -> datetime:
    """The end; where GitLab has not written it yet, that of the last job, or what the durations lead to.

    GitLab ends a pipeline in the second of its last job, so the id is that of the delivery that has the end.
    """
    finished_at = details.instant(f"{at}finished_at", pipeline.finished_at)
    if finished_at is not None:
        return finished_at
    ends = [end for each in builds if (end := details.instant("$.builds[...].finished_at", each.finished_at))]
    if ends and duration_s:
        return max(ends)
    updated_at = details.instant(f"{at}updated_at", pipeline.updated_at)
    if updated_at is not None and not duration_s:
        return updated_at  # a list of the REST API has nothing else of the end
    created_at = details.needed_instant(f"{at}created_at", pipeline.created_at)
    queued_s = details.seconds(f"{at}queued_duration", pipeline.queued_duration) or 0.0
    waited_s = min(queued_s + duration_s, 1e9) if duration_s else 0.0
    return created_at + timedelta(seconds=waited_s)


def _started_at(
    details: Details, pipeline: _Pipeline, finished_at: datetime, duration_s: float | None, at: str
) -> datetime:
    if duration_s:
        return max(finished_at - timedelta(seconds=min(duration_s, 1e9)), EARLIEST)
    created_at = details.instant(f"{at}created_at", pipeline.created_at)
    return min(created_at or finished_at, finished_at)


def _read_builds(details: Details, builds: Raw) -> list[_Build]:
    """The jobs; where one is not an object, the others."""
    if not builds or bytes(builds) == b"null":
        return []
    try:
        return _builds(bytes(builds))
    except msgspec.DecodeError:
        each = details.part("$.builds", builds, _raws) or []
        return [build for raw in each if (build := details.part("$.builds[...]", raw, _build))]


def _step(details: Details, build: _Build) -> Step | None:
    name = details.text("$.builds[...].name", build.name)
    if name is None:
        details.left_out.append("$.builds[...].name")
        return None
    stage = details.text("$.builds[...].stage", build.stage)
    status = STATUS.get(build.status) if isinstance(build.status, str) else None
    duration_s = details.seconds("$.builds[...].duration", build.duration)
    shown = f"{stage}: {name}" if stage else name
    return Step(shown if len(shown) <= 512 else shown[:511] + "…", status, duration_s)


def _excerpt(builds: list[_Build]) -> str | None:
    """Why each failed job did, after its name. A job that did not fail may have a reason, too."""
    failed = [build for build in builds if build.status == "failed" and isinstance(build.failure_reason, str)]
    if not failed:
        return None
    named = ((": ".join(filter(None, map(_text, (job.stage, job.name)))), job.failure_reason) for job in failed)
    return excerpt_of_text(named_texts(named))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _branch_or_tag(details: Details, pipeline: _Pipeline, merge_request: Raw) -> tuple[object, object]:
    """(branch, tag). A fork's branch has the number of its project before it: the payload has no name of it."""
    if pipeline.tag is True:
        return None, pipeline.ref
    merged = details.part("$.merge_request", merge_request, _merge_request)
    if merged is None:
        return pipeline.ref, None
    branch = merged.source_branch or pipeline.ref
    source, target = merged.source_project_id, merged.target_project_id
    if isinstance(branch, str) and isinstance(source, int) and isinstance(target, int) and source != target:
        return f"{source}:{branch}", None
    return branch, None


def _child(details: Details, name: str | None, stages: object) -> str:
    """A child pipeline by its `workflow:name`; without one by its stages, which often differ where its file does."""
    if name:
        return variant_of_name(CHILD_PREFIX + name)
    place = "$.object_attributes.stages"
    named = [text for each in details.entries(place, stages) if (text := details.text(place, each))]
    return variant_of_name(f"{UNNAMED_CHILD} ({', '.join(named)})" if named else UNNAMED_CHILD)


def _variant(pipeline: _Pipeline, branch: object, tag: object, project: _Project) -> str | None:
    """None where the payload does not name the default branch: the REST API's pipelines do not."""
    if isinstance(pipeline.source, str) and pipeline.source in _VARIANTS:
        return _VARIANTS[pipeline.source]
    return variant_of_ref(branch, tag, project.default_branch)


def _project_of(details: Details, web_url: object) -> str:
    """`acme/shop` of `https://gitlab.example/acme/shop/-/pipelines/1`: the REST API sends nothing else of it."""
    link = details.link("$.web_url", web_url)
    path = url_parts(link).path.rpartition("/pipelines/")[0].removesuffix("/-").strip("/") if link else ""
    if not path:
        raise details.refusal("missing_field", "$.web_url", "does not name the project")
    return path


def _is_pipeline(fields: Fields) -> bool:
    return (
        "ref" in fields and "status" in fields and "web_url" in fields and "id" in fields
        and _PAGE.search(bytes(fields["web_url"])) is not None
    )  # fmt: skip


def _recognises(fields: Fields) -> bool:
    if "object_kind" in fields:
        return "project" in fields or "project_id" in fields or "object_attributes" in fields
    return _is_pipeline(fields)


SOURCE: Source = Source(
    name="gitlab",
    title="GitLab CI",
    recognises=_recognises,
    read=read,
    becomes="a finished pipeline becomes an execution, with its jobs as steps, which the REST API does not "
    "have, and one that runs a start; a retry is a new execution",
    statuses=STATUS,
    places=Places(
        id="object_attributes.id",
        workflow="project.path_with_namespace",
        status="object_attributes.status",
        started="object_attributes.created_at",
        finished="object_attributes.finished_at",
        duration="object_attributes.duration",
        branch="object_attributes.ref",
        url="object_attributes.url",
        refines=("object_attributes.name",),
    ),
    needed=("object_kind", "object_attributes.id", "object_attributes.status", "project.path_with_namespace"),
    webhook=Webhook(
        setting="gitlab_webhook_token",
        verification=token_header(
            "X-Gitlab-Token",
            advice="enter the value of STREAM_DETECTOR_GITLAB_WEBHOOK_TOKEN as Secret token in the webhook's settings",
        ),
        event_header="X-Gitlab-Event",
        events=("Pipeline Hook", "System Hook"),
        description="GitLab's webhook: a finished pipeline becomes an execution. Any other delivery is acknowledged; "
        "`message` is why nothing was accepted.",
    ),
)
