"""Past a record that kills the process, where no code can catch it: killed for its memory, a crash in C.

A role notes with the group's committed offset of each partition how often it has started there without a commit since
(`start_notes` keeps it). What a commit passes begins again with nothing noted, as does what was given back in order.

1. At the first start nothing else differs.
2. From the second on the partition is read in steps. Each has noted before that it is under way, and with how many
   records at most: `FIRST_RECORDS`, then twice as many each time. Then they are fetched, applied and committed, with
   nothing else under way. So it is known of a process that died which partition it was reading, and how far it can have
   been; the others start there for the second time again. It goes on so to where the topic ended at the start: the
   first process may have been as far.
3. From the third on a step is one record, for as many records as the step had in which the process died.

A record that was alone under way at `ENDS_ALONE` ends in a row is kept on `dead-letters`, and the role goes on behind
it. Where even its fetch kills, its batch is kept. An end that the role itself decides on (`WorkerApp.fail`: a broker or
a database refuses it something) is none of these ends.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
from faust.types import TP

from stream_detector.kafka.commit_note import StartNote as Note

WATCHED, SMALL, ENDS_ALONE = 2, 3, 3
"""The starts from which on a partition is read in steps, and in steps of one record; how often such a record may end
the role."""
SET_ASIDE = SMALL + ENDS_ALONE
"""The start at which it is fetched only to be kept. At a later one its fetch is what kills."""
FIRST_RECORDS, MOST_RECORDS = 20, 500
"""The first step, and the largest: as many records are taken alone after an end in it, some 20 ms each."""
WATCHED_RECORDS = 500_000
"""More than a role has under way between two commits."""

NOTHING = Note()

Noted = Mapping[TP, tuple[int, Note]]
"""Partition -> committed offset and note."""


class Notes(Protocol):
    """Where notes are kept."""

    async def read(self, offsets: Mapping[TP, int]) -> dict[TP, Note]:
        """The notes at these offsets; a partition without one may be missing."""

    async def write(self, noted: Noted) -> bool:
        """False where the partitions are not ours any more."""

    def note_passed(self, noted: Noted) -> None:
        """These offsets are committed, with these notes."""

    def write_now(self, noted: Noted) -> None:
        """As `write`, from a process that ends: blocks, and may fail."""

    def note_set_aside(self, tp: TP, offset: int) -> None:
        """A record was set aside; in metadata it is noted with the next commit."""


class SmallSteps:
    """Which partitions were begun more than once at the same offset, and what is noted of each."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._noted: dict[TP, tuple[int, Note]] = {}
        """Every partition of ours with a note, and where it is committed."""
        self._marked: tuple[TP, int, Note] | None = None
        """The step that is under way: where, and what was noted before it."""
        self._watch_until: dict[TP, int] = {}
        self.again: set[TP] = set()
        """Those that were begun there before: they are read in steps until a commit passes what is watched."""

    async def begin(self, offsets: Mapping[TP, int]) -> bool:
        """These partitions are ours from now on, each from its offset. Whether that is noted."""
        self._noted, self._watch_until, self._marked, self.again = {}, {}, None, set()
        found = await self._notes.read(offsets)
        begun = {tp: (offset, _started(found.get(tp, NOTHING))) for tp, offset in offsets.items()}
        if not begun or not await self._notes.write(begun):
            return False
        self._noted = begun
        self.again = {tp for tp, (_, note) in begun.items() if note.starts >= WATCHED}
        return True

    async def end(self, is_unchanged: Callable[[TP, int], bool]) -> None:
        """The partitions are given back in order: whoever has them next begins anew.

        Args:
            is_unchanged: whether nothing behind an offset is applied yet, so that no commit of it can be under way.
        """
        begun = {tp: (at, NOTHING) for tp, (at, _) in self._noted.items() if is_unchanged(tp, at)}
        self._noted, self._marked, self.again = {}, None, set()
        if begun:
            await self._notes.write(begun)

    def records(self, tp: TP) -> int:
        """How many the next step may fetch."""
        note = self._note(tp)
        return 1 if note.starts >= SMALL else note.size

    def starts(self, tp: TP) -> int:
        """How often a partition was begun at its committed offset."""
        return self._note(tp).starts

    def at(self, tp: TP, offset: int) -> Note:
        """What a commit of this offset has to note."""
        begun, note = self._noted.get(tp, (-1, NOTHING))
        if begun == offset:
            return note  # nothing has passed it
        if tp not in self.again:
            return NOTHING
        if note.starts >= SMALL:
            return Note(starts=SMALL, size=note.size - 1) if note.size > 1 else NOTHING
        if offset < self._watch_until.get(tp, -1):
            return Note(starts=WATCHED, size=min(2 * note.size, MOST_RECORDS))
        return NOTHING

    def passed(self, offsets: Mapping[TP, int]) -> None:
        """They are committed, with what `at` has of each."""
        if not self._noted:
            return
        passed = {tp: at for tp, at in offsets.items() if tp in self._noted and self._noted[tp][0] != at}
        noted = {tp: (at, self.at(tp, at)) for tp, at in passed.items()}
        if kept := self.again & noted.keys():
            self._notes.note_passed({tp: noted[tp] for tp in kept})
        for tp, value in noted.items():
            if self._marked is not None and self._marked[0] == tp:
                self._marked = None
            if value[1] == NOTHING:
                self.again.discard(tp)
                del self._noted[tp]
            else:
                self._noted[tp] = value

    async def mark(self, tp: TP, end: int) -> bool:
        """Before a step is under way, in a partition that ends there now. False where that is not ours any more."""
        if tp not in self._noted:
            return False
        at, note = self._noted[tp]
        self._marked = tp, at, note
        self._watch_until.setdefault(tp, min(end, at + WATCHED_RECORDS))
        return await self._notes.write({tp: (at, msgspec.structs.replace(note, is_read=True))})

    async def unmark(self) -> None:
        """Nothing of the step is under way, or it waits for something outside: no record is to blame for an end."""
        if self._marked is not None:
            tp, offset, note = self._marked
            self._marked = None
            await self._notes.write({tp: (offset, note)})

    def note_set_aside(self, tp: TP, offset: int) -> None:
        """A record was set aside: for the notifier, which reports it."""
        self._notes.note_set_aside(tp, offset)

    def unmark_now(self) -> None:
        """The process ends for a reason that is known, and is no record."""
        if self._marked is not None:
            tp, offset, note = self._marked
            self._notes.write_now({tp: (offset, note)})

    def _note(self, tp: TP) -> Note:
        return self._noted.get(tp, (-1, NOTHING))[1]


def _started(note: Note) -> Note:
    """What is noted at a start, of what the one before noted."""
    if note.starts < WATCHED:
        return Note(starts=note.starts + 1, size=FIRST_RECORDS * note.starts)
    return Note(starts=note.starts + note.is_read, size=note.size)
