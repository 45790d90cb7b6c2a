"""dbt's artifact `run_results.json`: one invocation of dbt is one execution, its models and tests are the steps.

Source: the artifact's JSON schemas, `dbt/run-results` v1 to v6 in dbt-labs/schemas.getdbt.com; the statuses are those
of its `RunStatus`, `TestStatus` and `FreshnessStatus`. `generated_at` is the end, `elapsed_time` the seconds.
`invocation_id` is the event's id; `dbt retry` is an invocation of its own.

What is regular about an invocation is its command: project, command, target and selection make the workflow. Read by
nodes (`--models`), each model, seed, snapshot and test is a workflow of its own, whatever command it ran in; the target
is part of it, since development and production have neither the same data nor the same machine.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from stream_detector.events.completion import Status, Step
from stream_detector.events.inputs import Event
from stream_detector.events.sources.document import (
    Document,
    execution,
    members,
    named_texts,
    outcome,
    read_document,
    step,
)
from stream_detector.events.sources.source import (
    Fields,
    Places,
    Reading,
    Source,
    Webhook,
    read_entries,
    reading_of,
)
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
    command = _command(document)
    steps = [_step(result) for result in results]
    project = _project(steps)
    args = document.part("args")
    selection = [(name, _joined(args.value(name))) for name in _SELECTION]
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
        output=named_texts(map(_named_message, steps, results)),
    )
    return Reading([event], "", document.details.left_out)


def read_nodes(payload: bytes) -> Reading:
    """Each node of the invocation as an execution. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    ended_at = document.needed_moment("metadata.generated_at")
    run = document.needed_text("metadata.invocation_id")
    command = _command(document)
    target = document.text("args.target")

    def read_node(result: Document) -> Sequence[Event]:
        node = result.needed_text("unique_id")
        started_at, finished_at = _span(result)
        return [
            execution(
                run=f"dbt:{run}:{node}",
                workflow=f"dbt:{node}:target={target}" if target else f"dbt:{node}",
                name=f"dbt {node}",
                status=result.needed_status("status", STATUS),
                started_at=started_at,
                ended_at=finished_at or ended_at,
                duration_s=result.seconds("execution_time"),
                labels={"project": _package(node), "command": command, "target": target},
                output=result.output("message"),
            )
        ]

    events, refused = read_entries(_results(document), read_node, lambda _: None)
    return reading_of(events, refused, "no node ran in this invocation", document.details.left_out)


def _span(result: Document) -> tuple[datetime | None, datetime | None]:
    """Start and end of a node; none of one that was skipped."""
    timing = result.parts("timing")
    begun = [at for each in timing if (at := each.moment("started_at"))]
    ended = [at for each in timing if (at := each.moment("completed_at"))]
    return min(begun, default=None), max(ended, default=None)


def _command(document: Document) -> str | None:
    """`target/sources.json` has no arguments: it is what `dbt source freshness` writes."""
    given = document.text("args.which") or document.text("args.rpc_method")
    is_freshness = "/dbt/sources/" in (document.text("metadata.dbt_schema_version") or "")
    return given or ("source freshness" if is_freshness else None)


def _results(document: Document) -> list[Document]:
    """All of them: one that is left out could have been the one that failed."""
    found = document.value("results")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise document.details.refusal("wrong_type", "$.results", "is not an array of objects")
    return document.parts("results")


def _named_message(node: Step, result: Document) -> tuple[str, str | None]:
    """What dbt has about a node that failed, or that warns: of the others it is the number of rows."""
    is_kept = node.status != "success" or result.value("status") == "warn"
    return node.name, result.output("message") if is_kept else None


def _step(result: Document) -> Step:
    status = result.needed_status("status", STATUS)
    return step(result.text("unique_id") or "node", status, result.seconds("execution_time"))


def _project(steps: list[Step]) -> str | None:
    """The package that most nodes are of: `model.shop.orders` is of the package `shop`."""
    counted = Counter(package for each in steps if (package := _package(each.name)))
    return counted.most_common(1)[0][0] if counted else None


def _package(node: str) -> str | None:
    names = node.split(".", 2)
    return names[1] if len(names) > 2 else None


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
    read_parts=read_nodes,
    becomes="`run_results.json` becomes one execution of the invocation with its models and tests as steps; of more "
    "than 1,000 those that failed and the longest; there is no branch and no link. With `--models` "
    "each node is an execution",
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
