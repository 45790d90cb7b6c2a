"""Renames of workflows: asked for by a person, and noticed in the deliveries of a source."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
from aiohttp import web
from msgspec import Struct

from stream_detector.events import Action, Completion
from stream_detector.events.fields import Id
from stream_detector.events.inputs import Event
from stream_detector.events.sources.details import MOST_ID
from stream_detector.events.sources.source import Reading
from stream_detector.events.variant import has_key, workflow_key
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.authentication import IDENTITY
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.requests import read_body
from stream_detector.serve.resources.actions import carry_out
from stream_detector.serve.responses import json_response
from stream_detector.store import renames
from stream_detector.store.connect import StoreAwayError
from stream_detector.telemetry.log_events import WorkflowRenamed


class RenameRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A workflow, by its id, and the id under which it continues."""

    old_id: Id
    new_id: Id


class RenameDone(Struct, kw_only=True):
    """The rename is published; the detector carries it out within seconds. `silences` and `ping_keys` name the former
    id and are not changed."""

    action: Action
    has_baseline: bool
    silences: list[str]
    """Ids of those in force."""
    ping_keys: list[str]
    """Names."""


class RenameItem(Struct, kw_only=True):
    """Where a former id leads to, over all renames since."""

    old_id: str
    new_id: str
    at: datetime
    by: str


class RenameList(Struct, kw_only=True):
    """Newest first."""

    items: list[RenameItem]


async def rename(request: web.Request) -> web.Response:
    """Continue a workflow under another id: its baselines, open incidents and rows, with all variants.

    What still comes under the former id counts for the new one. 409 if the new id is in use.
    """
    wanted = await read_body(request, RenameRequest)
    database = request.app[DATABASE]
    if wanted.old_id == wanted.new_id:
        raise ProblemError(400, "new_id: is the id that the workflow has", parameter="new_id")
    if not await database.query(renames.is_known, wanted.old_id):
        raise ProblemError(404, await _why_unknown(request.app, wanted.old_id))
    if await database.query(renames.is_known, wanted.new_id):
        detail = (
            f"{wanted.new_id} is in use: two histories cannot become one. Choose another id, or have the executions"
            " of both published under one id from now on"
        )
        raise ProblemError(409, detail)
    variants = await database.query(renames.variants_of, wanted.old_id)
    if any(variant is not None and not has_key(wanted.new_id, variant) for variant in variants):
        detail = "new_id: is too long for the state keys of the workflow's variants; a shorter one fits"
        raise ProblemError(400, detail, parameter="new_id")
    now = datetime.now(UTC)
    naming = await database.query(renames.naming, wanted.old_id, now)
    action = _action(wanted.old_id, wanted.new_id, request[IDENTITY].name, now)
    await carry_out(request.app, [action])
    WorkflowRenamed(wanted.old_id, wanted.new_id, action.by).emit()
    return json_response(
        RenameDone(action=action, has_baseline=bool(variants), silences=naming.silences, ping_keys=naming.keys)
    )


async def list_renames(request: web.Request) -> web.Response:
    """Former ids of workflows, and where they lead to."""
    found = await request.app[DATABASE].query(renames.renames)
    return json_response({"items": [each._asdict() for each in found]})


async def _why_unknown(app: web.Application, workflow_id: str) -> str:
    for each in await app[DATABASE].query(renames.renames):
        if each.old_id == workflow_id:
            return f"{workflow_id} was renamed to {each.new_id} at {each.at:%Y-%m-%dT%H:%M:%SZ} by {each.by}"
    return f"no workflow has the id {workflow_id}; the page Workflows and `GET /api/v1/workflows` list them"


def _action(old_id: str, new_id: str, by: str, at: datetime) -> Action:
    return Action(action_id=str(uuid4()), kind="rename", entity=workflow_key(old_id), new_id=new_id, by=by, at=at)


# -- by the deliveries of a source -----------------------------------------------------------------------------------


async def rename_all(app: web.Application, start: str, new_start: str, by: str) -> str:
    """Rename every workflow whose id begins with `start`; returns what was done. Raises `StoreAwayError`."""
    database, pairs, skipped = app[DATABASE], [], 0
    for old_id in await database.query(renames.ids_that_begin, start):
        new_id = new_start + old_id.removeprefix(start)
        # An id of the largest length may be cut, so what it is of is not known; a later delivery says so by its number.
        if len(old_id) >= MOST_ID or len(new_id) > MOST_ID or await database.query(renames.is_known, new_id):
            skipped += 1
        else:
            pairs.append((old_id, new_id))
    await _carry_out(app, pairs, by)
    done = f"renamed {len(pairs)} workflows"
    return f"{done}, left {skipped} whose new id is in use or too long" if skipped else done


async def _carry_out(app: web.Application, pairs: Sequence[tuple[str, str]], by: str) -> None:
    now = datetime.now(UTC)
    if pairs:
        await carry_out(app, [_action(old_id, new_id, by, now) for old_id, new_id in pairs])
    for old_id, new_id in pairs:
        WorkflowRenamed(old_id, new_id, by).emit()


async def follow_number(
    app: web.Application, source: str, reading: Reading, events: Sequence[Event]
) -> Sequence[Event]:
    """The events; where the source's number of their workflow had another id before, the workflow is renamed.

    The event that shows it is published under the former id, so that it comes behind the baseline.
    """
    if not reading.number or len(events) != 1 or not isinstance(event := events[0], Completion):
        return events
    database, new_id = app[DATABASE], event.workflow_id
    shown = source, reading.number, new_id, event.finished_at
    try:
        old_id = await database.query(renames.former_id, *shown)
        if old_id is not None and (
            not await database.query(renames.is_known, old_id) or await database.query(renames.is_known, new_id)
        ):
            old_id = None
        if old_id is not None:
            await _carry_out(app, [(old_id, new_id)], f"webhook {source}")
        await database.query(renames.note_number, *shown)
    except StoreAwayError:  # a delivery does not wait for the database
        return events
    return events if old_id is None else [msgspec.structs.replace(event, workflow_id=old_id)]
