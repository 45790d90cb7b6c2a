"""What one fetch brought of one source partition: the unit in which events are applied."""

from collections.abc import Sequence
from typing import Protocol

from faust.types import TP

from stream_detector.events.headers import Headers
from stream_detector.events.unfold import Entry, SeveralEventsError, headers_within

MOST_UNFOLDED = 2_000
"""Events of records with several, after which a chunk ends: as many as a poll brings records. A fetch of 1 MB may have
300,000 of them, which would hold up heartbeats."""
RECORD_BYTES = 100
"""What a record costs in memory beside its value."""


class SourceRecord(Protocol):
    """A fetched record as aiokafka's parser makes it (`aiokafka_patches.keep_parsed_records`)."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def timestamp_type(self) -> int | None: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class UnfoldedRecord:
    """One event of a record with several, as a record of its own: same offset and timestamp, and its index."""

    __slots__ = ("error", "headers", "index", "key", "offset", "timestamp", "timestamp_type", "value")

    def __init__(self, record: SourceRecord, headers: Headers, index: int, entry: Entry) -> None:
        self.offset, self.timestamp, self.timestamp_type = record.offset, record.timestamp, record.timestamp_type
        self.key, self.value, self.headers = record.key, entry.value, headers
        self.index = index
        self.error = entry.error
        """Why there is no event."""

    @property
    def place(self) -> tuple[int, int]:
        """Offset and index: no other event of the partition has both."""
        return self.offset, self.index


class Chunk:
    """Records in a row of one source partition."""

    __slots__ = (
        "_n_unfolded",
        "assignment",
        "is_cut",
        "n_bytes",
        "next_offset",
        "records",
        "rewinds",
        "tp",
        "unfolded",
    )

    def __init__(
        self, tp: TP, records: Sequence[SourceRecord], next_offset: int, rewinds: int = 0, assignment: int = 0
    ) -> None:
        self.tp = tp
        self.records = records
        self.next_offset = next_offset
        """Where the next chunk begins."""
        self.rewinds, self.assignment = rewinds, assignment
        """How often the partition had been rewound, and anything assigned, when this was fetched."""
        self.is_cut, self._n_unfolded = False, 0
        """Whether it ends earlier than it was fetched: what is behind it has to be fetched again."""
        self.unfolded: dict[tuple[int, int], UnfoldedRecord] = {}
        """The events of those of the records that turned out to hold several, by offset and index."""
        self.n_bytes = sum([len(record.value or b"") for record in records]) + RECORD_BYTES * len(records)

    def unfold(self, record: SourceRecord, several: SeveralEventsError) -> list[UnfoldedRecord]:
        """The events of one of the records, in the order of their indexes."""
        headers = headers_within(record.headers)
        found = [UnfoldedRecord(record, headers, index, entry) for index, entry in enumerate(several.entries)]
        self.unfolded.update((each.place, each) for each in found)
        self._n_unfolded += len(found)
        if self._n_unfolded >= MOST_UNFOLDED and isinstance(self.records, list) and record is not self.records[-1]:
            del self.records[self.records.index(record) + 1 :]  # whoever goes through them stops here
            self.next_offset, self.is_cut = record.offset + 1, True
        return found
