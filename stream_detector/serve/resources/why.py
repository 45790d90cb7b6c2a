"""Why was this, or was this not, alerted: every decision of detection in order, then what became of the messages."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.composition import detection_config
from stream_detector.detect import Config
from stream_detector.events import Anomaly, Completion, Notification, Score
from stream_detector.events.completion import recorded_duration_s
from stream_detector.events.fields import Id
from stream_detector.serve.app_keys import DATABASE, SETTINGS
from stream_detector.serve.check import Checked, check, check_score
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import parse_uuid, read_query
from stream_detector.serve.responses import json_response
from stream_detector.store import anomalies
from stream_detector.store.notifications import messages_about


class WhyQuery(Struct, kw_only=True):
    """About an anomaly, an execution (without `attempt` its last one), or the score of an entity in a run."""

    anomaly: Id | None = None
    execution: Id | None = None
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    score: Id | None = None
    run: Id | None = None


class Why(Struct, kw_only=True):
    """The decisions about one event. `decisions` are those of the detector, in order; `sentences` explain all of it."""

    subject: str
    outcome: Literal["applied", "duplicate", "late", "backfilled", "ignored"]
    decisions: list[str]
    anomalies: list[Anomaly]
    notifications: list[Notification]
    sentences: list[str]
    approximate: str | None


_OUTCOMES = {
    "applied": "It was evaluated and added to the baseline.",
    "duplicate": "It is a duplicate: only the first one counts.",
    "late": "It was too late to be evaluated: an event more than an hour older than the newest causes no anomaly.",
    "backfilled": "It was backfilled: added to the baseline, but never reported.",
    "ignored": "It is not counted: a cancelled or skipped run is neither a success nor a failure.",
}


async def why(request: web.Request) -> web.Response:
    """All decisions about one execution, score or anomaly in order, as data and as sentences. Read-only."""
    query = read_query(request, WhyQuery)
    if sum(given is not None for given in (query.anomaly, query.execution, query.score)) != 1:
        raise ProblemError(
            400, "Specify one of anomaly, execution and score.", allowed=["anomaly", "execution", "score"]
        )
    if query.score is not None and query.run is None:
        raise ProblemError(400, "run: is missing; a score is identified by its entity and run", parameter="run")
    if query.anomaly is not None:
        return await _of_anomaly(request, query.anomaly)
    explained: list[str] = []
    config = detection_config(request.app[SETTINGS])
    if query.execution is not None:
        found = await request.app[DATABASE].query(_check, query.execution, query.attempt, config, explained)
    else:
        event_id = f"run:{query.run}"
        found = await request.app[DATABASE].query(_check_score, query.score or "", event_id, config, explained)
    if found is None:
        raise ProblemError(404, "It is not stored. A new event may take a second to appear.")
    return await _story(request, found, explained, found.anomalies)


async def _of_anomaly(request: web.Request, text: str) -> web.Response:
    anomaly_id, database = parse_uuid(text), request.app[DATABASE]
    stored = await database.query(anomalies.read, anomaly_id) if anomaly_id else None
    if stored is None:
        raise ProblemError(404, "No anomaly with this id is stored. A new anomaly may take a second to appear.")
    anomaly = msgspec.json.decode(stored, type=Anomaly)
    config, explained = detection_config(request.app[SETTINGS]), list[str]()
    if anomaly.execution_id is not None:
        found = await database.query(_check, anomaly.execution_id, anomaly.attempt, config, explained)
    elif anomaly.run_id is not None and anomaly.entity_kind == "score":
        found = await database.query(_check_score, anomaly.entity_id, f"run:{anomaly.run_id}", config, explained)
    else:
        at = f"at:{anomaly.detected_at.isoformat()}"
        found = await database.query(_check_score, anomaly.entity_id, at, config, explained)
    if found is None:  # the event itself is deleted or was never stored: the anomaly carries its gates
        gone = Checked([anomaly], "the event is no longer stored; this is from the anomaly itself", "applied")
        return await _story(request, gone, list(anomaly.gates), [anomaly])
    return await _story(request, found, explained, [each for each in found.anomalies if each.id == text] or [anomaly])


async def _check(
    pool: Any, execution_id: str, attempt: int | None, config: Config, explained: list[str]
) -> Checked | None:
    explained.clear()  # the query may run twice
    return await check(pool, execution_id, attempt, config, explain=explained)


async def _check_score(
    pool: Any, entity_id: str, event_id: str, config: Config, explained: list[str]
) -> Checked | None:
    explained.clear()
    return await check_score(pool, entity_id, event_id, config, explain=explained)


async def _story(request: web.Request, found: Checked, decisions: list[str], about: Sequence[Anomaly]) -> web.Response:
    run_id = next((each.run_id for each in about if each.run_id), None)
    messages = [
        msgspec.json.decode(each, type=Notification)
        for each in await request.app[DATABASE].query(messages_about, [each.id for each in about], run_id)
    ]
    from_times = request.app[SETTINGS].duration_from_times
    subject = (
        _subject(found.event, from_times)
        if found.event is not None
        else f"{about[0].entity_name}: {about[0].description}"
    )
    return json_response(
        {
            "subject": subject,
            "outcome": found.outcome,
            "decisions": decisions,
            "anomalies": list(about),
            "notifications": messages,
            "sentences": [subject, *_sentences(found, decisions, about, messages)],
            "approximate": found.approximate,
        }
    )


def _subject(event: Completion | Score, from_times: bool) -> str:
    if isinstance(event, Completion):
        took_s = recorded_duration_s(event, from_times)
        took = f" after {took_s:g} s" if took_s else ""
        name = event.workflow_name or event.workflow_id
        ended = f"{event.finished_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"Execution {event.execution_id} of {name} ended {ended}{took}: {event.status}."
    return f"{event.entity_name} scored {event.score} at {event.scored_at:%Y-%m-%d %H:%M:%S} UTC."


def _sentences(
    found: Checked, decisions: Sequence[str], about: Sequence[Anomaly], messages: Sequence[Notification]
) -> list[str]:
    explained = [_OUTCOMES[found.outcome], *decisions]
    for each in about:
        explained.append(f"Anomaly, {each.severity}, {each.state}: {each.description}.")
        explained += [f"Condition met: {gate}." for gate in each.gates]
    if not about:
        return [*explained, "No anomaly was found, so no notification was sent."]
    explained += [
        f"{each.at:%Y-%m-%d %H:%M:%S} UTC, {each.channel}: {each.outcome}, {each.reason}." for each in messages
    ]
    if not messages:
        ongoing = all(each.state == "ongoing" for each in about)
        explained.append(
            "No notification: an ongoing incident is notified again only if its severity rises."
            if ongoing
            else "No notification is recorded: the notifier has not processed it yet, or is not running."
        )
    return explained
