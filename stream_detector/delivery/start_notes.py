"""Where a role keeps what it notes of its starts: with the group's committed offsets, or in a file."""

import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec
from faust.types import TP

from stream_detector.delivery.small_steps import NOTHING, Noted
from stream_detector.kafka.commit_note import MOST, read_note, with_start
from stream_detector.kafka.commit_note import StartNote as Note

Committed = Mapping[TP, tuple[int, str]]
"""Partition -> offset and metadata."""


class NotesInMetadata:
    """In the metadata of the group's committed offsets.

    Args:
        found: the metadata that was committed with a partition's offset when it became ours.
        kept: what of it each commit keeps.
        commit: offsets with their metadata; False where the group has a new generation.
        commit_now: the same from outside of the loop, for a process that ends. Blocks.
        keep: has each commit keep the offset of a record that was set aside.
    """

    def __init__(
        self,
        found: Callable[[TP], str],
        kept: Callable[[TP], str],
        commit: Callable[[Committed], Awaitable[bool]],
        commit_now: Callable[[Committed], None],
        keep: Callable[[TP, int], None],
    ) -> None:
        self._found, self._kept, self._commit, self._commit_now, self._keep = found, kept, commit, commit_now, keep

    async def read(self, offsets: Mapping[TP, int]) -> dict[TP, Note]:
        return {tp: read_note(self._found(tp)).start or NOTHING for tp in offsets}

    async def write(self, noted: Noted) -> bool:
        return await self._commit(self._encoded(noted))

    def note_passed(self, noted: Noted) -> None:
        """They are in that commit."""

    def write_now(self, noted: Noted) -> None:
        self._commit_now(self._encoded(noted))

    def note_set_aside(self, tp: TP, offset: int) -> None:
        self._keep(tp, offset)

    def _encoded(self, noted: Noted) -> Committed:
        return {tp: (offset, with_start(self._kept(tp), note)) for tp, (offset, note) in noted.items()}


class NotesInFile:
    """For a broker that keeps nothing with an offset: a file that `up` has made for each role.

    It outlives the process, not the machine, as that broker does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted: dict[str, tuple[int, Note]] = {}
        self._set_aside: list[str] = []

    async def read(self, offsets: Mapping[TP, int]) -> dict[TP, Note]:
        kept = _load(self._path)
        self._noted, self._set_aside = kept.noted, kept.set_aside
        found = {tp: self._noted.get(_name(tp), (-1, NOTHING)) for tp in offsets}
        return {tp: note for tp, (offset, note) in found.items() if offset == offsets[tp]}

    async def write(self, noted: Noted) -> bool:
        self.write_now(noted)
        return True

    def note_passed(self, noted: Noted) -> None:
        self.write_now(noted)

    def write_now(self, noted: Noted) -> None:
        self._noted |= {_name(tp): value for tp, value in noted.items()}
        made = self._path.with_name(f"{self._path.name}.new")
        with contextlib.suppress(OSError):  # without notes the role works as well
            made.write_bytes(_encode(_Kept(self._noted, self._set_aside)))
            os.replace(made, self._path)

    def note_set_aside(self, tp: TP, offset: int) -> None:
        self._set_aside = [*self._set_aside, f"{_name(tp)}@{offset}"][-MOST:]
        self.write_now({})


class _Kept(msgspec.Struct):
    """What the file has: by `topic-partition` the committed offset and its note; `topic-partition@offset` of records
    that were set aside."""

    noted: dict[str, tuple[int, Note]] = {}
    set_aside: list[str] = []


_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(_Kept).decode


def _load(path: Path) -> _Kept:
    try:
        return _decode(path.read_bytes())
    except (OSError, UnicodeError, RecursionError, msgspec.MsgspecError):
        return _Kept()


def read_set_aside(path: Path) -> list[str]:
    """`topic-partition@offset` of each record that a role with this file has set aside."""
    return _load(path).set_aside


def _name(tp: TP) -> str:
    return f"{tp.topic}-{tp.partition}"
