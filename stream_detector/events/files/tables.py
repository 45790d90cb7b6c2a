"""Tables (CSV with a header) in our own columns, and which layout a header means.

Each layout is a generator: rows with their line numbers in, records with JSON of our contracts out. Nothing is
validated here but what JSON cannot carry on: `files` has the decoder check every value, so a table is held to exactly
what a record on Kafka is held to.
"""

from collections.abc import Iterator, Sequence

from stream_detector.events.files.cells import Layout, Rows, check_width, number, record
from stream_detector.events.files.public_data import ci_builds, ci_tests, poll_runs, series
from stream_detector.events.inputs import Kind
from stream_detector.events.lines import Record
from stream_detector.events.refused import RefusedError

_COMPLETION = {"execution_id", "workflow_id", "status", "started_at", "finished_at"}
_SCORE = {"entity_id", "entity_name", "score", "scored_at"}
_CI = {"environment", "build_id", "test_id", "ran_at", "duration_s", "failed"}
_POLLS = {"run_id", "date", "entity_name", "score"}
_SERIES = {"timestamp", "value"}
_NUMBERS = {"duration_s", "attempt", "score", "previous_score"}
_NULLABLE = {"duration_s"}
"""An empty cell of these is null: not known. Absent would say something else (X4)."""
_LABEL = "label."


def layout_of(columns: Sequence[str], *, builds: bool) -> Layout | None:
    """The layout that these columns mean, None where they mean none."""
    names = set(columns)
    if names >= _COMPLETION:
        return _own("completion")
    if names >= _SCORE:
        return _own("score")
    if names >= _CI:
        return ci_builds if builds else ci_tests
    if names >= _POLLS:
        return poll_runs
    return series if names == _SERIES else None


def _own(kind: Kind) -> Layout:
    """Our own field names; `label.team` is the label `team`; an empty cell is an absent field, of a duration null."""

    def read(rows: Rows, name: str) -> Iterator[Record]:
        for line, row in rows:
            fields: dict[str, object] = {}
            labels: dict[str, str] = {}
            try:
                check_width(row)
                for column, text in row.items():
                    if text and column.startswith(_LABEL):
                        labels[column.removeprefix(_LABEL)] = text
                    elif text:
                        fields[column] = number(column, text) if column in _NUMBERS else text
                    elif column in _NULLABLE:
                        fields[column] = None
            except RefusedError as error:
                yield Record(line, kind, b"", error)
                continue
            yield record(line, kind, **fields | ({"labels": labels} if labels else {}))

    return read
