"""An import under way, on disk: the events so far and how far it has come, whole after kill -9 at any moment.

Order: 1. append a page's events and flush them to the disk; 2. replace the state, which names their length. What lies
behind that length was written by a process that died in between, and is cut off when the import goes on.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

import msgspec
from msgspec import Struct

from stream_detector.history.errors import HistoryImportError

KEPT_S = 7 * 86_400.0
"""An import that was not continued for so long is begun again."""
_VERSION = 1


class Progress(Struct, kw_only=True, omit_defaults=True):
    """How far an import has come. `spool.json` in its folder."""

    version: int = _VERSION
    begun_at_s: float = 0.0
    since_s: float = 0.0
    until_s: float = 0.0
    """What is asked for: Unix times by this machine's clock."""
    cursor: str = ""
    of: int | None = None
    is_fetched: bool = False
    spooled_bytes: int = 0
    payloads: int = 0
    unfinished: int = 0
    """Payloads without an end: runs that are under way."""
    refused: dict[str, int] = {}
    """What is wrong with payloads that cannot be read -> how many."""
    notes: list[str] = []
    cluster: str = ""
    """The broker that it is published to, once that has begun."""
    offsets: dict[str, int] = {}
    """Partition -> end before the first event was published."""
    is_publishing: bool = False


class Spool:
    """The folder of one import. A context manager: it is ours until its end.

    Args:
        folder: where imports are kept.
        name: whatever makes this import the same as an earlier one: provider, place, options.
    """

    def __init__(self, folder: Path, name: Sequence[str]) -> None:
        digest = hashlib.sha256("\0".join(name).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._path = folder / digest
        self._events_path, self._state_path = self._path / "events.jsonl", self._path / "spool.json"
        self._lock: IO[str] | None = None
        self._events: IO[bytes] | None = None
        self.progress = Progress()

    def __enter__(self) -> Self:
        """Lock the folder and read what it has. Raises `HistoryImportError`."""
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = open(os.open(self._path / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HistoryImportError("the same import is running in another process: wait for its end") from None
            self._read()
        except OSError as error:
            raise HistoryImportError(
                f"{self._path} cannot be used: {error.strerror}. Name another folder with --data-dir"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._events, self._lock):
            if file:
                file.close()

    @property
    def is_begun(self) -> bool:
        """Whether an earlier process has come anywhere."""
        return bool(self.progress.begun_at_s)

    @property
    def age_s(self) -> float:
        """Since it was begun."""
        return time.time() - self.progress.begun_at_s

    def begin(self, progress: Progress) -> None:
        """Begin, with nothing of what was there."""
        self._close_events()
        self._events_path.unlink(missing_ok=True)
        self.progress = progress
        self.save()

    def add(self, events: Sequence[bytes]) -> None:
        """Append events, each as JSON on one line, and then `progress`, in which the caller has set its cursor.

        Raises `HistoryImportError` where the disk takes no more.
        """
        try:
            self._add(events)
        except OSError as error:
            raise HistoryImportError(
                f"{self._path} cannot be written: {error.strerror}. Make room, or name another folder with --data-dir"
            ) from None

    def _add(self, events: Sequence[bytes]) -> None:
        if events and self._events is None:
            self._events = open(os.open(self._events_path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")  # noqa: SIM115
            self._events.truncate(self.progress.spooled_bytes)
            self._events.seek(self.progress.spooled_bytes)
        if events and self._events:
            self._events.write(b"\n".join(events) + b"\n")
            self._events.flush()
            os.fsync(self._events.fileno())
            self.progress.spooled_bytes = self._events.tell()
        self.save()

    def save(self) -> None:
        """`progress` is on the disk afterwards, whole."""
        written = self._state_path.with_suffix(".new")
        with open(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(self.progress))
            file.flush()
            os.fsync(file.fileno())
        written.replace(self._state_path)

    def events(self) -> Iterator[tuple[int, bytes]]:
        """(its offset, the JSON) of each event, in the order in which they came."""
        at = 0
        if not self._events_path.exists():
            return
        with self._events_path.open("rb") as file:
            while at < self.progress.spooled_bytes:
                line = file.readline()
                yield at, line[:-1]
                at += len(line)

    def read(self, offsets: Sequence[int]) -> Iterator[bytes]:
        """The JSON of the events at these offsets."""
        if not offsets:
            return
        with self._events_path.open("rb") as file:
            for at in offsets:
                file.seek(at)
                yield file.readline()[:-1]

    def remove(self) -> None:
        """The import has ended: nothing of it is kept."""
        self._close_events()
        self._state_path.unlink(missing_ok=True)  # first: what is left of it after a kill is no import under way
        shutil.rmtree(self._path, ignore_errors=True)

    def _close_events(self) -> None:
        if self._events:
            self._events.close()
        self._events = None

    def _read(self) -> None:
        try:
            found = msgspec.json.decode(self._state_path.read_bytes(), type=Progress)
            length = self._events_path.stat().st_size if found.spooled_bytes else 0
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return  # never begun, or not by us: begun again
        if found.version == _VERSION and length >= found.spooled_bytes:
            self.progress = found


def remove_old(folder: Path) -> None:
    """Imports that nobody has continued for `KEPT_S` are gone afterwards."""
    for state in folder.glob("*/spool.json"):
        with suppress(OSError):
            if time.time() - state.stat().st_mtime > KEPT_S:
                shutil.rmtree(state.parent, ignore_errors=True)
