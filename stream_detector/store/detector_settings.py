"""The settings that the detector judged under, by the position of an event."""

from typing import NamedTuple

import asyncpg
import msgspec

from stream_detector.events.detector_settings import DetectorSettings
from stream_detector.store.position import Position

_SETTINGS = msgspec.json.Decoder(DetectorSettings)


class Revisions(NamedTuple):
    """Every revision that is stored, by epoch of its stream, in their order."""

    by_epoch: dict[int, list[DetectorSettings]]

    def at(self, topic: str, position: Position) -> DetectorSettings | None:
        """The revision in force where the event lay, None where none had been published then.

        Of a repartitioned event the place where it was published counts.
        """
        for revision in reversed(self.by_epoch.get(position.epoch, [])):
            if revision.holds_at(topic, position.partition, position.offset):
                return revision
        return None

    def newest(self) -> DetectorSettings | None:
        """The revision in force now, None where none is stored."""
        return self.by_epoch[max(self.by_epoch)][-1] if self.by_epoch else None


async def revisions(pool: asyncpg.Pool) -> Revisions:
    """All that are stored: as many as settings were changed."""
    by_epoch: dict[int, list[DetectorSettings]] = {}
    for found in await pool.fetch("SELECT stream_epoch, event FROM detector_settings ORDER BY stream_epoch, revision"):
        by_epoch.setdefault(found["stream_epoch"], []).append(_SETTINGS.decode(found["event"]))
    return Revisions(by_epoch)
