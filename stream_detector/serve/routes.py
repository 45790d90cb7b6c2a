"""Every route of the API, once: the server is built from this list, and so is the OpenAPI document."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from msgspec import Struct

from stream_detector.events import Anomaly, Completion, Score, ScoreRun, Start
from stream_detector.events.sources import SOURCES
from stream_detector.serve.authentication import ACT, ALL, READ, SEND, SIGNED
from stream_detector.serve.judgement import NotEvaluatedYet
from stream_detector.serve.problems import PING_FOLDER
from stream_detector.serve.requests import Paged
from stream_detector.serve.resources import (
    actions,
    anomalies,
    anomaly_edits,
    anomaly_export,
    baselines,
    checks,
    dead_letters,
    events,
    executions,
    health,
    inbox,
    incidents,
    live_stream,
    overview,
    pings,
    renames,
    running,
    runs,
    schedule,
    schemas,
    series,
    session,
    settings,
    silences,
    webhooks,
    why,
)
from stream_detector.store.credentials import Identity


@dataclass(frozen=True)
class Route:
    """One route. `problems` are the statuses it may answer besides 401, 403, 500 and (with a database) 503.

    `roles` are those that may call it; `guard.py` alone checks them.
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    answer: Any = None
    """The type of the 200 answer; None means 204."""
    query: type[Struct] | None = None
    body: Any = None
    """The type of the body, or a tuple of those that it may be."""
    problems: tuple[int, ...] = (400,)
    database: bool = True
    also: tuple[str, ...] = ()
    """Content types of the 200 answer besides JSON."""
    roles: frozenset[str] = READ
    kind: str = "application/json"
    """Content type of the 200 answer."""
    partly: bool = False
    """Whether it may answer 207: some of what was sent was refused."""
    pending: type[Struct] | None = None
    """The type of a 202 answer: there is no result yet."""
    text_body: bool = False
    """Whether it takes a plain text as its body."""


