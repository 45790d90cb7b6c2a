"""Apache Airflow: one DAG run that has ended is one execution.

Sources: Airflow's stable REST API, `DAGRun` and `DAGRunCollection` (Airflow 2), `DAGRunResponse` (3), and the
listener plugin's `on_dag_run_success` and `on_dag_run_failed`, whose `DagRun` has the same attributes with
`run_id` for `dag_run_id`. The states are those of `DagRunState`, the kinds of run those of `DagRunType`.

A run that is cleared keeps its id, starts and ends again; so the event's id is the run's and the time of its end.
"""

from stream_detector.events.completion import Status
from stream_detector.events.sources.document import (
    Document,
    RunFields,
    execution,
    read_document,
    read_each,
    read_start,
    start,
)
from stream_detector.events.sources.source import Fields, Places, Reading, Source, Webhook
from stream_detector.events.sources.verification import authorization
from stream_detector.events.start import Start
from stream_detector.events.variant import MANUAL, SCHEDULE

STATUS: dict[str, Status] = {"success": "success", "failed": "failure"}
"""Airflow's state of a DAG run that has ended -> our status."""

_NOT_ENDED = "the DAG run has not ended"
_UNFINISHED = ("queued", "running", "restarting")
_VARIANTS = {"scheduled": SCHEDULE, "manual": MANUAL, "backfill": MANUAL}
"""A backfill is started by a person, and runs while many others of its kind do."""
_ADVICE = "send a DAG run as Airflow's REST API returns it: dag_id, dag_run_id, state, start_date, end_date"


def read(payload: bytes) -> Reading:
    """The DAG runs that have ended; of one that has not why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    if isinstance(document.value("dag_runs"), list):
        return read_each(document.parts("dag_runs"), _read_run, "none of the DAG runs has ended")
    return _read_run(document)


def _read_run(document: Document) -> Reading:
    if "task_id" in document.root:
        return Reading(ignored="a task instance is not read, only a DAG run")
    if document.value("state") == "running":
        return read_start(document.details, _NOT_ENDED, lambda: _start(document))
    if document.value("state") in _UNFINISHED:
        return Reading(ignored=_NOT_ENDED)
    event = execution(
        **_about(document),
        status=document.needed_status("state", STATUS),
        ended_at=document.needed_moment("end_date"),
        started_at=document.moment("start_date"),
        output=document.output("note"),
        may_end_again=True,
    )
    return Reading([event], "", document.details.left_out)


def _about(document: Document) -> RunFields:
    dag = document.needed_text("dag_id")
    run = document.needed_text("dag_run_id" if "dag_run_id" in document.root else "run_id")
    kind = document.text("run_type") or _kind_of_id(run)
    return RunFields(
        run=f"airflow:{dag}:{run}",
        workflow=f"airflow:{dag}",
        name=document.text("dag_display_name") or dag,
        labels={"trigger": kind},
        url=None,
        variant=_VARIANTS.get(kind or ""),
    )


def _start(document: Document) -> Start | None:
    about = _about(document)
    return start(about, document.moment("start_date"), document.moment("queued_at"), may_end_again=True)


def _kind_of_id(run: str) -> str | None:
    """Airflow makes the ids of its own runs from their kind, `scheduled__2026-01-22T00:00:00+00:00`."""
    kind, separator, _ = run.partition("__")
    return (
        kind
        if separator and kind in ("scheduled", "manual", "backfill", "asset_triggered", "dataset_triggered")
        else None
    )


def _recognises(fields: Fields) -> bool:
    if "dag_runs" in fields:
        return "total_entries" in fields
    return "dag_id" in fields and "state" in fields and ("dag_run_id" in fields or "run_id" in fields)


SOURCE: Source = Source(
    name="airflow",
    title="Apache Airflow",
    recognises=_recognises,
    read=read,
    becomes="a DAG run that has ended, one or a list of the REST API's, becomes an execution without steps, and one "
    "that runs a start; a run that is cleared and ends again is another one; the payload does not name the "
    "installation",
    statuses=STATUS,
    places=Places(id="dag_run_id", workflow="dag_id", status="state", started="start_date", finished="end_date"),
    needed=("dag_id", "dag_run_id", "state", "end_date"),
    webhook=Webhook(
        setting="airflow_webhook_token",
        verification=authorization(advice="send STREAM_DETECTOR_AIRFLOW_WEBHOOK_TOKEN as Authorization: Bearer"),
        description="DAG runs in the form of Airflow's REST API, for example from a listener plugin: one that has "
        "ended becomes an execution, one that runs a start; any other is acknowledged, and the message is why nothing "
        "was accepted.",
    ),
)
