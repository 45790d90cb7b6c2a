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


class CommitNote(msgspec.Struct, omit_defaults=True):
    """What was deleted from the partition before the group had read it: the newest such ranges, in order."""

    lost: tuple[OffsetRange, ...] = ()


_DECODER = msgspec.json.Decoder(CommitNote)


def read_note(metadata: str) -> CommitNote:
    """What the metadata of a committed offset notes.

    >>> read_note('{"lost":[[100,150]]}').lost
    (OffsetRange(first=100, end=150),)
    >>> read_note("of somebody else"), read_note("")
    (CommitNote(lost=()), CommitNote(lost=()))
    """
    try:
        return _DECODER.decode(metadata)
    except msgspec.MsgspecError:
        return CommitNote()


def with_lost(metadata: str, lost: Iterable[OffsetRange] = ()) -> str:
    """What remains of the metadata at the next commit: the ranges of it, and further ones. Empty where there are none.

    >>> with_lost('{"starts":2}', [OffsetRange(100, 150)])
    '{"lost":[[100,150]]}'
    >>> with_lost('{"starts":2,"lost":[[100,150]]}'), with_lost("")
    ('{"lost":[[100,150]]}', '')
    """
    both = dict.fromkeys((*read_note(metadata).lost, *lost))
    return msgspec.json.encode(CommitNote(lost=tuple(both)[-MOST:])).decode() if both else ""
