"""GitHub Actions: one completed run of a workflow is one execution, from the webhook or from the REST API.

Sources: GitHub's "Webhook events and payloads" (`workflow_run`) and the REST API's "Workflow runs". The duration is
`updated_at - run_started_at`, which is what GitHub's own page shows; id and `run_attempt` together are the event's id,
so a delivery that is sent again counts once and a run that is started again counts separately.

Gitea's `workflow_run` and its REST API have the same form, but for the times: `started_at` and `completed_at`
(`ActionWorkflowRun` in its `modules/structs`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict

import msgspec
from msgspec import Raw, Struct

from stream_detector.events.completion import Completion, Status
from stream_detector.events.inputs import Event
from stream_detector.events.sources.details import Details, attempt, fit_id, object_fields
from stream_detector.events.sources.document import read_start
from stream_detector.events.sources.source import Fields, Places, Reading, Source, Webhook, read_entries
from stream_detector.events.sources.verification import hmac_sha256
from stream_detector.events.start import Start
from stream_detector.events.variant import MANUAL, PULL_REQUEST, SCHEDULE, TAG, variant_of_ref

STATUS: dict[str, Status] = {
    "success": "success",
    "neutral": "success",
    "failure": "failure",
    "timed_out": "timeout",
    "startup_failure": "error",
    "cancelled": "cancellation",
    "stale": "cancellation",
    "skipped": "skip",
    "action_required": "skip",
}
"""GitHub's conclusion -> our status. `action_required` waits for an approval: nothing has run."""
_NOT_ENDED = "the run has not ended"
_ADVICE = "in the webhook's settings choose Workflow runs, or send a run as GitHub's REST API returns it"
_OTHER_EVENTS = (
    "workflow_job",
    "check_run",
    "check_suite",
    "deployment_status",
    "deployment",
    "pull_request",
    "issue",
    "release",
    "commits",
)
"""Fields that only deliveries of other events have at their top."""
_TAG_REF = "refs/tags/"
_VARIANTS = {
    "schedule": SCHEDULE,
    "pull_request": PULL_REQUEST,
    "pull_request_target": PULL_REQUEST,
    "merge_group": PULL_REQUEST,
    "workflow_dispatch": MANUAL,
    "release": TAG,
}
"""Event that started the run -> variant; of any other event the branch decides."""


class _Run(Struct):
    id: Any = None
    conclusion: Any = None
    status: Any = None
    run_started_at: Any = None
    created_at: Any = None
    updated_at: Any = None
    started_at: Any = None
    completed_at: Any = None
    name: Any = None
    path: Any = None
    workflow_id: Any = None
    run_attempt: Any = None
    html_url: Any = None
    head_branch: Any = None
    head_sha: Any = None
    event: Any = None
    head_repository: Raw = Raw()
    repository: Raw = Raw()


class _Repository(Struct):
    id: Any = None
    name: Any = None
    full_name: Any = None
    default_branch: Any = None


class _Workflow(Struct):
    id: Any = None
    path: Any = None


class _Delivery(Struct):
    workflow_run: _Run
    workflow: Raw = Raw()
    action: Any = None
    repository: Raw = Raw()


class _Runs(Struct):
    workflow_runs: list[Raw]


_delivery = msgspec.json.Decoder(_Delivery).decode
_runs = msgspec.json.Decoder(_Runs).decode
_run = msgspec.json.Decoder(_Run).decode
_repository = msgspec.json.Decoder(_Repository).decode
_workflow = msgspec.json.Decoder(_Workflow).decode


def read(payload: bytes) -> Reading:
    """The execution that ended, or those of a list; of a run that is requested or in progress why there is none."""
    details = Details(_ADVICE)
    delivery = attempt(_delivery, payload)
    if delivery is None:
        return _read_other(details, payload)
    if isinstance(delivery.action, str) and delivery.action != "completed":
        if delivery.action not in ("requested", "in_progress"):
            return Reading(ignored=_NOT_ENDED)
        begun_at = "updated_at" if delivery.action == "in_progress" else ""
        reading = _read_start(details, delivery.workflow_run, delivery.repository, "$.workflow_run.", begun_at)
        return reading if delivery.workflow_run.path else _with_known(details, delivery, reading)
    reading = _read_run(details, delivery.workflow_run, delivery.repository, "$.workflow_run.")
    if not delivery.workflow_run.path:
        return _with_known(details, delivery, reading)
    return reading._replace(number=_number(details, delivery))


