"""Which stored events the stored state does not hold.

A value names the positions up to which it has events, so an event of its key at or behind them is missing from it. An
event that lay on another partition than its key's was passed on, and the watermarks of the key's partition say how far.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import asyncpg

from stream_detector.delivery.repartition import is_behind
from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.contents import WATERMARKS_KEY
from stream_detector.kafka import topics
from stream_detector.roles.renames import FROM
from stream_detector.store import notifications, state_records
from stream_detector.store.state_records import Candidate, Place, StoredHead

UNREAD_EPOCH = 0
"""Of an action that the API has stored, and that no recorder has read from its topic."""
PASSED_ON, FIRST_PASSED_ON = 20_000, 1_000
"""So many events of a partition may have been passed on to their owners and not applied there when all ended; the
second where none of them was applied before, as with producers that key by the id."""

WHOLE_BYTES = 100_000
"""A checkpoint is written in batches of 256 KB, and a batch is stored whole. So one whose stored values are less than
this was a single batch, and is whole."""

TABLES = {
    topics.ACTIONS: state_records.ACTIONS,
    topics.COMPLETIONS: state_records.EXECUTIONS,
    topics.SCORES: state_records.SCORES,
    topics.SCORE_RUNS: state_records.SCORE_RUNS,
    topics.ALERTS: state_records.ANOMALIES,
    topics.RUN_SUMMARIES: state_records.RUN_SUMMARIES,
}
"""Topics that can be published again -> their tables."""
JUDGED = (topics.COMPLETIONS, topics.SCORES, topics.ACTIONS)
"""Those whose events belong to a baseline."""
NOTIFIED = (topics.ALERTS, topics.RUN_SUMMARIES, topics.ACTIONS)
"""Those that the notifier reads."""


@dataclass
class Missing:
    """Places of stored events by topic, in the order of their stream."""

    places: dict[str, list[Place]] = field(default_factory=dict)
    judged_only: int = 0
    """Records behind the last one stored that baselines have been through."""
    held_scores: list[tuple[Place, str]] = field(default_factory=list)
    """Of the scores looked at: those of a run whose baselines have them, with the run."""

    @property
    def count(self) -> int:
        """How many events."""
        return sum(map(len, self.places.values()))

    def add(self, topic: str, places: Iterable[Place]) -> None:
        """Note them, once each."""
        if found := {*self.places.get(topic, ()), *places}:
            self.places[topic] = sorted(found)


class Heads:
    """What the stored state of one topic says of its positions, in the newest stream."""

    def __init__(
        self, epoch: int, heads: Mapping[int, list[StoredHead]], watermarks: Mapping[int, tuple[int, bytes]]
    ) -> None:
        self._epoch = epoch
        self._heads = {
            partition: [changelog_record.positions_of(each.head) for each in listed]
            for partition, listed in heads.items()
        }
        self._is_whole = {
            partition: sum(each.n_bytes for each in listed) < WHOLE_BYTES for partition, listed in heads.items()
        }
        self._watermarks = {
            partition: changelog_record.decode_watermarks(changelog_record.payload_of(value))
            for partition, (stream_epoch, value) in watermarks.items()
            if stream_epoch == epoch
        }
        self.has_unnamed = any(not positions for listed in self._heads.values() for positions in listed)
        """Whether an earlier version stored values, without the positions that they have events up to."""

    @classmethod
    async def read(cls, pool: asyncpg.Pool, topic: str, epoch: int) -> "Heads":
        """Those of a state topic."""
        return cls(
            epoch,
            await state_records.stored_heads(pool, topic, epoch),
            await state_records.stored_special(pool, topic, WATERMARKS_KEY),
        )

    def whole_until(self, partition: int, topic: str) -> int:
        """First offset of the topic's partition that a value of the same partition may lack."""
        heads = self._heads.get(partition, [])
        if not heads or (len(heads) == 1 and not self._is_whole[partition]):
            return 0  # the only checkpoint that is left may be stored in part
        return min(positions.get(topic, 0) for positions in heads)

    def named_until(self, partition: int, topic: str) -> int | None:
        """As `whole_until`, of a topic that is not assigned with the state any more, so that newer values name no
        position of it: by those that do. None where none does, and each event came by `rekeyed`."""
        named = [positions for positions in self._heads.get(partition, []) if topic in positions]
        if not named:
            return None
        return self.whole_until(partition, topic) or min(positions[topic] for positions in named)

    def judged_until(self, partition: int, topic: str) -> int:
        """First offset of the topic's partition that no value has been through."""
        heads = self._heads.get(partition, [])
        return max((positions.get(topic, 0) for positions in heads), default=0)

    def passed_on_until(self, home: int, topic: str, partition: int) -> int | None:
        """First offset of the topic's partition that was not applied on the home of its key; None: never any."""
        marks = self._watermarks.get(home, {})
        place = f"{topic}/{partition}"
        if home == partition:
            return marks.get(place)
        found = [marks[name] for name in (place, FROM + place) if name in marks]  # under a former id
        return max(found, default=None)

    def was_passed_on(self, home: int, topic: str, place: Place) -> bool:
        """Whether the event of the place was applied on the home of its key."""
        marks, name = self._watermarks.get(home, {}), f"{topic}/{place.partition}"
        names = (name,) if home == place.partition else (name, FROM + name)  # under a former id
        return any(is_behind(marks, each, place.offset, place.event_index) for each in names)

    def has_passed_on(self, topic: str, partition: int) -> bool:
        """Whether an event of the topic's partition was ever applied on another one."""
        return any(f"{topic}/{partition}" in watermarks for watermarks in self._watermarks.values())

    def lacks(self, found: Candidate, topic: str) -> bool:
        """Whether its key's state lacks the event."""
        if found.head is None or found.home is None or found.state_epoch is None:
            return not self.has_unnamed and topic != topics.ACTIONS  # one about nothing known changes nothing
        if found.state_epoch != self._epoch:
            return found.state_epoch < self._epoch
        positions = changelog_record.positions_of(found.head)
        if not positions:
            return False
        passed_on = self.passed_on_until(found.home, topic, found.place.partition)
        if passed_on is not None or found.home != found.place.partition:
            return not self.was_passed_on(found.home, topic, found.place)
        return found.place.offset >= positions.get(topic, 0)


