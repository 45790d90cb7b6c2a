"""From a file, standard input or a body to events: the form is found out, each value checked as on Kafka."""

import io
import sys
import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from stream_detector.events.decode import DECODERS, decode_completion, decode_received, decode_score
from stream_detector.events.documents import MAX_BYTES
from stream_detector.events.duplicates import ALL_BUT_MARKS, check_unique, check_unique_payload
from stream_detector.events.files.json_values import MAX_LINE_BYTES, json_values, values_of_line
from stream_detector.events.files.opened import HistoryError, not_utf8_file, open_plain
from stream_detector.events.files.record_times import read_stamped
from stream_detector.events.files.tables import plain_rows, read_mapped_table, read_table
from stream_detector.events.inputs import INPUTS, Event, Kind
from stream_detector.events.lines import Line, Record
from stream_detector.events.mapping import Mapping, read_exactly
from stream_detector.events.mapping.mapping import NO_EVENT
from stream_detector.events.reasons import refusal_for
from stream_detector.events.refused import RefusedError
from stream_detector.events.sources import find_source
from stream_detector.events.sources.confluent import strip_frame
from stream_detector.events.sources.form import is_form
from stream_detector.events.sources.json_text import is_text
from stream_detector.events.sources.source import NO_CHOICES, Choices, IgnoredError
from stream_detector.events.start import Start
from stream_detector.events.times import EARLIEST_MS, FUTURE_MS, LATEST, from_epoch_ms
from stream_detector.events.unfold import Entry, unfold

STDIN = Path("-")

NO_CLOCK = -1
"""As a record's timestamp: it is not known, and allows any time."""
_WHYS_SHOWN: Final = 3
_NOT_OURS = (
    "neither a completion (execution_id, workflow_id), nor a score (entity_id, score), nor a score run (run_id, "
    "status); see the contracts"
)
_NO_DATA = RefusedError(
    "decode", "unsupported_format", "the CloudEvent's data is not an event of a contract; see the contracts"
)
_FIELDS: dict[Kind, frozenset[str]] = {
    kind: frozenset(entry.event_type.__struct_fields__) for kind, entry in INPUTS.items()
}
_COMPLETION_FIELDS, _START_FIELDS, _SCORE_FIELDS = _FIELDS["completion"], _FIELDS["start"], _FIELDS["score"]
_KINDS: dict[str, Kind] = {entry.cloudevents_type: kind for kind, entry in INPUTS.items()}

_decode = msgspec.json.Decoder().decode
_new = tuple.__new__