def _number(details: Details, delivery: _Delivery) -> str:
    """GitHub's numbers of repository and workflow, which a rename of either leaves as they are."""
    own = details.part("$.repository", delivery.repository, _repository)
    numbers = (own.id if own else None, delivery.workflow_run.workflow_id)
    return "/".join(map(str, numbers)) if all(type(number) is int for number in numbers) else ""


def _read_other(details: Details, payload: bytes) -> Reading:
    """What is no delivery of a run: runs of the REST API, and deliveries of other events."""
    fields = details.decode(object_fields, payload)
    if "workflow_run" in fields:
        details.decode(_delivery, payload)  # raises, since it could not be read before
    if "workflow_runs" in fields:
        return _read_list(details.decode(_runs, payload).workflow_runs)
    if _is_run(fields):
        return _read_run(details, details.decode(_run, payload), Raw(), "$.")
    if "changes" in fields:
        return _read_change(details, fields)
    if "zen" in fields:
        return Reading(ignored=_ping(details, fields))
    for name in _OTHER_EVENTS:
        if name in fields:
            return Reading(ignored=f"{'push' if name == 'commits' else name} is not switched on")
    raise details.refusal("unsupported_format", "$", "is not a workflow run of GitHub Actions")


def _read_list(entries: Sequence[Raw]) -> Reading:
    left_out: list[str] = []

    def read_one(entry: Raw) -> Sequence[Event]:
        details = Details(_ADVICE)
        found = _read_run(details, details.decode(_run, bytes(entry)), Raw(), "$.workflow_runs[...].")
        left_out.extend(found.left_out)
        return found.events

    events, refused = read_entries(entries, read_one, bytes)
    ignored = "" if events or refused else "none of the runs has ended"
    return Reading(events, ignored, left_out, refused)


def _read_run(details: Details, run: _Run, repository: Raw, at: str) -> Reading:
    """Args: `at` is the place of the run, `repository` what stands next to it in a delivery."""
    if run.conclusion is None and run.status is not None and run.status != "completed":
        return _read_start(details, run, repository, at)
    own = details.part("$.repository", repository or run.repository, _repository) or _Repository()
    full_name = details.needed_text("$.repository.full_name", own.full_name)
    number = details.needed_number(f"{at}id", run.id)
    status = details.needed_status(f"{at}conclusion", run.conclusion, STATUS)
    attempt = _attempt(details, run, at)
    finished_at = details.needed_instant(f"{at}updated_at", run.updated_at or run.completed_at)
    started_at = _started_at(details, run, attempt, at)
    if started_at is not None and started_at > finished_at:
        details.left_out.append(f"{at}run_started_at")
        started_at = None
    event = Completion(
        **_about(details, run, own, full_name, at),
        execution_id=f"github:{number}",
        status=status,
        started_at=started_at or finished_at,
        finished_at=finished_at,
        duration_s=(finished_at - started_at).total_seconds() if started_at else None,
        attempt=attempt,
    )
    return Reading((event,), "", details.left_out)


class _About(TypedDict):
    """What the start and the end of a run have in common."""

    workflow_id: str
    workflow_name: str | None
    labels: dict[str, str]
    url: str | None
    variant: str | None


def _about(details: Details, run: _Run, own: _Repository, full_name: str, at: str) -> _About:
    name = details.text(f"{at}name", run.name)
    path, _, ref = (details.text(f"{at}path", run.path, 4096) or "").partition("@")
    branch, tag = _branch_or_tag(details, run, full_name, ref, at)
    return _About(
        workflow_id=fit_id(f"github:{full_name}:{path or name or 'workflow'}"),
        workflow_name=name or path[-512:] or None,
        labels=details.labels(
            repository=("$.repository.full_name", full_name),
            branch=(f"{at}head_branch", branch),
            tag=(f"{at}head_branch", tag),
            commit=(f"{at}head_sha", run.head_sha),
            trigger=(f"{at}event", run.event),
        ),
        url=details.link(f"{at}html_url", run.html_url),
        variant=_variant(run.event, branch, tag, own.default_branch),
    )


