"""What one fetch brought of one source partition: the unit in which events are applied."""

from collections.abc import Sequence
from typing import Protocol

from faust.types import TP

from stream_detector.events.headers import Headers

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


class Chunk:
    """Records in a row of one source partition."""

    __slots__ = ("assignment", "n_bytes", "next_offset", "records", "rewinds", "tp")

    def __init__(
        self, tp: TP, records: Sequence[SourceRecord], next_offset: int, rewinds: int = 0, assignment: int = 0
    ) -> None:
        self.tp = tp
        self.records = records
        self.next_offset = next_offset
        """Where the next chunk begins."""
        self.rewinds, self.assignment = rewinds, assignment
        """How often the partition had been rewound, and anything assigned, when this was fetched."""
        self.n_bytes = sum([len(record.value or b"") for record in records]) + RECORD_BYTES * len(records)