def read_history(
    path: Path,
    *,
    record_ms: int,
    title: str | None = None,
    builds: bool = False,
    choices: Choices = NO_CHOICES,
    encoding: str | None = None,
    mapping: Mapping | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[Line]:
    """Each event of the file in its order, or the refusal of the line it should have been on.

    Args:
        path: the file, plain or compressed by gzip or zstd, or Parquet; `-` is standard input.
        title: what messages and events call the file, if not by its path.
        record_ms: what counts as now; an event 10 minutes later is of the future. Below 0 nothing is.
        builds: of a CI table, a build is one execution with its tests as steps, not each test one of its own.
        choices: how payloads of other systems are read.
        encoding: of the text, where it is neither UTF-8 nor UTF-16.
        mapping: where the fields of ours are, in a file of another system.
        note: gets what a person should know of the file as a whole.

    Raises `HistoryError` where the file cannot be opened or its format is not known.
    """
    try:
        with sys.stdin.buffer if path == STDIN else path.open("rb") as stream:
            name = title or str(path)
            yield from read_events(
                stream,
                name,
                record_ms=record_ms,
                builds=builds,
                choices=choices,
                encoding=encoding,
                mapping=mapping,
                note=note,
            )
    except (OSError, EOFError, zlib.error) as error:
        raise HistoryError(f"{title or path} cannot be read: {error}") from None


def read_events(
    stream: IO[bytes],
    name: str,
    *,
    record_ms: int,
    builds: bool = False,
    choices: Choices = NO_CHOICES,
    encoding: str | None = None,
    mapping: Mapping | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[Line]:
    """The same of a stream. Whatever the stream raises while it is read goes on to the caller."""
    plain = open_plain(stream, name, encoding, note)
    start = plain.peek(4096)[:4096].lstrip()
    if not start:
        raise HistoryError(f"{name} is empty")
    within = _Within(record_ms, choices, Counter())
    if mapping is not None:
        yield from _mapped(plain, name, start, mapping, within)
    elif start[:1] == b"<":
        yield from _lines_of(1, plain.read(MAX_LINE_BYTES), within)
    elif start[:1] in b"{[\x00" or is_form(start) or is_text(start):
        yield from _values(plain, name, within)
    else:
        for record in read_table(plain, name, builds=builds):
            yield _checked(record, record_ms)
    _note_ignored(within.ignored, note)


def _values(plain: io.BufferedReader, name: str, within: "_Within") -> Iterator[Line]:
    """The events of a file with JSON values, our own by the short way."""
    own = _reader_of_own(within.record_ms)
    for number, value, error in json_values(plain, name, splits=False):
        if error is not None:
            yield Line(number, None, value, None, error)
        elif (line := own(number, value)) is not None:
            yield line
        else:
            for _, part, _ in values_of_line(value, number):
                yield from _lines_of_file(number, part, within)


def _mapped(plain: io.BufferedReader, name: str, start: bytes, mapping: Mapping, within: "_Within") -> Iterator[Line]:
    """The events of a file that a mapping describes; only an object or an array begins JSON."""
    if start[:1] not in b"{[":
        for record in read_mapped_table(plain, name, mapping, within.ignored):
            yield _checked(record, within.record_ms)
        return
    for number, value, error in json_values(plain, name):
        if error is not None:
            yield Line(number, None, value, None, error)
            continue
        try:
            document = read_exactly(value)
            if isinstance(document, dict):
                check_unique(value, document)
            found = list(mapping.events(document))
            if (n_ignored := mapping.size(document) - len(found)) > 0:
                within.ignored[NO_EVENT] += n_ignored
        except RefusedError as refusal:
            found = [refusal]
        for each in found:
            if isinstance(each, RefusedError):
                yield Line(number, mapping.kind, value, None, each)
            else:
                yield _checked(Record(number, mapping.kind, each), within.record_ms)


def read_sample(
    path: Path, *, most: int, encoding: str | None = None, note: Callable[[str], None] = lambda text: None
) -> list[Any]:
    """The first objects or rows of a file of any other system, undecoded, for whoever proposes a mapping.

    Raises `HistoryError` where the file is neither JSON nor a table.
    """
    try:
        with path.open("rb") as stream:
            plain = open_plain(stream, str(path), encoding, note)
            start = plain.peek(4096)[:4096].lstrip()
            if not start:
                raise HistoryError(f"{path} is empty")
            if start[:1] not in b"{[":
                return list(islice(plain_rows(plain, str(path)), most))
            values = (value for _, value, error in json_values(plain, str(path)) if error is None)
            found = []
            for value in islice(values, most):
                with suppress(RefusedError):
                    found.append(read_exactly(value))
            return found
    except RefusedError as error:
        raise HistoryError(f"{path}: {error.message}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise HistoryError(f"{path} cannot be read: {error}") from None


def value_reader(record_ms: int) -> Callable[[bytes], list[Line]]:
    """What reads one JSON value: an event of ours, those of another system's payload, or why there is none."""
    read_own = _reader_of_own(record_ms)

    def read(value: bytes) -> list[Line]:
        own = read_own(1, value)
        return [own] if own is not None else list(_lines_of(1, value, _Within(record_ms, NO_CHOICES, Counter())))

    return read


def kind_of(value: bytes) -> Kind:
    """Which event of ours a JSON value is. Raises `RefusedError` where it is none."""
    return _kind_of(_decoded(value))


def _decoded(value: bytes) -> dict[str, Any]:
    try:
        decoded = _decode(strip_frame(value))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal_for(error, value) from None
    if not isinstance(decoded, dict):
        what = "an array" if isinstance(decoded, list) else "a single value"
        raise RefusedError("validate", "wrong_type", f"{what} where an event is expected; send one JSON object")
    return decoded


def _kind_of(fields: dict[str, Any]) -> Kind:
    if "specversion" in fields and ("data" in fields or "data_base64" in fields):
        return _kind_of_cloud_event(fields)
    if "execution_id" in fields or "workflow_id" in fields:
        return "start" if fields.get("state") == "started" and fields.get("status") is None else "completion"
    if "entity_id" in fields or "score" in fields:
        return "score"
    if "run_id" in fields:
        return "score_run"
    raise RefusedError("decode", "unsupported_format", _NOT_OURS)


def _kind_of_cloud_event(fields: dict[str, Any]) -> Kind:
    """By its type where that is one of ours, else by its data."""
    named, data = fields.get("type"), fields.get("data")
    if isinstance(data, list):
        raise _NO_DATA  # it may hold several
    if isinstance(named, str) and named in _KINDS:
        return _KINDS[named]
    if isinstance(fields.get("data_base64"), str) and data is None:
        try:
            return kind_of(b64decode(fields["data_base64"], validate=True))
        except ValueError as error:
            raise (error if isinstance(error, RefusedError) else _NO_DATA) from None
    if not isinstance(data, dict):
        raise _NO_DATA
    return _kind_of(data)


def _reader_of_own(record_ms: int) -> Callable[[int, bytes], Line | None]:
    """What reads a value that is an event of ours and nothing else; None for all others, and for what is refused.

    It does what `_lines_of` does with half of the calls: nearly every line of nearly every file comes here.
    """
    believed = record_ms >= EARLIEST_MS
    latest = from_epoch_ms(record_ms + FUTURE_MS) if believed else LATEST

    def read(number: int, value: bytes) -> Line | None:
        if len(value) > MAX_BYTES:
            return None
        try:
            fields = _decode(value)
            if type(fields) is not dict:
                return None
            marks, labels = value.translate(None, ALL_BUT_MARKS), fields.get("labels")
            keys = len(fields) + (len(labels) if type(labels) is dict else 0)
            if marks.count(b'"":') != keys or b"\\" in marks:
                check_unique(value, fields)  # which counts as well: a call for each line takes 2 %
            event: Event
            kind: Kind
            if "execution_id" in fields:
                event = decode_completion(value, (), record_ms)
                if type(event) is Start:
                    kind, known = "start", _START_FIELDS
                elif event.finished_at >= latest:  # type: ignore[union-attr]
                    return None
                else:
                    kind, known = "completion", _COMPLETION_FIELDS
            elif "entity_id" in fields:
                kind, known, event = "score", _SCORE_FIELDS, decode_score(value, (), record_ms)
            else:
                return None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, RefusedError):
            return None
        unknown = () if known.issuperset(fields) else tuple(name for name in fields if name not in known)
        return _new(Line, (number, kind, value, event, None, unknown, False, None))  # Line() takes three times as long

    return read


class _Within(NamedTuple):
    """What is the same for all values of a file."""

    record_ms: int
    choices: Choices
    ignored: Counter[str]
    """Why a payload holds no event -> of how many."""


def _note_ignored(ignored: Counter[str], note: Callable[[str], None]) -> None:
    """Payloads without an event are no error, and whoever expected one should know why there is none."""
    if not ignored:
        return
    total, shown = ignored.total(), ignored.most_common(_WHYS_SHOWN)
    whys = [f"{count} of {why}" for why, count in shown]
    if (more := total - sum(count for _, count in shown)) > 0:
        whys.append(f"{more} for other reasons")
    note(f"{total} payload{'s' if total > 1 else ''} without an event ignored: {'; '.join(whys)}")


def _lines_of_file(number: int, value: bytes, within: _Within) -> Iterator[Line]:
    """The same as `_lines_of`; of a file, which may give its events with the times of their records."""
    try:
        stamped = read_stamped(value, within.record_ms)
    except RefusedError as error:
        yield Line(number, None, value, None, error)
        return
    if stamped is None:
        yield from _lines_of(number, value, within)
        return
    for line in _lines_of(number, stamped.value, within._replace(record_ms=NO_CLOCK)):
        if line.event is None or line.kind is None:
            yield line
            continue
        try:
            event = DECODERS[line.kind](line.value, (), stamped.record_ms)  # as on the topic
        except RefusedError as error:
            yield Line(number, line.kind, line.value, None, error)
        else:
            yield line._replace(event=event, is_foreign=False, record_ms=stamped.record_ms)


def _lines_of(number: int, value: bytes, within: _Within) -> Iterator[Line]:
    """The event of one JSON value, or those of another system's payload: there may be none in it."""
    try:
        if len(value) > MAX_BYTES:
            if find_source(value) is not None:
                yield from _foreign(number, value, within)
            else:
                yield _checked(
                    Record(number, "completion", value), within.record_ms
                )  # the decoder refuses it by its size
            return
        try:
            fields = _decoded(value)
            kind = _kind_of(fields)
        except RefusedError as error:
            yield from _foreign(number, value, within, error)
            return
        check_unique(value, fields)
        known = _FIELDS[kind]
        unknown = () if known.issuperset(fields) else tuple(name for name in fields if name not in known)
        if unknown and find_source(value) is not None:  # its payload has a field with a name of ours
            yield from _foreign(number, value, within)
            return
    except IgnoredError as error:
        within.ignored[error.message] += 1
        return
    except RefusedError as error:
        yield Line(number, None, value, None, _for_a_file(error, value))
        return
    is_wrapped = "specversion" in fields
    yield _checked(Record(number, kind, value, None, () if is_wrapped else unknown), within.record_ms)


def _foreign(number: int, value: bytes, within: _Within, first: RefusedError | None = None) -> Iterator[Line]:
    """The events in an envelope, an array or a source's payload. Raises `first` where the value is none of them."""
    check_unique_payload(value)
    entries = unfold(value, choices=within.choices)
    if first is not None and entries == [Entry(value)]:
        raise first
    for entry in sorted(entries, key=lambda each: each.error is not None):
        if isinstance(entry.error, IgnoredError):
            within.ignored[entry.error.message] += 1
            continue
        if entry.error is not None:
            yield Line(number, "completion", entry.value, None, entry.error)
        elif entry.kind is not None:
            yield _checked(Record(number, entry.kind, entry.value, is_foreign=True), within.record_ms)
        else:
            yield from _lines_of(number, entry.value, within)


def _checked(record: Record, record_ms: int) -> Line:
    if record.error is not None or record.kind is None:
        return Line(record.number, record.kind, record.value, None, record.error)
    try:
        event = decode_received(record.kind, record.value, (), record_ms)
        return Line(record.number, record.kind, record.value, event, None, record.unknown, record.is_foreign)
    except RefusedError as error:
        return Line(record.number, record.kind, record.value, None, _for_a_file(error, record.value))


def _for_a_file(error: RefusedError, value: bytes) -> RefusedError:
    """The same; of bytes that are no UTF-8, with how to read the file."""
    if error.reason != "not_utf8":
        return error
    try:
        value.decode()
    except UnicodeDecodeError:
        return not_utf8_file()
    return error
