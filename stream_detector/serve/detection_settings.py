"""The settings that the detector judged under, whatever those of the API are."""

import asyncpg

from stream_detector.composition import detection_config, with_detection_texts
from stream_detector.detect import Config
from stream_detector.events.detector_settings import DetectorSettings
from stream_detector.settings import Settings
from stream_detector.store.detector_settings import Revisions, revisions
from stream_detector.store.position import Position


class DetectionSettings:
    """Detection's configuration by the position of an event.

    Args:
        settings: of the API; they hold where the detector has published none.
        published: what it has published.
    """

    def __init__(self, settings: Settings, published: Revisions) -> None:
        self._settings, self._published = settings, published
        self._configs: dict[int, Config] = {}
        self._own = detection_config(settings)

    def revision_at(self, topic: str, position: Position) -> DetectorSettings | None:
        """The revision in force where an event lay, None where none had been published."""
        return self._published.at(topic, position)

    def config_at(self, topic: str, position: Position) -> Config:
        """The configuration that an event was judged under."""
        return self._config_of(self._published.at(topic, position))

    @property
    def newest(self) -> Settings:
        """The API's settings with those that judge now."""
        revision = self._published.newest()
        return self._settings if revision is None else self._with(revision)

    @property
    def newest_config(self) -> Config:
        """The configuration that judges now."""
        return self._config_of(self._published.newest())

    def _config_of(self, revision: DetectorSettings | None) -> Config:
        if revision is None:
            return self._own
        config = self._configs.get(id(revision))
        if config is None:
            config = self._configs[id(revision)] = detection_config(self._with(revision))
        return config

    def _with(self, revision: DetectorSettings) -> Settings:
        try:
            return with_detection_texts(self._settings, revision.settings)
        except ValueError:  # a later version has values that this one does not know
            return self._settings


async def detection_settings(pool: asyncpg.Pool, settings: Settings) -> DetectionSettings:
    """As stored now."""
    return DetectionSettings(settings, await revisions(pool))
