"""Histories in files: JSON of our contracts or of a source, and tables, in the forms in which people have them.

`read_history` is what `validate`, `publish` and `replay` share, and `read_events` what the API takes from a body: the
same forms, the same checks, the same answer. It is the one place of `events` that opens a file. Never publishes.
"""

from stream_detector.events.files.history import HistoryError, kind_of, read_history

__all__ = ["HistoryError", "kind_of", "read_history"]
