"""A table partition whose keys depend on each other: of a checkpoint's changes all are recovered, or none.

A batch is in the log whole or not at all. A checkpoint that needs more than one could be torn by a crash between them,
and with it, for example, a message lost whose incident says that people were notified. So such a checkpoint is written
twice: first as a journal, and once that is acknowledged key by key. Recovery takes a complete journal's values where
the keys' own are older; an incomplete one is of a checkpoint that has changed nothing yet. The journal's pages have the
same few keys each time, so compaction keeps the last one only.
"""

import contextlib
from collections.abc import Sequence

import msgspec

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.changelog_record import StateFormatError
from stream_detector.delivery.state.contents import BATCH_BYTES, CLAIM_KEY, WATERMARKS_KEY, Codec, Records, V, size_of
from stream_detector.delivery.state.partition import ChangelogRecord, StatePartition
from stream_detector.events.headers import UnreadableHeaders
from stream_detector.kafka.batch_reader import ReadRecord

PAGE = b"\0page/"

_Page = tuple[int, int, int, list[tuple[bytes, bytes]]]
"""Which journal, which page of how many, and what is on it."""
_pages = msgspec.msgpack.Decoder(_Page)


class JournaledPartition(StatePartition[V]):
    """One partition of such a table. What a former owner writes late counts for nothing, whatever its key."""

    def __init__(self, codec: Codec[V]) -> None:
        super().__init__(codec)
        self._pages: dict[bytes, tuple[int, _Page]] = {}
        self._written_at: dict[bytes, int] = {}

    def journal_records(self, records: Records) -> Records:
        """What is to be acknowledged before these records are written; nothing where they fit into one batch."""
        if size_of(records) <= BATCH_BYTES:
            return []
        pages: list[Records] = [[]]
        room = BATCH_BYTES
        for key, value in records:
            room -= len(key) + len(value) + 32
            if room < 0 and pages[-1]:
                pages.append([])
                room = BATCH_BYTES - len(key) - len(value) - 32
            pages[-1].append((key, value))
        header = changelog_record.encode_header(self.epoch, {})
        return [
            (PAGE + b"%d" % number, header + msgspec.msgpack.encode((self.end_offset, number, len(pages), page)))
            for number, page in enumerate(pages)
        ]

    def mark_dirty(self, records: Records) -> None:
        """As in `StatePartition`; pages are made anew from what they held."""
        super().mark_dirty([(key, value) for key, value in records if not key.startswith(PAGE)])

    def apply_changelog(self, records: Sequence[ChangelogRecord]) -> None:
        """Apply one fetched chunk of the changelog."""
        header = b""
        for record in records:
            key, value = record.key, record.value
            if type(record) is ReadRecord and isinstance(record.headers, UnreadableHeaders):
                self.leave_out(key or b"", record.offset, record.headers.refusal)
                continue
            if key is None:
                continue  # never written by us
            try:
                if value is None:
                    raise StateFormatError("it has no value")
                if (its_header := changelog_record.header_of(value)) != header:
                    changelog_record.check_header(value)
                    header, positions = its_header, changelog_record.positions_of(value)
                    merged = changelog_record.merge_positions(self.replay_until, positions)
                else:
                    merged = self.replay_until
                self._apply_entry(key, value, record.offset)
                if key == CLAIM_KEY:
                    merged = changelog_record.reset_positions(merged, value)
                self.replay_until = merged
            except Exception as error:
                header = b""
                self.leave_out(key, record.offset, error)
        self.read_offset = records[-1].offset

    def _apply_entry(self, key: bytes, value: bytes, offset: int) -> None:
        written_by, payload = changelog_record.epoch_of(value), changelog_record.payload_of(value)
        if written_by < self.epoch:
            self._write_again(key)
            return
        if key == WATERMARKS_KEY:
            self.watermarks = changelog_record.decode_watermarks(payload)
        elif key.startswith(PAGE):
            self._pages[key] = offset, _pages.decode(payload)
        elif key != CLAIM_KEY:
            name = key.decode()
            if payload:
                self.codec.unpack(name, payload)
            self.packed[key], self._written_at[key] = value, offset
            self.live.pop(name, None)
        self.epoch = written_by

    def finish_recovery(self, last_offset: int) -> None:
        """As in `StatePartition`, after a last journal that may not have been followed by all of its records."""
        for offset, (key, value) in self._newest_journal():
            if self._written_at.get(key, -1) < offset:
                try:
                    changelog_record.check_header(value)
                    name, payload = key.decode(), changelog_record.payload_of(value)
                    if payload:
                        self.codec.unpack(name, payload)
                except Exception as error:
                    self.leave_out(key, offset, error)
                    continue
                self.packed[key] = value
                self.live.pop(name, None)
                self.dirty.add(name)
        self._pages.clear()
        self._written_at.clear()
        super().finish_recovery(last_offset)

    def _newest_journal(self) -> list[tuple[int, tuple[bytes, bytes]]]:
        """Each record of the newest journal with its page's offset; nothing where a page is missing."""
        if not self._pages:
            return []
        newest = max(self._pages.values(), key=lambda page: page[0])[1]
        journal, _, count, _ = newest
        pages = [page for page in self._pages.values() if page[1][0] == journal]
        if len(pages) < count:
            return []
        return [(offset, record) for offset, page in pages for record in page[3]]

    def _write_again(self, key: bytes) -> None:
        """Somebody wrote late: what holds is written again behind it, before compaction can keep the late one."""
        super()._write_again(key)
        if not key.startswith(b"\0") and key not in self.packed:
            with contextlib.suppress(UnicodeDecodeError):
                self.deleted |= {key.decode()} - self.live.keys()
