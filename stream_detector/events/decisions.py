"""What the records on `operator-actions` decide. One rule for all of its readers: notifier, recorder and API.

It depends only on which records there are, not on their order or on how often one of them comes:

1. Of the records with one `action_id` the one with the earliest `at` counts, of these the one that ends first: a link
   whose button is pressed again has decided nothing new.
2. Of the silences with one target the newest counts (`at`, then `action_id`), and is in force until it ends. One that
   ends before it began lifts the earlier ones. One for an entity ends when the entity is retired.
3. An incident is taken by whoever decided about it first (`at`, then `action_id`): about itself, or about its entity
   after it had opened. A decision that makes detection forget its key (`WHOLE_KEY`) is about the entity, also where it
   names one of its incidents.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from stream_detector.events.action import Action

SILENCE_LASTS: Final = timedelta(hours=24)
"""A silence that names no end lasts so long: one that never ends is forgotten, and then it hides the next outage."""
TAKES: Final = ("acknowledge", "resolve", "expected", "not_an_anomaly", "relearn", "retire")
"""The kinds by which an incident is taken: people need no more messages about it but its end."""

WHOLE_KEY: Final = ("relearn", "retire")
"""The kinds with which detection forgets everything of a key, all of its incidents among it."""

Target = tuple[str, str, tuple[tuple[str, str], ...]]
"""What a silence is about: entity, incident and matchers, of which all must match."""


class Decided(Struct, frozen=True, kw_only=True, array_like=True, order=True):
    """One record, as far as the rule needs it; ordered by `at_s`, then `action_id`. Times in Unix seconds."""

    at_s: float
    action_id: str
    until_s: float = 0.0
    """Of a silence."""
    by: str = ""


def decided_by(action: Action) -> Decided:
    """The record of an action."""
    until_s = silence_end(action.at, action.until).timestamp() if action.kind == "silence" else 0.0
    return Decided(at_s=action.at.timestamp(), action_id=action.action_id, until_s=until_s, by=action.by)


def silence_end(at: datetime, until: datetime | None) -> datetime:
    """When a silence ends that was decided at `at`."""
    return until if until is not None else at + SILENCE_LASTS


def is_about_entity(action: Action) -> bool:
    """Whether a decision is about every incident of its entity (3.)."""
    return bool(action.entity) and (not action.incident_id or action.kind in WHOLE_KEY)


def target_of(action: Action) -> Target:
    """What a silence is about."""
    return action.entity, action.incident_id or "", tuple(sorted(action.matchers.items()))


def first_of_each(records: Iterable[Decided]) -> list[Decided]:
    """1. One record for each action.

    >>> pressed = [Decided(at_s=at_s, action_id="a", until_s=at_s + 9) for at_s in (5.0, 2.0, 7.0)]
    >>> [one.at_s for one in first_of_each(pressed)]
    [2.0]
    """
    found: dict[str, Decided] = {}
    for one in records:
        known = found.get(one.action_id)
        if known is None or (one.at_s, one.until_s) < (known.at_s, known.until_s):
            found[one.action_id] = one
    return list(found.values())


def silence_in_force(silences: Iterable[Decided], retired: Iterable[Decided], now_s: float) -> Decided | None:
    """2. The silence of a target that is in force, None where it has none.

    Args:
        silences: every silence with that target.
        retired: every retirement of its entity; none where it has no entity.
    """
    newest = max(first_of_each(silences), default=None)
    if newest is None or newest.until_s <= max(now_s, newest.at_s):
        return None
    return None if any(one.at_s >= newest.at_s for one in first_of_each(retired)) else newest


def who_took(about_it: Iterable[Decided], about_entity: Iterable[Decided], opened_s: float) -> Decided | None:
    """3. The decision by which an incident was taken, None where nobody has.

    Args:
        about_it: decisions that name the incident.
        about_entity: those about its entity that name none.
        opened_s: when it opened, by the time of its event.
    """
    about = [*first_of_each(about_it), *(one for one in first_of_each(about_entity) if one.at_s >= opened_s)]
    return min(about, default=None)
