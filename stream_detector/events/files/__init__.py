"""Histories in files: JSON of our contracts or of a source, and tables, in the forms in which people have them.

`read_history` is what `validate`, `publish` and `replay` share; the API takes `json_values` with `value_reader`, or
`read_table`, from a body: the same forms, the same checks, the same answer. It is the one place of `events` that opens
a file. Never publishes.
"""

from stream_detector.events.files.history import STDIN, kind_of, read_events, read_history, read_sample, value_reader
from stream_detector.events.files.json_values import json_values
from stream_detector.events.files.opened import HistoryError, in_utf8, open_plain
from stream_detector.events.files.tables import read_table

__all__ = [
    "STDIN",
    "HistoryError",
    "in_utf8",
    "json_values",
    "kind_of",
    "open_plain",
    "read_events",
    "read_history",
    "read_sample",
    "read_table",
    "value_reader",
]