_AI = "/api/v1/ai"
ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        f"{_AI}/check-anomalies",
        checks.check_anomalies,
        "Check one execution",
        list[Anomaly],
        body=checks.CheckRequest,
        problems=(400, 404, 408, 413, 415, 422),
        pending=NotEvaluatedYet,
    ),
    Route(
        "GET",
        f"{_AI}/anomalies",
        anomalies.list_anomalies,
        "List anomalies",
        anomalies.AnomalyPage,
        anomalies.AnomaliesQuery,
    ),
    Route(
        "GET",
        f"{_AI}/anomalies/trends",
        anomalies.trends,
        "Count opened anomalies",
        anomalies.Trends,
        anomalies.AnomalyFilter,
    ),
    Route(
        "GET",
        f"{_AI}/anomalies/facets",
        anomalies.count_facets,
        "Count matches per filter value",
        anomalies.AnomalyFacets,
        anomalies.AnomalyFilter,
    ),
    Route(
        "GET",
        f"{_AI}/anomalies/export",
        anomaly_export.export_anomalies,
        "Export matching anomalies as a file",
        list[anomalies.ListedAnomaly],
        anomaly_export.ExportQuery,
        also=("text/csv",),
    ),
    Route(
        "GET",
        f"{_AI}/anomalies/{{id}}",
        anomalies.one_anomaly,
        "One anomaly",
        anomalies.AnomalyDetail,
        problems=(404,),
    ),
    Route(
        "POST",
        f"{_AI}/anomalies",
        anomaly_edits.create_anomaly,
        "Create an anomaly",
        anomalies.StoredAnomaly,
        body=anomaly_edits.NewAnomaly,
        problems=(400, 408, 409, 413, 415),
        roles=ACT,
    ),
    Route(
        "PATCH",
        f"{_AI}/anomalies/{{id}}",
        anomaly_edits.update_anomaly,
        "Change an anomaly",
        anomalies.StoredAnomaly,
        body=anomaly_edits.AnomalyChanges,
        problems=(400, 404, 408, 413, 415),
        roles=ACT,
    ),
    Route(
        "DELETE",
        f"{_AI}/anomalies/{{id}}",
        anomaly_edits.delete_anomaly,
        "Delete an anomaly",
        problems=(404,),
        roles=ACT,
    ),
    Route(
        "GET",
        "/api/v1/series",
        series.entity_series,
        "Readings of one entity with their expected band",
        series.Series,
        series.SeriesQuery,
        problems=(400, 404),
    ),
    Route(
        "GET",
        "/api/v1/executions",
        executions.executions,
        "Past executions of one workflow",
        executions.ExecutionList,
        executions.ExecutionsQuery,
    ),
    Route(
        "GET",
        "/api/v1/running",
        running.running,
        "Executions that run now",
        running.RunningPage,
        running.RunningQuery,
    ),
    Route(
        "GET",
        "/api/v1/schedule",
        schedule.schedule,
        "When runs are expected, and what is missed",
        schedule.SchedulePage,
        schedule.ScheduleQuery,
    ),
    Route(
        "GET",
        "/api/v1/workflows",
        baselines.workflows,
        "Workflows with state and baselines",
        baselines.BaselinePage,
        baselines.BaselinesQuery,
    ),
    Route(
        "GET",
        "/api/v1/entities",
        baselines.entities,
        "Scored entities with state",
        baselines.BaselinePage,
        baselines.BaselinesQuery,
    ),
    Route("GET", "/api/v1/runs", runs.runs, "Score runs with their anomalies", runs.RunPage, Paged),
    Route("GET", "/api/v1/runs/{id}", runs.one_run, "One score run", runs.StoredRun, problems=(404,)),
    Route(
        "GET",
        "/api/v1/overview",
        overview.overview,
        "Overview of anomalies and pipeline health",
        overview.Overview,
        overview.OverviewQuery,
    ),
    Route(
        "GET",
        "/api/v1/incidents",
        incidents.list_incidents,
        "List incidents",
        incidents.IncidentPage,
        incidents.IncidentsQuery,
    ),
    Route(
        "GET",
        "/api/v1/incidents/{id}",
        incidents.one_incident,
        "One incident with its records, actions and notifications",
        incidents.WholeIncident,
        problems=(404,),
    ),
    Route(
        "POST",
        "/api/v1/actions",
        actions.act,
        "Act on incidents or an entity",
        actions.ActionsDone,
        body=actions.ActionRequest,
        problems=(400, 404, 408, 413, 415),
        roles=ACT,
    ),
    Route(
        "GET",
        "/api/v1/actions",
        actions.list_actions,
        "List operator actions",
        actions.ActionPage,
        actions.ActionsQuery,
    ),
    Route(
        "POST",
        "/api/v1/renames",
        renames.rename,
        "Rename a workflow",
        renames.RenameDone,
        body=renames.RenameRequest,
        problems=(400, 404, 408, 409, 413, 415),
        roles=ACT,
    ),
    Route("GET", "/api/v1/renames", renames.list_renames, "Former ids of workflows", renames.RenameList),
    Route("GET", "/api/v1/silences", silences.list_silences, "Silences", silences.SilencePage, silences.SilencesQuery),
    Route(
        "POST",
        "/api/v1/silences",
        silences.make_silence,
        "Create a silence",
        silences.Silence,
        body=silences.SilenceRequest,
        problems=(400, 404, 408, 413, 415),
        roles=ACT,
    ),
    Route("DELETE", "/api/v1/silences/{id}", silences.lift_silence, "Expire a silence", problems=(404,), roles=ACT),
    Route(
        "POST",
        "/api/v1/events",
        events.take_events,
        "Publish events",
        events.IntakeResult,
        events.EventsQuery,
        body=(Completion, Start, Score, ScoreRun),
        problems=(400, 408, 413, 415, 429, 503),
        database=False,
        roles=SEND,
        partly=True,
    ),
    *(
        Route(
            "POST",
            f"/api/v1/webhooks/{source.name}",
            webhooks.webhook_handler(source, source.webhook),
            f"{source.title} webhook",
            webhooks.DeliveryResult,
            webhooks.query_of(source),
            body=dict[str, Any],
            problems=(400, 404, 408, 413, 415, 429, 503),
            database=False,
            roles=SIGNED,
            partly=True,
        )
        for source in SOURCES.values()
        if source.webhook
    ),
    Route(
        "POST",
        "/api/v1/webhooks/{mapping}",
        webhooks.take_mapped,
        "Webhook of a mapping",
        webhooks.DeliveryResult,
        body=dict[str, Any],
        problems=(400, 404, 408, 413, 415, 429, 503),
        database=False,
        roles=SEND,
        partly=True,
    ),
    *(
        Route(
            "POST",
            f"{PING_FOLDER}{{key}}{rest}",
            handler,
            summary,
            query=pings.PingQuery,
            problems=(400, 404, 408, 413, 429, 503),
            roles=SIGNED,
            text_body=True,
        )
        for rest, handler, summary in (
            ("", pings.ping_success, "Report that a run has succeeded"),
            ("/{outcome}", pings.ping, "Report the start or the end of a run"),
        )
    ),
    Route(
        "GET",
        "/api/v1/why",
        why.why,
        "Explain why something was or was not notified",
        why.Why,
        why.WhyQuery,
        problems=(400, 404),
        pending=NotEvaluatedYet,
    ),
    Route(
        "GET",
        "/api/v1/stream",
        live_stream.stream,
        "Live anomalies",
        live_stream.StreamEvent,
        problems=(429, 503),
        database=False,
        kind="text/event-stream",
    ),
    Route(
        "GET",
        "/api/v1/dead-letters",
        dead_letters.list_dead_letters,
        "Dead letters",
        dead_letters.DeadLetterPage,
        dead_letters.DeadLettersQuery,
        roles=ACT,
    ),
    Route(
        "GET",
        "/api/v1/dead-letters/{id}",
        dead_letters.one_dead_letter,
        "One dead letter with its payload",
        dead_letters.WholeDeadLetter,
        problems=(404, 503),
        database=False,
        roles=ACT,
    ),
    Route(
        "POST",
        "/api/v1/dead-letters/{id}/retry",
        dead_letters.retry_dead_letter,
        "Publish a dead letter again",
        dead_letters.Place,
        problems=(404, 503),
        database=False,
        roles=ACT,
    ),
    Route(
        "GET",
        "/api/v1/settings",
        settings.read_settings,
        "Effective settings",
        settings.SettingsInForce,
        problems=(),
        database=False,
    ),
    Route(
        "GET",
        "/api/v1/settings/preview",
        settings.preview,
        "Preview the number of alerts with other settings",
        settings.Preview,
        settings.PreviewQuery,
    ),
    Route(
        "GET",
        "/api/v1/schemas",
        schemas.list_schemas,
        "Event schemas",
        schemas.SchemaList,
        problems=(),
        database=False,
        roles=ALL,
    ),
    Route(
        "GET",
        "/api/v1/schemas/{id}",
        schemas.one_schema,
        "One schema",
        dict[str, Any],
        problems=(404,),
        database=False,
        roles=ALL,
    ),
    Route("GET", "/api/v1/inbox", inbox.inbox, "In-app messages", inbox.InboxPage, inbox.InboxQuery),
    Route(
        "POST",
        "/api/v1/inbox/read",
        inbox.mark_all_read,
        "Mark all messages up to a time as read",
        inbox.Marked,
        body=inbox.MarkAllReadRequest,
        problems=(400, 408, 413, 415),
    ),
    Route("POST", "/api/v1/inbox/{id}/read", inbox.mark_read, "Mark a message as read", problems=(404,)),
    Route(
        "GET",
        "/api/v1/session",
        session.read_session,
        "Current identity",
        Identity,
        problems=(),
        database=False,
        roles=ALL,
    ),
    Route("POST", "/api/v1/session", session.make_session, "Open a browser session with a token", Identity, roles=ALL),
    Route("DELETE", "/api/v1/session", session.end_session, "Close the browser session", problems=(), roles=ALL),
    Route(
        "GET",
        "/api/v1/sessions",
        session.list_sessions,
        "Browser sessions",
        session.SessionList,
        problems=(),
        roles=ACT,
    ),
    Route(
        "DELETE", "/api/v1/sessions/{id}", session.end_any_session, "End a browser session", problems=(404,), roles=ACT
    ),
    Route("GET", "/api/v1/health", health.health, "Health of the pipeline", health.Health, problems=(), database=False),
    Route(
        "GET",
        "/api/v1/openapi.json",
        schemas.openapi,
        "The OpenAPI document",
        dict[str, Any],
        problems=(),
        database=False,
        roles=ALL,
    ),
)
RIGHTS = {(route.method, route.path): route.roles for route in ROUTES}
"""(method, path) -> the roles that may."""
