"""The file of routes, read again when it has changed."""

import os
import time
from collections.abc import Callable

from stream_detector.notify.config import Route
from stream_detector.notify.configure import read_routes_file
from stream_detector.settings import Settings

STEADY_S = 1.0
"""A new version is read when it has stayed as it is for so long. Most programs empty a file before they write it, and
an empty one sends everything to every channel; CI met that moment."""


class RoutesFile:
    """Tells when there are new routes.

    Args:
        settings: name the file; nothing is ever new where they do not.
        defaults: the route of the settings, which stands in for what the file leaves out.
        now_s: seconds that never go back.
    """

    def __init__(self, settings: Settings, defaults: Route, now_s: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._defaults, self._now_s = settings, defaults, now_s
        self._read = self._seen = self._version()
        self._seen_s = 0.0
        self._reload_requested = False

    def request_reload(self) -> None:
        """Read it at the next look, changed or not."""
        self._reload_requested = True

    def changed(self) -> tuple[Route, ...] | None:
        """The routes of a new version; None if there is none. Each version is read once.

        Raises:
            SettingsError: it cannot be used.
        """
        version, now_s = self._version(), self._now_s()
        if version != self._seen:
            self._seen, self._seen_s = version, now_s
        is_new = version != self._read and now_s - self._seen_s >= STEADY_S
        if not is_new and not self._reload_requested:
            return None
        self._read, self._reload_requested = version, False
        return read_routes_file(self._settings, self._defaults)

    def _version(self) -> tuple[int, int]:
        """What tells one version from the next: time and size; zeros where there is no file."""
        try:
            found = os.stat(self._settings.routes_file)
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_size
