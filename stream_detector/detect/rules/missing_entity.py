"""Entity membership: which entities a completed run had, so that the next run of its kind can be seen to lack one.

A run is gathered by its id, a membership is kept by entity type: all memberships of a type meet at one place, whatever
the ids of the runs. A run counts as the same kind as an earlier one where it has at least half of the entities of that
one; of several the most similar is taken, so a full run each night and a partial one each hour are not mixed up. An
entity that comes after the end of its run ends the record that it was missing, until the next run of the kind.
"""

from datetime import datetime

import msgspec
from msgspec import Struct

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding, metrics_of
from stream_detector.detect.outcome import LATE_MS
from stream_detector.detect.rules import pattern_deviation
from stream_detector.detect.runs import MOST_MEMBERS, Run
from stream_detector.events import Affected, Anomaly, EntityMembership, Profile, RunPart, State
from stream_detector.events.ids import SEPARATOR, derived_id, score_key
from stream_detector.events.times import FUTURE_MS, epoch_ms, from_epoch_ms

PREFIX = "roster~"
KINDS = 4
"""Kinds of runs of one type that are kept, the newest run of each."""
REMEMBERED_MS = 90 * 86_400_000
"""Memberships of a type that nobody has run for so long are forgotten."""
MAX_TOKEN_CHARACTERS = 250_000
"""Of ids and names in a membership: four of them, 4 bytes a character in UTF-8, are then within the broker's 8 MiB."""
MOST_TYPES = 20
"""A run of more types has no membership: each would repeat the entities that failed before their type was known."""


class Membership(Struct, frozen=True, gc=False, array_like=True):
    """The entities of one type, id to name, in a run that ended at `ended_ms` (epoch ms).

    `missing` are those that were reported as missing from it, id to name.
    """

    run_id: str
    ended_ms: int
    entities: dict[str, str]
    missing: dict[str, str] = {}


class Memberships(Struct, gc=False, array_like=True):
    """The newest run of each kind, the newest first. `last_ms` is the record time of the last membership, epoch ms.

    `before_newest` is the last run that says that the newest was ahead of its time.
    """

    kept: list[Membership] = []
    last_ms: int = 0
    before_newest: str = ""

    @classmethod
    def unpack(cls, packed: bytes) -> "Memberships":
        """The memberships that `pack` gave. Raises `msgspec.DecodeError`."""
        return _DECODER.decode(packed)

    def pack(self) -> bytes:
        """MessagePack, the ids and names and 2 to 6 bytes for each entity and kind."""
        return msgspec.msgpack.encode(self)

    @property
    def forget_at_ms(self) -> int:
        """From then on they may be dropped."""
        return self.last_ms + REMEMBERED_MS


_DECODER = msgspec.msgpack.Decoder(Memberships)


def membership_id(entity_type: str) -> str:
    """What the memberships of a type are kept by.

    >>> membership_id("dao")
    'roster~dao'
    """
    return PREFIX + (entity_type if len(entity_type) <= 200 else derived_id(entity_type))


def membership_parts(run: Run, now_ms: int) -> list[RunPart]:
    """What a run that has ended by its `completed` event passes on, one part for each entity type; else nothing.

    A revision passes on the whole membership again.

    Nothing either from more than 5,000 entities or 20 types, and of a type with 250,000 characters of ids and names.
    """
    if run.window or run.status != "completed" or not run.has_ended(now_ms):
        return []
    if len(run.entities) > MOST_MEMBERS or run.forgotten is not None:
        return []
    failed: list[str] = []
    by_type: dict[str, dict[str, str]] = {}
    for entity_id, entity in sorted(run.entities.items()):
        if entity.entity_type is None:
            return []  # gathered by a version that did not keep types
        if not entity.scored and not entity.entity_type:
            failed.append(entity_id)  # most often refused before its type was known
            continue
        by_type.setdefault(entity.entity_type, {})[entity_id] = entity.name
    if len(by_type) > MOST_TYPES:
        return []
    others = sum(map(len, failed))
    return [
        RunPart(
            run_id=membership_id(entity_type),
            kind="roster",
            at=from_epoch_ms(run.ended_ms),
            entity_type=entity_type or None,
            published_at=from_epoch_ms(run.ended_ms + run.end_age_ms),
            membership=EntityMembership(run_id=run.run_id, entities=entities, failed=failed),
            revision=max(1, run.revision),
        )
        for entity_type, entities in by_type.items()
        if others + _characters(entities) <= MAX_TOKEN_CHARACTERS
    ]


def _characters(entities: dict[str, str]) -> int:
    return sum(len(key) + len(name) for key, name in entities.items())


def apply_membership(memberships: Memberships, part: RunPart, record_ms: int, profile: Profile) -> list[Anomaly]:
    """Keep a run's membership; the entities that the last run of its kind had and this one has not.

    A membership that is not newer than all that are kept changes nothing, so a repeated one never does; that of a run
    which is kept adds what came after its end. An entity that failed is there; it stays in the membership that had it.
    Where two in a row show that the newest run was ahead of its time (as `detect/clock.py`), that one is forgotten.
    """
    membership, ended_ms = part.membership, epoch_ms(part.at)
    if membership is None:
        return []
    for number, one in enumerate(memberships.kept):
        if one.run_id == membership.run_id:
            return _add_late(memberships, number, part, membership, profile)
    if any(ended_ms <= one.ended_ms for one in memberships.kept) and not _was_ahead(
        memberships, part, membership.run_id
    ):
        return []
    memberships.before_newest = ""
    memberships.last_ms = max(memberships.last_ms, record_ms)
    entities, present = membership.entities, {*membership.entities, *membership.failed}
    before = _most_similar(memberships.kept, present)
    if before is not None and membership.failed:
        failed = entities | {key: before.entities[key] for key in membership.failed if key in before.entities}
        entities = failed if _characters(failed) <= MAX_TOKEN_CHARACTERS else entities
    others = [one for one in memberships.kept if one is not before]
    gone = {} if before is None else {key: before.entities[key] for key in sorted(before.entities.keys() - present)}
    memberships.kept = [Membership(membership.run_id, ended_ms, entities, gone), *others][:KINDS]
    if before is None:
        return []
    return [_missing(key, before, len(gone), part, membership, profile) for key in gone]


