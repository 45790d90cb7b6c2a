"""Why was this, or was this not, alerted: every decision of detection in order, then what became of the messages."""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from stream_detector.detect import Config
from stream_detector.events import Anomaly, Completion, Notification, Score
from stream_detector.serve import ask
from stream_detector.serve.act import uuid_of
from stream_detector.serve.check import Checked, check, check_score
from stream_detector.serve.handlers import DATABASE, SETTINGS, answer, config_of
from stream_detector.serve.problems import ProblemError
from stream_detector.store import anomalies, read

_OUTCOMES = {
    "applied": "It was evaluated and added to the baseline.",
    "duplicate": "It is a duplicate: only the first one counts.",
    "late": "It was too late to be evaluated: an event more than an hour older than the newest causes no anomaly.",
    "backfilled": "It was backfilled: added to the baseline, but never reported.",
    "ignored": "It is not counted: a cancelled or skipped run is neither a success nor a failure.",
}


async def why(request: web.Request) -> web.Response:
    """All decisions about one execution, score or anomaly in order, as data and as sentences. Read-only."""
    asked = ask.read_query(request, ask.WhyQuestion)
    if sum(given is not None for given in (asked.anomaly, asked.execution, asked.score)) != 1:
        raise ProblemError(
            400, "Specify one of anomaly, execution and score.", allowed=["anomaly", "execution", "score"]
        )
    if asked.score is not None and asked.run is None:
        raise ProblemError(400, "run: is missing; a score is identified by its entity and run", parameter="run")
    if asked.anomaly is not None:
        return await _of_anomaly(request, asked.anomaly)
    told: list[str] = []
    config = config_of(request.app[SETTINGS])
    if asked.execution is not None:
        found = await request.app[DATABASE].ask(_check, asked.execution, asked.attempt, config, told)
    else:
        event_id = f"run:{asked.run}"
        found = await request.app[DATABASE].ask(_check_score, asked.score or "", event_id, config, told)
    if found is None:
        raise ProblemError(404, "It is not stored. A new event may take a second to appear.")
    return await _story(request, found, told, found.anomalies)


async def _of_anomaly(request: web.Request, text: str) -> web.Response:
    anomaly_id, database = uuid_of(text), request.app[DATABASE]
    stored = await database.ask(anomalies.read, anomaly_id) if anomaly_id else None
    if stored is None:
        raise ProblemError(404, "No anomaly with this id is stored. A new anomaly may take a second to appear.")
    anomaly = msgspec.json.decode(stored, type=Anomaly)
    config, told = config_of(request.app[SETTINGS]), list[str]()
    if anomaly.execution_id is not None:
        found = await database.ask(_check, anomaly.execution_id, anomaly.attempt, config, told)
    elif anomaly.run_id is not None and anomaly.entity_kind == "score":
        found = await database.ask(_check_score, anomaly.entity_id, f"run:{anomaly.run_id}", config, told)
    else:
        at = f"at:{anomaly.detected_at.isoformat()}"
        found = await database.ask(_check_score, anomaly.entity_id, at, config, told)
    if found is None:  # the event itself is deleted or was never stored: the anomaly carries its gates
        gone = Checked([anomaly], "the event is no longer stored; this is from the anomaly itself", "applied")
        return await _story(request, gone, list(anomaly.gates), [anomaly])
    return await _story(request, found, told, [each for each in found.anomalies if each.id == text] or [anomaly])


async def _check(pool: Any, execution_id: str, attempt: int | None, config: Config, told: list[str]) -> Checked | None:
    told.clear()  # the query may run twice
    return await check(pool, execution_id, attempt, config, explain=told)


async def _check_score(pool: Any, entity_id: str, event_id: str, config: Config, told: list[str]) -> Checked | None:
    told.clear()
    return await check_score(pool, entity_id, event_id, config, explain=told)


async def _story(request: web.Request, found: Checked, decisions: list[str], about: Sequence[Anomaly]) -> web.Response:
    run_id = next((each.run_id for each in about if each.run_id), None)
    messages = [
        msgspec.json.decode(each, type=Notification)
        for each in await request.app[DATABASE].ask(read.messages_about, [each.id for each in about], run_id)
    ]
    subject = _subject(found.event) if found.event is not None else f"{about[0].entity_name}: {about[0].description}"
    return answer(
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


def _subject(event: Completion | Score) -> str:
    if isinstance(event, Completion):
        took = f" after {event.duration_s:g} s" if event.duration_s else ""
        name = event.workflow_name or event.workflow_id
        ended = f"{event.finished_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"Execution {event.execution_id} of {name} ended {ended}{took}: {event.status}."
    return f"{event.entity_name} scored {event.score} at {event.scored_at:%Y-%m-%d %H:%M:%S} UTC."


def _sentences(
    found: Checked, decisions: Sequence[str], about: Sequence[Anomaly], messages: Sequence[Notification]
) -> list[str]:
    told = [_OUTCOMES[found.outcome], *decisions]
    for each in about:
        told.append(f"Anomaly, {each.severity}, {each.state}: {each.description}.")
        told += [f"Condition met: {gate}." for gate in each.gates]
    if not about:
        return [*told, "No anomaly was found, so no notification was sent."]
    told += [f"{each.at:%Y-%m-%d %H:%M:%S} UTC, {each.channel}: {each.outcome}, {each.reason}." for each in messages]
    if not messages:
        ongoing = all(each.state == "ongoing" for each in about)
        told.append(
            "No notification: an ongoing incident is notified again only if its severity rises."
            if ongoing
            else "No notification is recorded: the notifier has not processed it yet, or is not running."
        )
    return told