def _attempt(details: Details, run: _Run, at: str) -> int:
    given = 1 if run.run_attempt is None else run.run_attempt
    return max(1, details.needed_number(f"{at}run_attempt", given, most=1_000_000))


def _read_start(details: Details, run: _Run, repository: Raw, at: str, begun_at: str = "") -> Reading:
    """The start of a run that waits or runs.

    Args:
        begun_at: the field with the time at which it began to run, where the payload has one. `run_started_at` is when
            the attempt was asked for: the end's duration is from there.
    """

    def made() -> Start | None:
        own = details.part("$.repository", repository or run.repository, _repository) or _Repository()
        full_name = details.needed_text("$.repository.full_name", own.full_name)
        attempt = _attempt(details, run, at)
        asked_at = _started_at(details, run, attempt, at)
        began_at = details.instant(f"{at}{begun_at}", run.updated_at) if begun_at else None
        if asked_at is not None and began_at is not None and began_at < asked_at:
            began_at = None
        started_at = began_at or asked_at
        if started_at is None:
            return None
        return Start(
            **_about(details, run, own, full_name, at),
            state="started",
            execution_id=f"github:{details.needed_number(f'{at}id', run.id)}",
            started_at=started_at,
            queued_at=asked_at,
            attempt=attempt,
        )

    return read_start(details, _NOT_ENDED, made)


def _with_known(details: Details, delivery: _Delivery, reading: Reading) -> Reading:
    """With the workflow that GitHub's number names, for a run that has no path of its own."""
    workflow = details.part("$.workflow", delivery.workflow, _workflow)
    path = details.text("$.workflow.path", workflow.path, 4096) if workflow else None
    if not workflow or not path or not reading.events or workflow.id != delivery.workflow_run.workflow_id:
        return reading
    own = details.part("$.repository", delivery.repository, _repository) or _Repository()
    return reading._replace(known_as=fit_id(f"github:{own.full_name}:{path.partition('@')[0]}"))


def _started_at(details: Details, run: _Run, attempt: int, at: str) -> datetime | None:
    """When this attempt began. `created_at` is the first one's, so it does not date a later one."""
    started_at = details.instant(f"{at}run_started_at", run.run_started_at or run.started_at)
    if started_at is None and attempt == 1:
        return details.instant(f"{at}created_at", run.created_at)
    return started_at


def _branch_or_tag(details: Details, run: _Run, full_name: str, ref: str, at: str) -> tuple[object, object]:
    """(branch, tag). A fork's branch has its owner before it; a push of a tag looks like one of a branch."""
    name = run.head_branch
    if not isinstance(name, str):
        return name, None  # left out where it is not text
    if run.event == "release" or name.startswith(_TAG_REF) or (run.event == "push" and ref == _TAG_REF + name):
        return None, name.removeprefix(_TAG_REF)
    if not run.head_repository or bytes(run.head_repository) == b"null":
        # GitHub sends null for a fork that was deleted.
        return (f"unknown:{name}" if run.head_repository and run.event == "pull_request" else name), None
    head = details.part(f"{at}head_repository", run.head_repository, _repository)
    head_name = details.text(f"{at}head_repository.full_name", head.full_name) if head else None
    if head_name and head_name.lower() != full_name.lower():
        return f"{head_name.partition('/')[0]}:{name}", None
    return name, None


def _variant(event: object, branch: object, tag: object, default_branch: object) -> str | None:
    """None where the payload does not name the default branch: the REST API's runs do not."""
    if isinstance(event, str) and event in _VARIANTS:
        return _VARIANTS[event]
    return variant_of_ref(branch, tag, default_branch)


