"""Anomalies that operators have deleted: what the API still knows of them is their id, who did it and when."""

from collections.abc import Iterator
from datetime import UTC
from uuid import UUID

from aiohttp import web

from stream_detector.detect.anomaly import event_id_of
from stream_detector.detect.rules import missed_run, still_running
from stream_detector.detect.rules.pattern_deviation import ACCEPTED, ARRIVAL, DRIFT, MISSING, SEQUENCE, SHARE
from stream_detector.detect.rules.performance_degradation import FASTER
from stream_detector.detect.rules.registry import RULES
from stream_detector.events import Completion, Score, Start
from stream_detector.events.ids import SEPARATOR, derived_id, score_key
from stream_detector.events.start import started_as
from stream_detector.events.variant import workflow_key
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.problems import ProblemError
from stream_detector.store import anomaly_edits
from stream_detector.store.anomaly_edits import Deletion

_SUBJECTS = "", FASTER, SEQUENCE, ARRIVAL, DRIFT, ACCEPTED, MISSING


_STAGES = "", "critical", "resolved"
"""Of what is reported of an execution that runs (`detect/rules/still_running`)."""


async def deletions_of(app: web.Application, event: Completion | Score | Start) -> list[Deletion]:
    """The deleted anomalies of one event. Found by their ids, which follow from the event."""
    return await app[DATABASE].query(anomaly_edits.deletions, list(possible_ids(event)))


async def no_anomaly(app: web.Application, anomaly_id: UUID | None) -> ProblemError:
    """404 for an anomaly that is not stored: deleted, or never seen."""
    found = await app[DATABASE].query(anomaly_edits.deletions, [str(anomaly_id)]) if anomaly_id else []
    if found:
        return ProblemError(404, f"This anomaly was {deleted_words(found[0])}.", deleted_at=found[0].at)
    return ProblemError(404, "No anomaly with this id is stored. A new anomaly may take a second to appear.")


def deleted_words(deletion: Deletion) -> str:
    """By whom and when."""
    return f"deleted by an operator ({deletion.by}) at {deletion.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def possible_ids(event: Completion | Score | Start) -> Iterator[str]:
    """Ids of all anomalies that the rules can find in an event, and of the ends of incidents with it."""
    if isinstance(event, Start | Completion):
        run = f"{started_as(event.execution_id)}{SEPARATOR}{event.attempt}"
        yield from (derived_id(still_running.NAME, run, stage) for stage in _STAGES)
    if isinstance(event, Start):
        return
    subjects = {name: list(_SUBJECTS) for name in RULES}
    if isinstance(event, Score):
        keys = [score_key(event.entity_id)]
    else:
        # It may have been judged before the variant was known that it is stored with.
        keys = [*{workflow_key(event.workflow_id, variant) for variant in (event.variant, None)}]
        subjects["pattern_deviation"] += [f"{SHARE} {step.name}"[:512] for step in event.steps]
        subjects["resource_exhaustion"] += list(event.resources)
        subjects[missed_run.NAME] = ["ended"]
    for rule, names in subjects.items():
        for name in names:
            for subject in (name, f"{name} superseded"):
                yield from (derived_id(rule, key, event_id_of(event), subject) for key in keys)
