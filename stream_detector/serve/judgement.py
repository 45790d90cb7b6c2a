"""Whether the live detector has judged a stored event, so that what is stored of it is its answer."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

import asyncpg
import msgspec
from aiohttp import web
from msgspec import Struct

from stream_detector.detect import Baseline, PackedError
from stream_detector.detect.anomaly import event_id_of
from stream_detector.detect.codec.recent_ids import hash_of_id, is_recent
from stream_detector.detect.rules.registry import RULES
from stream_detector.events import Completion, Score, Start
from stream_detector.events.ids import score_key
from stream_detector.events.variant import DEFAULT_BRANCH, workflow_key
from stream_detector.kafka.topics import COMPLETIONS, SCORES
from stream_detector.serve.app_keys import DATABASE, JUDGED
from stream_detector.serve.broker import BrokerAwayError
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.responses import json_response
from stream_detector.store import anomalies, baselines, dead_letters
from stream_detector.store.dead_letters import Refusal
from stream_detector.store.executions import StoredCompletion
from stream_detector.store.scores import StoredScore

RETRY_AFTER_S = 1
_RULES = tuple(RULES)
MISSED_RUN = "missed_run"
_WITHIN_S = 2.0
"""An event that was just published is judged, and what was found in it stored, within a checkpoint or two."""


class NotEvaluatedYet(Struct, kw_only=True):
    """There is no result yet: ask again after `retry_after_s`."""

    status: int = 202
    title: str = "Not evaluated yet"
    detail: str
    retry_after_s: int = RETRY_AFTER_S


class Judgement(NamedTuple):
    """What is known of one event. `anomalies` are those stored under it, as anomaly v1.

    `missed` are those of runs that did not come after it: they name it as the last one that came.
    """

    anomalies: list[bytes]
    pending: str = ""
    """Why there is no result yet."""
    unknown: str = ""
    """Why it is not known whether there is one."""
    refusal: Refusal | None = None
    missed: Sequence[bytes] = ()

    def pending_response(self) -> web.Response:
        """202 with Retry-After."""
        response = json_response(NotEvaluatedYet(detail=f"Not evaluated yet: {self.pending}."))
        response.set_status(202)
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response


P = ParamSpec("P")
T = TypeVar("T")


async def find_published(
    app: web.Application,
    topic: str,
    find: Callable[Concatenate[asyncpg.Pool, P], Awaitable[T | None]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T | web.Response:
    """A stored event. Where it is not stored, that is certain: all that is published already is.

    Returns:
        The event, or the answer 202 where the recorder does not get that far in time.

    Raises:
        ProblemError: 404.
        StoreAwayError: the database is away.
    """
    found = await app[DATABASE].query(find, *args, **kwargs)
    if found is None:
        try:
            pending = await app[JUDGED].why_not_stored(topic, within_s=_WITHIN_S)
        except BrokerAwayError:
            pending = ""
        found = await app[DATABASE].query(find, *args, **kwargs)
        if found is None and pending:
            return Judgement([], f"it is not stored, and {pending}").pending_response()
    if found is None:
        raise ProblemError(404, "It is not stored. A new event may take a second to appear.")
    return found


async def judge_stored(app: web.Application, stored: StoredCompletion | StoredScore) -> Judgement:
    """What the live detector made of a stored event. Raises `StoreAwayError`."""
    topic = COMPLETIONS if isinstance(stored.event, Completion) else SCORES
    try:
        pending, unknown = await app[JUDGED].why_not(topic, stored.position, within_s=_WITHIN_S), ""
    except BrokerAwayError as error:
        pending, unknown = "", f"it is unknown how far the detector is: {error}"
    # Read after the question above: what was found was stored before it was answered.
    every = await _stored_anomalies(app, stored.event)
    found, missed = [each for each in every if not is_missed_run(each)], [each for each in every if is_missed_run(each)]
    refusal = None
    if not found and not pending:
        refusal = await app[DATABASE].query(dead_letters.refusal, topic, stored.position)
        if refusal is not None and await _is_learnt(app, stored.event):
            refusal = None  # retried since then
    return Judgement(found, pending, unknown, refusal, missed)


async def anomalies_of_start(app: web.Application, event: Start) -> list[bytes]:
    """What was found in an execution that has not ended, as anomaly v1. Raises `StoreAwayError`."""
    about = event.workflow_id, event.execution_id, event.attempt
    found = await app[DATABASE].query(anomalies.of_execution, *about)
    return [each for each in found if not is_missed_run(each)]


async def _stored_anomalies(app: web.Application, event: Completion | Score) -> list[bytes]:
    """In the order in which they were found."""
    if isinstance(event, Completion):
        about = event.workflow_id, event.execution_id, event.attempt
        found = await app[DATABASE].query(anomalies.of_execution, *about)
    else:
        found = await app[DATABASE].query(anomalies.of_score, event.entity_id, event.run_id, event.scored_at)
    return sorted(found, key=_place_of_rule)


class _Rule(Struct):
    """What the order of an event's anomalies depends on."""

    detector: str
    state: str
    end_reason: str | None = None


def is_missed_run(anomaly: bytes) -> bool:
    """Whether it is about a run that did not come; its end by a run is about that one, which came late."""
    rule = msgspec.json.decode(anomaly, type=_Rule)
    return rule.detector == MISSED_RUN and rule.end_reason not in ("recovered", "superseded")


def _place_of_rule(anomaly: bytes) -> tuple[bool, int]:
    """Ends of incidents come after what was found; a rule of a later version comes last."""
    rule = msgspec.json.decode(anomaly, type=_Rule)
    return rule.state == "resolved", _RULES.index(rule.detector) if rule.detector in _RULES else len(_RULES)


async def _is_learnt(app: web.Application, event: Completion | Score) -> bool:
    """Whether the event is among the last ones that its baseline has learnt."""
    if isinstance(event, Completion):
        # Without a variant it may have been learnt by what the default branch has taken over.
        variants = [event.variant] if event.variant is not None else [None, DEFAULT_BRANCH]
        keys = [workflow_key(event.workflow_id, variant) for variant in variants]
        event_hash = hash_of_id(event.execution_id, event.attempt)
    else:
        keys, event_hash = [score_key(event.entity_id)], hash_of_id(event_id_of(event))
    for key in keys:
        packed = await app[DATABASE].query(baselines.packed, key)
        try:
            if packed is not None and is_recent(Baseline.unpack(key, packed).ids, event_hash):
                return True
        except PackedError:  # of a later version
            continue
    return False
