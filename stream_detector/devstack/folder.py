"""DATA_DIR: used by one `up` at a time, with a secret key that only its user can read and logs of bounded size."""

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from stream_detector.devstack.owned import ChildError
from stream_detector.settings import SettingsError

RUNNING = "running.json"
"""Address of the API, the broker and the database of the `up` that uses the folder, and its token."""

LOG_ROTATE_BYTES = 10 * 1024 * 1024


class DataFolder:
    """A data folder that is ours until `close`. Folders that we make may be passed by others, never listed."""

    def __init__(self, path: Path) -> None:
        """Make the folder if need be and lock it.

        Raises:
            SettingsError: it cannot be made or written.
            ChildError: another `up` uses it.
        """
        self.path = path
        try:
            make_folders(path)
            # Without O_TRUNC: until it is locked it belongs to somebody else.
            self._lock: IO[str] = open(os.open(path / "up.lock", os.O_RDWR | os.O_CREAT, 0o600), "r+")  # noqa: SIM115 - held until close
        except OSError as error:
            raise SettingsError(
                "STREAM_DETECTOR_DATA_DIR", repr(str(path)), f"cannot be used: {error.strerror}"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._lock.read().strip()
            self._lock.close()
            raise ChildError(
                f"another `stream-detector up` (process {holder}) is using {path}: stop it, or use another --data-dir"
            ) from None
        self.was_killed = (path / RUNNING).exists()
        """Whether the last `up` on it ended without `close`."""
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def close(self) -> None:
        """Let others use it."""
        (self.path / RUNNING).unlink(missing_ok=True)
        self._lock.close()

    def forget_starts(self) -> str:
        """Where roles count how often they started at an offset of the embedded broker, one file each; without what
        was counted on a former one."""
        for path in self.path.glob("starts.*"):
            path.unlink(missing_ok=True)
        return str(self.path / "starts")

    def secret_key(self) -> str:
        """The key that signs links and sessions: made once, mode 0600."""
        return self._secret("secret-key")

    def api_token(self) -> str:
        """The operator's token with which this machine's own command line asks the API: made once, mode 0600."""
        return self._secret("api-token")

    def _secret(self, name: str) -> str:
        path = self.path / name
        if not path.exists() or path.stat().st_size < 32:
            path.unlink(missing_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(48))
        return path.read_text().strip()

    def write_running(self, running: Mapping[str, str]) -> None:
        """Note, mode 0600, how this machine's own commands reach what runs; gone at `close`."""
        path = self.path / RUNNING
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(dict(running), file)

    def log(self, name: str) -> Path:
        """The path of a log, whose older part was put aside if it had grown long."""
        path = self.path / "logs" / f"{name}.log"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_ROTATE_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path


def make_folders(folder: Path) -> None:
    """Make the folder and its missing parents, ours alone; made by root, others may pass through, not list.

    The embedded database needs that: it runs as another user there.
    """
    for part in (*reversed(folder.parents), folder):
        if not part.exists():
            part.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                part.chmod(0o711)