def _is_run(fields: Fields) -> bool:
    return "workflow_id" in fields and "conclusion" in fields and "head_branch" in fields


def _ping(details: Details, fields: Fields) -> str:
    """What GitHub sends when the webhook is made: it lists the events that the webhook will send."""
    hook = details.mapping("$.hook", details.part("$.hook", fields.get("hook"), msgspec.json.decode))
    events = details.entries("$.hook.events", hook.get("events"))
    if events and "workflow_run" not in events and "*" not in events:
        return f"ping; this webhook does not send workflow runs: {_ADVICE.partition(',')[0]}"
    return "ping"


def _read_change(details: Details, fields: Fields) -> Reading:
    """A repository or organization that has another name or owner now: all workflows of it are renamed."""
    action = details.part("$.action", fields.get("action"), msgspec.json.decode)
    changes = details.mapping("$.changes", details.part("$.changes", fields.get("changes"), msgspec.json.decode))
    if action == "renamed" and "organization" in fields and "repository" not in fields:
        organization = details.mapping(
            "$.organization", details.part("$.organization", fields["organization"], msgspec.json.decode)
        )
        login = details.needed_text("$.organization.login", organization.get("login"))
        before = details.needed_text("$.changes.login.from", _at(changes, "login", "from"))
        return Reading(moved=(f"github:{before}/", f"github:{login}/"))
    if action not in ("renamed", "transferred"):
        return Reading(ignored="nothing was renamed")
    own = details.part("$.repository", fields.get("repository"), _repository) or _Repository()
    full_name = details.needed_text("$.repository.full_name", own.full_name)
    owner, _, name = full_name.partition("/")
    if action == "renamed":
        name = details.needed_text("$.changes.repository.name.from", _at(changes, "repository", "name", "from"))
    else:
        user = _at(changes, "owner", "from", "user", "login") or _at(changes, "owner", "from", "organization", "login")
        owner = details.needed_text("$.changes.owner.from", user)
    return Reading(moved=(f"github:{owner}/{name}:", f"github:{full_name}:"))


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _recognises(fields: Fields) -> bool:
    if "workflow_run" in fields or "workflow_job" in fields:
        return "action" in fields and "repository" in fields
    if "workflow_runs" in fields:
        return "total_count" in fields
    if _is_run(fields) or ("zen" in fields and "hook" in fields):
        return True
    return "repository" in fields and "sender" in fields and any(name in fields for name in _OTHER_EVENTS)


SOURCE: Source = Source(
    name="github",
    title="GitHub Actions",
    recognises=_recognises,
    read=read,
    becomes="a completed `workflow_run` becomes an execution, one that is requested or in progress a start, also as a "
    "run or a list of runs of the REST API; the payload has no jobs, so the execution has no steps",
    statuses=STATUS,
    places=Places(
        id="workflow_run.id",
        workflow="workflow_run.path",
        status="workflow_run.conclusion",
        started="workflow_run.run_started_at",
        finished="workflow_run.updated_at",
        attempt="workflow_run.run_attempt",
        branch="workflow_run.head_branch",
        url="workflow_run.html_url",
    ),
    needed=(
        "action",
        "workflow_run.id",
        "workflow_run.run_attempt",
        "workflow_run.conclusion",
        "workflow_run.updated_at",
        "repository.full_name",
    ),
    webhook=Webhook(
        setting="github_webhook_secret",
        verification=hmac_sha256(
            "X-Hub-Signature-256",
            advice="enter the value of STREAM_DETECTOR_GITHUB_WEBHOOK_SECRET as Secret in the webhook's settings",
        ),
        content_types=("application/json", "application/x-www-form-urlencoded"),
        event_header="X-GitHub-Event",
        events=("workflow_run", "repository", "organization", "ping"),
        description="GitHub's webhook, as JSON or as a form: a completed `workflow_run` becomes an execution, "
        "one that is requested or in progress a start. A repository or organization that is renamed or transferred "
        "renames its workflows. Any other delivery is acknowledged; `message` is why nothing was accepted.",
    ),
)