def _was_ahead(memberships: Memberships, part: RunPart, run_id: str) -> bool:
    """Whether a run, and the one before it, ended and were published before the runs that are newer by their clocks.

    Those are forgotten. When they were published is not kept; it was not before they ended. A revision, which comes
    whenever a score is late, shows nothing.
    """
    ended_ms, newest_ms = epoch_ms(part.at), max(one.ended_ms for one in memberships.kept)
    published_ms = max(ended_ms, epoch_ms(part.published_at) if part.published_at is not None else ended_ms)
    if newest_ms - ended_ms <= LATE_MS or published_ms >= newest_ms - FUTURE_MS or part.revision > 1:
        memberships.before_newest = ""
        return False
    if memberships.before_newest in ("", run_id):
        memberships.before_newest = run_id
        return False
    memberships.kept = [one for one in memberships.kept if one.ended_ms < ended_ms]
    return True


def _add_late(
    memberships: Memberships, number: int, part: RunPart, now: EntityMembership, profile: Profile
) -> list[Anomaly]:
    """Add what came after the run's end; the ends of the records that it was missing."""
    kept = memberships.kept[number]
    came = [key for key in kept.missing if key in now.entities or key in now.failed]
    entities = kept.entities | now.entities | {key: kept.missing[key] for key in came if key in now.failed}
    if _characters(entities) > MAX_TOKEN_CHARACTERS:
        entities = kept.entities
    if came or entities != kept.entities:
        missing = {key: name for key, name in kept.missing.items() if key not in came}
        memberships.kept[number] = Membership(kept.run_id, kept.ended_ms, entities, missing)
    return [_came(key, now.entities.get(key) or kept.missing[key], part, now, profile) for key in came]


def _most_similar(kept: list[Membership], present: set[str]) -> Membership | None:
    found, most = None, 0.0
    for one in kept:
        common = len(one.entities.keys() & present)
        similar = common / len(one.entities.keys() | present)
        if 2 * common >= len(one.entities) and similar > most:
            found, most = one, similar
    return found


def _missing(
    entity_id: str, before: Membership, gone: int, part: RunPart, now: EntityMembership, profile: Profile
) -> Anomaly:
    name = before.entities[entity_id]
    finding = pattern_deviation.entity_missing(name or entity_id, before.run_id, now.run_id, len(before.entities), gone)
    own_id = _record_id(finding, entity_id, part, now)
    steps = _steps(name or entity_id, before, gone, part.at, now)
    touched = [Affected("entity", entity_id, name), Affected("run", now.run_id), Affected("run", before.run_id)]
    return _record(finding, (entity_id, name), own_id, own_id, "opened", touched, steps, part, now, profile)


def _came(entity_id: str, name: str, part: RunPart, now: EntityMembership, profile: Profile) -> Anomaly:
    """The end of the record that it was missing."""
    finding = pattern_deviation.entity_came(name or entity_id, now.run_id)
    incident_id = _record_id(finding, entity_id, part, now)
    own_id = derived_id(incident_id, "resolved")
    steps = [f"Nothing to do: run {now.run_id} has {name or entity_id}, after the run's end"]
    touched = [Affected("entity", entity_id, name), Affected("run", now.run_id)]
    return _record(finding, (entity_id, name), own_id, incident_id, "resolved", touched, steps, part, now, profile)


def _record_id(finding: Finding, entity_id: str, part: RunPart, now: EntityMembership) -> str:
    event_id = f"{now.run_id}{SEPARATOR}{entity_id}"
    return derived_id(finding.detector, score_key(entity_id), event_id, f"{finding.subject} {part.entity_type or ''}")


def _record(
    finding: Finding,
    entity: tuple[str, str],
    own_id: str,
    incident_id: str,
    state: State,
    touched: list[Affected],
    steps: list[str],
    part: RunPart,
    now: EntityMembership,
    profile: Profile,
) -> Anomaly:
    entity_id, name = entity
    return Anomaly(
        schema_version=1,
        id=own_id,
        incident_id=incident_id,
        state=state,
        detected_at=part.at,
        anomaly_type=finding.anomaly_type,
        severity=finding.severity,
        description=finding.description,
        entity_id=entity_id,
        entity_name=name,
        entity_kind="score",
        run_id=now.run_id,
        metrics=metrics_of(finding),
        affected_entities=touched,
        investigation_steps=steps,
        gates=finding.gates,
        detector=finding.detector,
        profile=profile,
        published_at=part.published_at,
        end_reason=finding.end_reason,
    )


def _steps(name: str, before: Membership, gone: int, at: datetime, now: EntityMembership) -> list[str]:
    steps = [
        f"See why run {now.run_id} of {wording.instant(epoch_ms(at))} has no score of {name}: "
        f"run {before.run_id} of {wording.instant(before.ended_ms)} had one",
        f"Where {name} was taken out on purpose there is nothing to do: it is reported only once",
    ]
    if gone > 1:
        steps.insert(0, f"{gone} entities are missing from run {now.run_id}: look at the run first, not at each entity")
    return steps