async def find_missing(pool: asyncpg.Pool) -> Missing:
    """The events of the newest stream that no baseline, no run and not the notifier's state has."""
    missing = Missing()
    heads_of: dict[int, Heads] = {}
    for topic in JUDGED:
        table = TABLES[topic]
        epoch = await state_records.newest_epoch(pool, table)
        if epoch not in heads_of:
            heads_of[epoch] = await Heads.read(pool, topics.BASELINES, epoch)
        heads = heads_of[epoch]
        for partition in await state_records.partitions_of(pool, table, epoch):
            passed_on = PASSED_ON if heads.has_passed_on(topic, partition) else FIRST_PASSED_ON
            first = max(0, heads.whole_until(partition, topic) - passed_on)
            found = await state_records.candidates(pool, table, epoch, partition, first)
            missing.add(topic, (each.place for each in found if heads.lacks(each, topic)))
            last = max((each.place.offset for each in found), default=heads.judged_until(partition, topic))
            if topic != topics.ACTIONS:
                missing.judged_only += max(0, heads.judged_until(partition, topic) - last - 1)
            if topic == topics.SCORES and not heads.has_unnamed:
                missing.held_scores += [
                    (each.place, each.run_id)
                    for each in found
                    if each.run_id is not None and not each.backfill and not heads.lacks(each, topic)
                ]
    await _find_unnotified(pool, missing)
    return missing


async def _find_unnotified(pool: asyncpg.Pool, missing: Missing) -> None:
    """What the notifier has not decided. Its topic has one partition, whose watermarks name every place."""
    has_state = await state_records.has_topic(pool, topics.NOTIFIER_STATE)
    if not has_state and await notifications.has_any(pool):
        return  # an earlier version's recorder, or one that may not read it
    marked = await state_records.stored_special(pool, topics.NOTIFIER_STATE, WATERMARKS_KEY)
    known_epoch, value = marked.get(0, (0, b""))
    decided = changelog_record.decode_watermarks(changelog_record.payload_of(value)) if value else {}
    # No notifier yet, or none at all: subscribers of the alerts topic shall not get everything once more, and silences
    # that were set meanwhile are in force all the same.
    for topic in NOTIFIED if has_state else (topics.ACTIONS,):
        table = TABLES[topic]
        epoch = await state_records.newest_epoch(pool, table)
        if epoch < known_epoch:
            continue
        for partition in await state_records.partitions_of(pool, table, epoch):
            first = decided.get(f"{topic}/{partition}", 0) if epoch == known_epoch else 0
            missing.add(topic, await state_records.places_from(pool, table, epoch, partition, first))
    for partition in await state_records.partitions_of(pool, state_records.ACTIONS, UNREAD_EPOCH):
        unread = await state_records.places_from(pool, state_records.ACTIONS, UNREAD_EPOCH, partition)
        missing.add(topics.ACTIONS, unread)
