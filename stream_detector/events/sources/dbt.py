"""dbt's artifact `run_results.json`: one invocation of dbt is one execution, its models and tests are the steps.

Source: the artifact's JSON schemas, `dbt/run-results` v1 to v6 in dbt-labs/schemas.getdbt.com; the statuses are those
of its `RunStatus`, `TestStatus` and `FreshnessStatus`. `generated_at` is the end, `elapsed_time` the seconds.
`invocation_id` is the event's id; `dbt retry` is an invocation of its own.

What is regular about an invocation is its command: project, command, target and selection make the workflow.
"""

from collections import Counter

from stream_detector.events.completion import Status, Step
from stream_detector.events.sources.document import Document, execution, members, outcome, read_document, step
from stream_detector.events.sources.source import Fields, Places, Reading, Source, Webhook
from stream_detector.events.sources.verification import authorization

STATUS: dict[str, Status] = {
    "success": "success",
    "pass": "success",
    "warn": "success",
    "fail": "failure",
    "partial success": "failure",
    "error": "error",
    "runtime error": "error",
    "skipped": "skip",
    "no-op": "skip",
}
"""dbt's status of a node -> that of the step. Of a partial success some batches have failed. One that failed or has an
error makes the invocation a failure, as dbt's exit code does; one in which nothing ran is skipped."""

_ADVICE = "send target/run_results.json as dbt writes it"
_SELECTION = ("target", "select", "exclude", "selector")


def read(payload: bytes) -> Reading:
    """The invocation. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    results = _results(document)
    ended_at = document.needed_moment("metadata.generated_at")
    run = document.needed_text("metadata.invocation_id")
    command = document.text("args.which") or document.text("args.rpc_method")
    steps = [_step(result) for result in results]
    project = _project(steps)
    selection = [(name, _joined(document.value(f"args.{name}"))) for name in _SELECTION]
    parts = [part for part in (project, command) if part] + [f"{name}={value}" for name, value in selection if value]
    event = execution(
        run=f"dbt:{run}",
        workflow="dbt:" + ":".join(parts or ["run"]),
        name=" ".join(part for part in ("dbt", command, project, *(value for _, value in selection)) if part),
        status=outcome(each.status for each in steps),
        ended_at=ended_at,
        duration_s=document.seconds("elapsed_time"),
        steps=steps,
        labels={"project": project, "command": command, "target": document.text("args.target")},
    )
    return Reading([event], "", document.details.left_out)


def _results(document: Document) -> list[Document]:
    """All of them: one that is left out could have been the one that failed."""
    found = document.value("results")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise document.details.refusal("wrong_type", "$.results", "is not an array of objects")
    return document.parts("results")


def _step(result: Document) -> Step:
    status = result.needed_status("status", STATUS)
    return step(result.text("unique_id") or "node", status, result.seconds("execution_time"))


def _project(steps: list[Step]) -> str | None:
    """The package that most nodes are of: `model.shop.orders` is of the package `shop`."""
    counted = Counter(names[1] for each in steps if len(names := each.name.split(".", 2)) > 2)
    return counted.most_common(1)[0][0] if counted else None


def _joined(value: object) -> str | None:
    """A selection is a list of texts, or one text."""
    texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return " ".join(sorted(each for each in texts if isinstance(each, str) and "\0" not in each)) or None


def _recognises(fields: Fields) -> bool:
    return fields.keys() >= {"metadata", "results", "elapsed_time"} and "generated_at" in members(fields, "metadata")


SOURCE: Source = Source(
    name="dbt",
    title="dbt",
    recognises=_recognises,
    read=read,
    becomes="`run_results.json` becomes one execution of the invocation with its models and tests as steps; of more "
    "than 1,000 those that failed and the longest; there is no branch and no link",
    statuses=STATUS,
    places=Places(
        id="metadata.invocation_id",
        workflow="args.which",
        status="results.0.status",
        finished="metadata.generated_at",
        duration="elapsed_time",
    ),
    needed=("metadata.invocation_id", "metadata.generated_at", "results", "args"),
    webhook=Webhook(
        setting="dbt_webhook_token",
        verification=authorization(
            advice="send the value of STREAM_DETECTOR_DBT_WEBHOOK_TOKEN as Authorization: Bearer"
        ),
        description="dbt's `run_results.json`, posted after dbt has ended: the invocation becomes an execution.",
    ),
)
