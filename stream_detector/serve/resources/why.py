"""Why was this, or was this not, alerted: every decision of detection in order, then what became of the messages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from stream_detector.detect.runs import window_run_id
from stream_detector.events import Anomaly, Completion, Notification, Score
from stream_detector.events.anomaly_types import describe
from stream_detector.events.completion import recorded_duration_s
from stream_detector.events.fields import Id
from stream_detector.events.variant import shown_name
from stream_detector.kafka.topics import COMPLETIONS, SCORES
from stream_detector.serve.app_keys import DATABASE, SETTINGS
from stream_detector.serve.check import Checked, check, check_score
from stream_detector.serve.deleted import deleted_words, deletions_of, no_anomaly
from stream_detector.serve.detection_settings import DetectionSettings, detection_settings
from stream_detector.serve.judgement import (
    Judgement,
    anomalies_of_start,
    find_published,
    is_missed_run,
    judge_stored,
)
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import parse_uuid, read_query
from stream_detector.serve.responses import json_response
from stream_detector.serve.run_evidence import run_evidence, score_of
from stream_detector.serve.running_words import running_subject, running_words
from stream_detector.store import anomalies, anomaly_edits, executions, scores
from stream_detector.store.anomaly_edits import Deletion
from stream_detector.store.executions import StoredCompletion
from stream_detector.store.notifications import messages_about
from stream_detector.store.running import Running, running_execution
from stream_detector.store.scores import StoredScore


class WhyQuery(Struct, kw_only=True):
    """About an anomaly, an execution, also one that runs, or the score of an entity in a run.

    Without `attempt` it is the last one of the execution.
    """

    anomaly: Id | None = None
    execution: Id | None = None
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    score: Id | None = None
    run: Id | None = None


class DeletedAnomaly(Struct, kw_only=True):
    """An anomaly that was found and that an operator has deleted."""

    id: str
    at: datetime
    by: str


class Why(Struct, kw_only=True):
    """The decisions about one event. `decisions` are those of the detector, in order; `sentences` explain all of it.

    Where anomalies are stored, the decisions are the gates that were stored with them. Where none is, they are
    computed again from the stored history, and `computed_again` is true.
    """

    subject: str
    outcome: Literal["applied", "duplicate", "late", "backfilled", "ignored", "refused", "running", "missed"]
    """`running`: the execution has not ended. `missed`: the anomaly is about a run that did not come."""
    decisions: list[str]
    anomalies: list[Anomaly]
    deleted: list[DeletedAnomaly]
    notifications: list[Notification]
    sentences: list[str]
    approximate: str | None
    computed_again: bool


_OUTCOMES = {
    "applied": "It was evaluated and added to the baseline.",
    "duplicate": "It is a duplicate: only the first one counts.",
    "late": "It was too late to be evaluated: an event more than an hour older than the newest causes no anomaly.",
    "backfilled": "It was backfilled: added to the baseline, but never reported.",
    "ignored": "It is not counted: a cancelled or skipped run is neither a success nor a failure.",
    "refused": "It was rejected, so it is in no baseline.",
    "running": "It has not ended, and is evaluated when it ends.",
    "missed": "No event was evaluated: none came.",
}


class _Story(Struct):
    """What is known of one event, before what became of the messages about it."""

    subject: str
    anomalies: list[Anomaly]
    outcome: str = "applied"
    decisions: list[str] = []
    remarks: list[str] = []
    """About where the decisions come from."""
    approximate: str | None = None
    computed_again: bool = False
    deleted: list[Deletion] = []
    run_id: str | None = None
    """The run, or minute of scores without one, whose messages are about its anomalies too."""


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
        return await _respond(request, await _of_anomaly(request, query.anomaly))
    stored: StoredCompletion | StoredScore | web.Response
    if query.execution is not None:
        about = query.execution, query.attempt
        if running := await request.app[DATABASE].query(running_execution, *about):
            return await _respond(request, await _of_running(request, running))
        stored = await find_published(request.app, COMPLETIONS, executions.execution, *about)
    else:
        stored = await find_published(request.app, SCORES, scores.score, query.score or "", f"run:{query.run}")
    if isinstance(stored, web.Response):
        return stored
    judgement = await judge_stored(request.app, stored)
    if judgement.pending:
        return judgement.pending_response()
    return await _respond(request, await _of_event(request, stored, judgement))


async def _of_anomaly(request: web.Request, text: str) -> _Story:
    """What was stored with the anomaly; of its event only the first sentence."""
    anomaly_id, database = parse_uuid(text), request.app[DATABASE]
    found = await database.query(anomalies.read, anomaly_id) if anomaly_id else None
    if found is None:
        deleted = await database.query(anomaly_edits.deletions, [str(anomaly_id)]) if anomaly_id else []
        if not deleted:
            raise await no_anomaly(request.app, anomaly_id)
        return _Story(f"Anomaly {anomaly_id} is no longer stored.", [], deleted=deleted)
    anomaly = msgspec.json.decode(found, type=Anomaly)
    if is_missed_run(found):
        return _of_missed(anomaly)
    stored: StoredCompletion | StoredScore | None = None
    if anomaly.execution_id is not None:
        about = anomaly.execution_id, anomaly.attempt
        stored = await database.query(executions.execution, *about)
        if stored is None and (running := await database.query(running_execution, *about)):
            return msgspec.structs.replace(await _of_running(request, running), anomalies=[anomaly])
    elif anomaly.entity_kind == "score":
        stored = await database.query(score_of, anomaly)
    gone = None if stored else "the event is no longer stored; this is from the anomaly itself"
    return _of_stored(_subject_of(request, stored, anomaly), [anomaly], gone, _run_of([anomaly], stored))


def _of_missed(anomaly: Anomaly) -> _Story:
    """Of a run that did not come: there is no event, and its execution is the last one that came."""
    subject = f"A run of {shown_name(anomaly.entity_name, anomaly.variant)} did not come."
    last = [] if anomaly.execution_id is None else [f"The last one that came is {anomaly.execution_id}."]
    story = _of_stored(subject, [anomaly], None, None)
    return msgspec.structs.replace(story, outcome="missed", remarks=[*last, *story.remarks])


async def _of_running(request: web.Request, running: Running) -> _Story:
    """Of an execution that has started and not ended: how long it runs, and what was found in it so far."""
    found = [msgspec.json.decode(each, type=Anomaly) for each in await anomalies_of_start(request.app, running.event)]
    deleted = await deletions_of(request.app, running.event)
    story = _Story(running_subject(running), found, "running", remarks=[running_words(running)], deleted=deleted)
    if found:
        stored = _of_stored("", found, None, None)
        story.decisions, story.remarks = stored.decisions, [*story.remarks, *stored.remarks]
    return story


async def _of_event(request: web.Request, stored: StoredCompletion | StoredScore, judgement: Judgement) -> _Story:
    """What is stored of an event or, where nothing was found in it, the same `step` once more."""
    story = await _of_judged(request, stored, judgement)
    for each in judgement.missed:
        missed = msgspec.json.decode(each, type=Anomaly)
        story.remarks.append(f"After it, a run did not come: {missed.description} (anomaly {missed.id}).")
    return story


async def _of_judged(request: web.Request, stored: StoredCompletion | StoredScore, judgement: Judgement) -> _Story:
    subject = _subject(stored.event, request.app[SETTINGS].duration_from_times)
    deleted = await deletions_of(request.app, stored.event)
    if judgement.anomalies:
        found = [msgspec.json.decode(each, type=Anomaly) for each in judgement.anomalies]
        return _of_stored(subject, found, judgement.unknown or None, _run_of(found, stored), deleted)
    if judgement.refusal is not None:
        return _Story(subject, [], "refused", remarks=[f"Why: {judgement.refusal}."])
    in_force = await request.app[DATABASE].query(detection_settings, request.app[SETTINGS])
    explained: list[str] = []
    if isinstance(stored, StoredCompletion):
        checked = await request.app[DATABASE].query(_check, stored, in_force, explained)
    else:
        checked = await request.app[DATABASE].query(_check_score, stored, in_force, explained)
    remarks = [f"Computed again from the stored history, {_under_which(stored, in_force)}."]
    gone = {one.anomaly_id for one in deleted}
    for each in checked.anomalies:
        if each.id in gone:
            remarks.append(f"The deleted anomaly, computed again: {each.description}.")
        else:
            remarks.append(
                f"Computed again, it would be an anomaly that the live detector did not store: {each.description}."
            )
    approximate = "; ".join(filter(None, (checked.approximate, judgement.unknown))) or None
    return _Story(
        subject,
        [],
        checked.outcome,
        explained,
        remarks,
        approximate,
        computed_again=True,
        deleted=deleted,
        run_id=(stored.event.run_id or window_run_id(stored.event))
        if deleted and isinstance(stored, StoredScore)
        else None,
    )


def _run_of(found: Sequence[Anomaly], stored: StoredCompletion | StoredScore | None) -> str | None:
    """The run whose messages are about these; of a score without one the window that its change is summed up in."""
    named = next((each.run_id for each in found if each.run_id), None)
    if named is not None or not isinstance(stored, StoredScore):
        return named
    is_summed_up = any(describe(each.anomaly_type).in_run_summary for each in found)
    return window_run_id(stored.event) if is_summed_up else None


def _of_stored(
    subject: str, found: list[Anomaly], approximate: str | None, run_id: str | None, deleted: Sequence[Deletion] = ()
) -> _Story:
    gates = list(dict.fromkeys(gate for each in found for gate in each.gates))
    rules = dict.fromkeys(f"rule {each.detector} in profile {each.profile}" for each in found)
    remarks = [f"Stored with what the live detector found: {', '.join(rules)}."]
    return _Story(
        subject, found, decisions=gates, remarks=remarks, approximate=approximate, run_id=run_id, deleted=list(deleted)
    )


def _under_which(stored: StoredCompletion | StoredScore, in_force: DetectionSettings) -> str:
    topic = COMPLETIONS if isinstance(stored, StoredCompletion) else SCORES
    profile = in_force.config_at(topic, stored.position).profile
    revision = in_force.revision_at(topic, stored.position)
    if revision is None:
        return f"under the settings of the API (profile {profile}), since the detector had published none by then"
    return f"under the settings that the detector had then: revision {revision.revision}, profile {profile}"


async def _check(pool: Any, stored: StoredCompletion, in_force: DetectionSettings, explained: list[str]) -> Checked:
    explained.clear()  # the query may run twice
    return await check(pool, stored, in_force, explain=explained)


async def _check_score(pool: Any, stored: StoredScore, in_force: DetectionSettings, explained: list[str]) -> Checked:
    explained.clear()
    return await check_score(pool, stored, in_force, explain=explained)


async def _respond(request: web.Request, story: _Story) -> web.Response:
    ids = [*(each.id for each in story.anomalies), *(each.anomaly_id for each in story.deleted)]
    messages = [
        msgspec.json.decode(each, type=Notification)
        for each in await request.app[DATABASE].query(messages_about, ids, story.run_id)
    ]
    evidence = {each.id: await request.app[DATABASE].query(run_evidence, each) for each in story.anomalies}
    return json_response(
        {
            "subject": story.subject,
            "outcome": story.outcome,
            "decisions": story.decisions,
            "anomalies": story.anomalies,
            "deleted": [DeletedAnomaly(id=one.anomaly_id, at=one.at, by=one.by) for one in story.deleted],
            "notifications": messages,
            "sentences": [story.subject, *_sentences(story, messages, evidence)],
            "approximate": story.approximate,
            "computed_again": story.computed_again,
        }
    )


def _subject_of(request: web.Request, stored: StoredCompletion | StoredScore | None, anomaly: Anomaly) -> str:
    if stored is None:
        return f"{shown_name(anomaly.entity_name, anomaly.variant)}: {anomaly.description}"
    return _subject(stored.event, request.app[SETTINGS].duration_from_times)


def _subject(event: Completion | Score, from_times: bool) -> str:
    if isinstance(event, Completion):
        took_s = recorded_duration_s(event, from_times)
        took = f" after {took_s:g} s" if took_s else ""
        name = shown_name(event.workflow_name or event.workflow_id, event.variant)
        ended = f"{event.finished_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"Execution {event.execution_id} of {name} ended {ended}{took}: {event.status}."
    return f"{event.entity_name} scored {event.score} at {event.scored_at:%Y-%m-%d %H:%M:%S} UTC."


def _sentences(story: _Story, messages: Sequence[Notification], evidence: Mapping[str, str | None]) -> list[str]:
    about = story.anomalies
    is_id_alone = story.deleted and not about and not story.computed_again
    explained = [*([] if is_id_alone else [_OUTCOMES[story.outcome]]), *story.remarks]
    if not about and not story.deleted:
        return [*explained, *story.decisions, "No anomaly was found, so no notification was sent."]
    explained += [f"An anomaly was found, and {deleted_words(one)}: {one.anomaly_id}." for one in story.deleted]
    for each in about:
        explained.append(f"Anomaly, {each.severity}, {each.state}: {each.description}.")
        explained += [f"Condition met: {gate}." for gate in each.gates]
        explained.append(_values(each))
        if shown := evidence.get(each.id):
            explained.append(f"Its score run: {shown}.")
    explained += [
        f"{each.at:%Y-%m-%d %H:%M:%S} UTC, {each.channel}: {each.outcome}, {each.reason}." for each in messages
    ]
    if not messages:
        ongoing = bool(about) and all(each.state == "ongoing" for each in about)
        explained.append(
            "No notification: an ongoing incident is notified again only if its severity rises."
            if ongoing
            else "No notification is recorded: the notifier has not processed it yet, or is not running."
        )
    return explained


def _values(anomaly: Anomaly) -> str:
    """The numbers that were stored with it."""
    metrics = anomaly.metrics
    z_score = "none" if metrics.z_score is None else f"{metrics.z_score:.2f}"
    return (
        f"Values: current {metrics.current_value:g} {metrics.unit}, baseline {metrics.baseline_value:g} {metrics.unit},"
        f" deviation {metrics.deviation:+g} {metrics.unit}, z-score {z_score}, confidence {metrics.confidence:.2f}."
    )
