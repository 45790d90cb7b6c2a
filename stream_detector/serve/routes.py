"""Every route of the API, once: the server is built from this list, and so is the OpenAPI document."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from msgspec import Struct

from stream_detector.events import Anomaly, Completion, Score, ScoreRun
from stream_detector.events.sources import SOURCES
from stream_detector.serve import (
    act,
    answers,
    ask,
    dead_letters,
    handlers,
    incidents,
    intake,
    live,
    overview,
    session,
    settings,
    why,
)
from stream_detector.serve.access import ACT, ALL, READ, SEND, SIGNED
from stream_detector.serve.export import export_anomalies
from stream_detector.serve.series import Series
from stream_detector.store.access import Identity


@dataclass(frozen=True)
class Route:
    """One route. `problems` are the statuses it may answer besides 401, 403, 500 and (with a database) 503.

    `roles` are those that may ask; `guard.py` is the one place that looks at them.
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


_AI = "/api/v1/ai"
ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        f"{_AI}/check-anomalies",
        handlers.check_anomalies,
        "Check one execution",
        list[Anomaly],
        body=ask.CheckQuestion,
        problems=(400, 404, 413, 415),
    ),
    Route(
        "GET",
        f"{_AI}/anomalies",
        handlers.list_anomalies,
        "List anomalies",
        answers.AnomalyPage,
        ask.AnomaliesQuestion,
    ),
    Route(
        "GET",
        f"{_AI}/anomalies/trends",
        handlers.trends,
        "Count opened anomalies",
        answers.TrendsAnswer,
        ask.FilterQuestion,
    ),
    Route(
        "GET",
        f"{_AI}/anomalies/facets",
        handlers.count_facets,
        "Count matches per filter value",
        answers.AnomalyFacets,
        ask.FilterQuestion,
    ),
    Route(
        "GET",
        f"{_AI}/anomalies/export",
        export_anomalies,
        "Export matching anomalies as a file",
        list[answers.ListedAnomaly],
        ask.ExportQuestion,
        also=("text/csv",),
    ),
    Route(
        "GET",
        f"{_AI}/anomalies/{{id}}",
        handlers.one_anomaly,
        "One anomaly",
        answers.StoredAnomaly,
        problems=(404,),
    ),
    Route(
        "GET",
        "/api/v1/series",
        handlers.entity_series,
        "Readings of one entity with their expected band",
        Series,
        ask.SeriesQuestion,
        problems=(400, 404),
    ),
    Route(
        "GET",
        "/api/v1/executions",
        handlers.executions,
        "Past executions of one workflow",
        answers.ExecutionList,
        ask.ExecutionsQuestion,
    ),
    Route(
        "GET",
        "/api/v1/workflows",
        handlers.workflows,
        "Workflows with state and baselines",
        answers.BaselinePage,
        ask.BaselinesQuestion,
    ),
    Route(
        "GET",
        "/api/v1/entities",
        handlers.entities,
        "Scored entities with state",
        answers.BaselinePage,
        ask.BaselinesQuestion,
    ),
    Route("GET", "/api/v1/runs", handlers.runs, "Score runs with their anomalies", answers.RunPage, ask.Paged),
    Route("GET", "/api/v1/runs/{id}", handlers.one_run, "One score run", answers.StoredRun, problems=(404,)),
    Route(
        "GET",
        "/api/v1/overview",
        overview.overview,
        "Overview of anomalies and pipeline health",
        answers.Overview,
        ask.OverviewQuestion,
    ),
    Route(
        "GET",
        "/api/v1/incidents",
        incidents.list_incidents,
        "List incidents",
        answers.IncidentPage,
        ask.IncidentsQuestion,
    ),
    Route(
        "GET",
        "/api/v1/incidents/{id}",
        incidents.one_incident,
        "One incident with its records, actions and notifications",
        answers.WholeIncident,
        problems=(404,),
    ),
    Route(
        "POST",
        "/api/v1/actions",
        act.act,
        "Act on incidents or an entity",
        answers.ActionsDone,
        body=ask.ActionsQuestion,
        problems=(400, 404, 413, 415),
        roles=ACT,
    ),
    Route(
        "GET",
        "/api/v1/actions",
        act.list_actions,
        "List operator actions",
        answers.ActionPage,
        ask.ActionsListQuestion,
    ),
    Route("GET", "/api/v1/silences", act.list_silences, "Silences", answers.SilencePage, ask.SilencesQuestion),
    Route(
        "POST",
        "/api/v1/silences",
        act.make_silence,
        "Create a silence",
        answers.Silence,
        body=ask.SilenceBody,
        problems=(400, 404, 413, 415),
        roles=ACT,
    ),
    Route("DELETE", "/api/v1/silences/{id}", act.lift_silence, "Expire a silence", problems=(404,), roles=ACT),
    Route(
        "POST",
        "/api/v1/events",
        intake.take_events,
        "Publish events",
        answers.IntakeAnswer,
        ask.IntakeQuestion,
        body=(Completion, Score, ScoreRun),
        problems=(400, 413, 415, 429, 503),
        database=False,
        roles=SEND,
        partly=True,
    ),
    *(
        Route(
            "POST",
            f"/api/v1/webhooks/{source.name}",
            intake.webhook_handler(source, source.webhook),
            f"{source.title} webhook",
            answers.IntakeAnswer,
            body=dict[str, Any],
            problems=(400, 404, 413, 415, 429, 503),
            database=False,
            roles=SIGNED,
        )
        for source in SOURCES.values()
        if source.webhook
    ),
    Route(
        "GET",
        "/api/v1/why",
        why.why,
        "Explain why something was or was not notified",
        answers.Why,
        ask.WhyQuestion,
        problems=(400, 404),
    ),
    Route(
        "GET",
        "/api/v1/stream",
        live.stream,
        "Live anomalies",
        answers.StreamEvent,
        problems=(503,),
        database=False,
        kind="text/event-stream",
    ),
    Route(
        "GET",
        "/api/v1/dead-letters",
        dead_letters.list_dead_letters,
        "Dead letters",
        answers.DeadLetterPage,
        ask.DeadLettersQuestion,
        roles=ACT,
    ),
    Route(
        "GET",
        "/api/v1/dead-letters/{id}",
        dead_letters.one_dead_letter,
        "One dead letter with its payload",
        answers.WholeDeadLetter,
        problems=(404, 503),
        database=False,
        roles=ACT,
    ),
    Route(
        "POST",
        "/api/v1/dead-letters/{id}/retry",
        dead_letters.retry_dead_letter,
        "Publish a dead letter again",
        answers.Place,
        problems=(404, 503),
        database=False,
        roles=ACT,
    ),
    Route(
        "GET",
        "/api/v1/settings",
        settings.read_settings,
        "Effective settings",
        answers.SettingsInForce,
        problems=(),
        database=False,
    ),
    Route(
        "GET",
        "/api/v1/settings/preview",
        settings.preview,
        "Preview the number of alerts with other settings",
        answers.Preview,
        ask.PreviewQuestion,
    ),
    Route(
        "GET",
        "/api/v1/schemas",
        settings.list_schemas,
        "Event schemas",
        answers.SchemaList,
        problems=(),
        database=False,
        roles=ALL,
    ),
    Route(
        "GET",
        "/api/v1/schemas/{id}",
        settings.one_schema,
        "One schema",
        dict[str, Any],
        problems=(404,),
        database=False,
        roles=ALL,
    ),
    Route("GET", "/api/v1/inbox", handlers.inbox, "In-app messages", answers.InboxPage, ask.InboxQuestion),
    Route(
        "POST",
        "/api/v1/inbox/read",
        handlers.mark_all_read,
        "Mark all messages up to a time as read",
        answers.Marked,
        body=ask.InboxReadBody,
        problems=(400, 413, 415),
    ),
    Route("POST", "/api/v1/inbox/{id}/read", handlers.mark_read, "Mark a message as read", problems=(404,)),
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
        "GET", "/api/v1/health", overview.health, "Health of the pipeline", answers.Health, problems=(), database=False
    ),
    Route(
        "GET",
        "/api/v1/openapi.json",
        handlers.openapi,
        "The OpenAPI document",
        dict[str, Any],
        problems=(),
        database=False,
        roles=ALL,
    ),
)
RIGHTS = {(route.method, route.path): route.roles for route in ROUTES}
"""(method, path) -> the roles that may."""
