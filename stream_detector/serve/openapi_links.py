"""Where an answer leads: the links of the OpenAPI document, by which programs go from one route to the next."""

from typing import Any

_FIRST = "$response.body#/items/0"
_NEXT = "$response.body#/next"


def _to(operation: str, description: str, body: Any = None, **parameters: str) -> dict[str, Any]:
    link: dict[str, Any] = {"operationId": operation, "description": description}
    if parameters:
        link["parameters"] = parameters
    if body is not None:
        link["requestBody"] = body
    return link


def _next_page(operation: str) -> dict[str, Any]:
    return _to(operation, "The next page, if there is one.", cursor=_NEXT)


LINKS: dict[str, dict[str, dict[str, Any]]] = {
    "list_anomalies": {
        "nextPage": _next_page("list_anomalies"),
        "firstAnomaly": _to("one_anomaly", "All fields of the newest anomaly.", id=f"{_FIRST}/id"),
        "whyFirst": _to("why", "Why the newest anomaly was or was not notified.", anomaly=f"{_FIRST}/id"),
        "itsIncident": _to("one_incident", "The incident of the newest anomaly.", id=f"{_FIRST}/incident_id"),
    },
    "one_anomaly": {
        "why": _to("why", "Why the anomaly was or was not notified.", anomaly="$response.body#/id"),
        "incident": _to("one_incident", "The incident of the anomaly.", id="$response.body#/incident_id"),
    },
    "list_incidents": {
        "nextPage": _next_page("list_incidents"),
        "firstIncident": _to(
            "one_incident", "The newest incident with its records, actions and notifications.", id=f"{_FIRST}/id"
        ),
        "acknowledgeFirst": _to(
            "act", "Acknowledge the newest incident.", {"kind": "acknowledge", "incident_ids": [f"{_FIRST}/id"]}
        ),
    },
    "executions": {
        "checkNewest": _to(
            "check_anomalies", "Check the newest execution.", {"workflow_execution_id": f"{_FIRST}/execution_id"}
        ),
        "whyNewest": _to(
            "why", "Why the newest execution was or was not notified.", execution=f"{_FIRST}/execution_id"
        ),
    },
    "workflows": {
        "nextPage": _next_page("workflows"),
        "seriesOfFirst": _to("entity_series", "Readings of the first workflow.", entity=f"{_FIRST}/key"),
        "executionsOfFirst": _to("executions", "Executions of the first workflow.", workflow=f"{_FIRST}/entity_id"),
    },
    "entities": {
        "nextPage": _next_page("entities"),
        "seriesOfFirst": _to("entity_series", "Readings of the first entity.", entity=f"{_FIRST}/key"),
    },
    "runs": {
        "nextPage": _next_page("runs"),
        "firstRun": _to("one_run", "The newest score run.", id=f"{_FIRST}/run_id"),
    },
    "inbox": {
        "nextPage": _next_page("inbox"),
        "markFirstRead": _to("mark_read", "Mark the newest message as read.", id=f"{_FIRST}/id"),
    },
    "list_silences": {"nextPage": _next_page("list_silences")},
    "make_silence": {"lift": _to("lift_silence", "Expire the silence.", id="$response.body#/id")},
    "list_actions": {"nextPage": _next_page("list_actions")},
    "list_dead_letters": {
        "nextPage": _next_page("list_dead_letters"),
        "firstDeadLetter": _to(
            "one_dead_letter",
            "The newest dead letter with its payload.",
            id=f"{{{_FIRST}/partition}}-{{{_FIRST}/offset}}",
        ),
    },
    "list_schemas": {"firstSchema": _to("one_schema", "The first schema.", id=_FIRST)},
}
"""operationId -> name -> Link Object of its 200 answer (OpenAPI 3.1, 4.8.20)."""
