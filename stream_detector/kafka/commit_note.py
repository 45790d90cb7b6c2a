"""What a role keeps in the metadata of its committed offsets: written with the offset in one go, read by whoever may
describe the group.

JSON, one object; fields that are not known here are other notes about the same offset. What another program wrote there
is no note. The embedded broker keeps no metadata.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

MOST = 16
"""Ranges of one partition: a broker takes 4,096 bytes (`offset.metadata.max.bytes`)."""


class OffsetRange(NamedTuple):
    """Offsets from `first` to before `end`."""

    first: int
    end: int

    @property
    def records(self) -> int:
        """How many.

        >>> OffsetRange(100, 150).records
        50
        """
        return self.end - self.first


class StartNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a role notes of its starts at this offset (`delivery/small_steps.py`)."""

    starts: int = 0
    """How often the partition was begun to be read there. Beyond the second time: after ends within a step of it."""
    size: int = 0
    """How many of its records the next step may have under way."""
    is_read: bool = False
    """A step is under way."""


class CommitNote(msgspec.Struct, omit_defaults=True):
    """What is noted with an offset."""

    lost: tuple[OffsetRange, ...] = ()
    """What was deleted from the partition before the group had read it: the newest such ranges, in order."""
    start: StartNote | None = None
    """How often the group's members have begun there."""
    set_aside: tuple[int, ...] = ()
    """Offsets of the newest records that were stored on `dead-letters` because they ended the role."""


_DECODER = msgspec.json.Decoder(CommitNote)


def read_note(metadata: str) -> CommitNote:
    """What the metadata of a committed offset notes.

    >>> read_note('{"lost":[[100,150]]}').lost
    (OffsetRange(first=100, end=150),)
    >>> read_note("of somebody else") == read_note("") == CommitNote()
    True
    """
    try:
        return _DECODER.decode(metadata)
    except (msgspec.MsgspecError, RecursionError):
        return CommitNote()


def with_lost(metadata: str, lost: Iterable[OffsetRange] = ()) -> str:
    """What remains of the metadata at the next commit: the ranges of it, and further ones, and what was set aside.
    Empty where there is nothing.

    >>> with_lost('{"starts":2}', [OffsetRange(100, 150)])
    '{"lost":[[100,150]]}'
    >>> with_lost('{"starts":2,"lost":[[100,150]]}'), with_lost("")
    ('{"lost":[[100,150]]}', '')
    """
    known = read_note(metadata) if metadata else CommitNote()
    both = dict.fromkeys((*known.lost, *lost))
    return _encode(CommitNote(lost=tuple(both)[-MOST:], set_aside=known.set_aside))


def with_set_aside(metadata: str, offset: int) -> str:
    """The metadata with a further record that was set aside.

    >>> with_set_aside('{"set_aside":[3]}', 7)
    '{"set_aside":[3,7]}'
    """
    known = read_note(metadata)
    offsets = *(each for each in known.set_aside if each != offset), offset
    return _encode(CommitNote(known.lost, known.start, offsets[-MOST:]))


def with_start(metadata: str, start: StartNote) -> str:
    """The metadata with another note of the starts.

    >>> with_start('{"lost":[[100,150]],"start":{"starts":1}}', StartNote())
    '{"lost":[[100,150]]}'
    >>> with_start("", StartNote())
    ''
    """
    known = read_note(metadata) if metadata else CommitNote()
    wanted = None if start == StartNote() else start
    if known.start == wanted:
        return metadata
    return _encode(CommitNote(known.lost, wanted, known.set_aside))


def _encode(note: CommitNote) -> str:
    return msgspec.json.encode(note).decode() if note != CommitNote() else ""
