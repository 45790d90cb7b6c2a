"""What judges and notifies at present: this command's settings, and what the database knows of the running roles."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
import msgspec
from msgspec import Struct

from stream_detector.composition import detection_config, with_detection_texts
from stream_detector.detect import Config
from stream_detector.events import Action
from stream_detector.events.detector_settings import DetectorSettings
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.configure import notify_config
from stream_detector.settings import Settings
from stream_detector.store import incidents
from stream_detector.store.connect import StoreAwayError, open_pool, store_errors
from stream_detector.store.detector_settings import revisions

MOST_SILENCES = 1_000
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Present:
    """For `ReplayedHistory`."""

    detection: Config
    notify: NotifyConfig
    silences: Sequence[Action] = ()
    """Those in force, as if they had always been."""
    notes: Sequence[str] = field(default=())


class _Silence(Struct):
    id: str
    entity: str
    incident_id: str | None
    matchers: dict[str, str]
    until: datetime
    by: str


async def present_settings(settings: Settings) -> Present:
    """A detection setting that this command was not given is that of the running detector, as it has published it.

    Raises:
        SettingsError: the routes file or a setting cannot be used.
    """
    notify = notify_config(settings)
    own = Present(detection_config(settings), notify)
    if not settings.database_url:
        return own
    try:
        published, silences = await _stored(settings.database_url)
    except (StoreAwayError, asyncpg.PostgresError) as error:
        why = f"the database cannot be read ({error}): silences and published settings are not in the report"
        return Present(own.detection, notify, (), [why])
    if published is not None:
        given = {name for name in published.settings if settings.origin.get(name, "default") != "default"}
        texts = {name: text for name, text in published.settings.items() if name not in given}
        settings = with_detection_texts(settings, texts)
    return Present(detection_config(settings), notify, [_action_of(each) for each in silences])


async def _stored(url: str) -> tuple[DetectorSettings | None, Sequence[bytes]]:
    pool = await open_pool(url, name="import", size=1)
    try:
        with store_errors():
            page = await incidents.silences(pool, active=True, limit=MOST_SILENCES)
            return (await revisions(pool)).newest(), page.items
    finally:
        await pool.close()


def _action_of(silence: bytes) -> Action:
    found = msgspec.json.decode(silence, type=_Silence)
    return Action(
        action_id=found.id,
        kind="silence",
        by=found.by,
        at=_EVER,
        entity=found.entity,
        incident_id=found.incident_id,
        matchers=found.matchers,
        until=found.until,
    )
