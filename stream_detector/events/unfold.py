"""Values that hold several events, unfolded: the one function for records on topics, lines of files and HTTP bodies.

Several events are in an array, of events or of a source's payloads, in any envelope, a batch of CloudEvents included;
in JSON Lines; and in one payload of a source that has several. Each becomes an entry of its own, in our own form or
with why it is refused; one that is refused does not lose the others. The number of an entry, counted from 0, depends on
the value alone, so it is the same whenever the value is read again.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from stream_detector.events.encode import encode
from stream_detector.events.headers import Headers, header_text
from stream_detector.events.inputs import INPUTS, Event, Kind, kind_of_event
from stream_detector.events.reasons import refusal_for
from stream_detector.events.refused import RefusedError
from stream_detector.events.sources import (
    SOURCE_HEADER,
    SOURCES,
    find_source,
    mapped_source,
    open_envelopes,
    read_payload,
)
from stream_detector.events.sources.details import attempt, object_fields
from stream_detector.events.sources.source import NO_CHOICES, Choices, IgnoredError, Reading, Source
from stream_detector.events.start import Start

MOST_EVENTS: Final = 10_000
"""Of one record on a topic, or of one request: what a worker applies in one go, without a heartbeat in between."""
_MOST_LEVELS = 4
"""Of arrays: a batch of envelopes, in each an array of payloads, needs two."""
_MOST_KEPT_BYTES = 4_000_000
"""Of what is kept of a record's refused entries. One whose own bytes are not known has those of the payload."""

_TOPICS = {entry.cloudevents_type: entry.topic for entry in INPUTS.values()}
_NEEDED = tuple(
    frozenset(field.name for field in msgspec.structs.fields(entry.event_type) if field.required)
    for entry in INPUTS.values()
)
_elements = msgspec.json.Decoder(list[Raw]).decode


class Entry(NamedTuple):
    """One event of a value, or what stands in its place."""

    value: bytes
    """Its JSON, to be decoded; of a refused one what is kept of it."""
    kind: Kind | None = None
    """Which event it is, where a source's payload decides that."""
    error: RefusedError | None = None
    """Why there is no event."""


class SeveralEventsError(RefusedError):
    """A record holds several events: whoever reads records takes `entries` in its place.

    Attributes:
        entries: all of them, at least two.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(
            "decode", "unsupported_format", f"a payload with {len(entries)} events; publish payloads with exactly one"
        )
        self.entries = entries


class _TooManyError(RefusedError):
    """The value as a whole is refused."""

    def __init__(self, found: int, most: int) -> None:
        super().__init__(
            "decode", "too_large", f"at least {found:,} events in one record; publish at most {most:,} in one"
        )


def only_event(value: bytes, headers: Headers, own_type: str) -> bytes:
    """The JSON of the event in a record, whatever envelope or format it is in.

    Args:
        value: the record's.
        headers: the record's.
        own_type: the CloudEvents type of the events that belong on the topic.

    Raises:
        SeveralEventsError: it holds several.
        IgnoredError: it holds none.
        RefusedError: it cannot be read, or holds an event that belongs on another topic.
    """
    entries = unfold(value, headers, own_type, most=MOST_EVENTS)
    if len(entries) > 1:
        raise SeveralEventsError(entries)
    (only,) = entries
    if only.error is not None:
        raise only.error
    return only.value


def unfold(
    value: bytes, headers: Headers = (), own_type: str = "", *, most: int | None = None, choices: Choices = NO_CHOICES
) -> list[Entry]:
    """The entries of a value, in their order; one where it is no array and no source's payload with several events.

    Args:
        value: the record's value, a file's line or an element of it.
        headers: the record's.
        own_type: the CloudEvents type of the events that belong on the topic; empty: any.
        most: so many entries there may be, if that is limited.
        choices: how payloads are read that can be read in several ways.

    Raises `RefusedError` for a value that cannot be read as a whole, `IgnoredError` for one without an event.
    """
    inner = open_envelopes(value, own_type)
    if _is_array(inner) and own_type and own_type not in _TOPICS:
        return [Entry(inner)]  # only our own programs write to that topic, one event a record
    unfolding = _Unfolding(headers, own_type, most, choices)
    unfolding.add(inner)
    return unfolding.found


def headers_within(headers: Headers) -> Headers:
    """The headers of a record as those of each of its entries, which are in no envelope that headers name."""
    return [(name, value) for name, value in headers if not _is_of_envelope(name.lower())]


def _is_of_envelope(name: str) -> bool:
    return name == "content-type" or name.startswith("ce_")


class _Unfolding:
    """What is found, and within which limits."""

    def __init__(self, headers: Headers, own_type: str, most: int | None, choices: Choices) -> None:
        self._headers, self._most, self._choices = headers, most, choices
        self._own_type, self._topic = own_type, _TOPICS.get(own_type)
        self.found: list[Entry] = []
        self._kept_bytes = 0
        name = header_text(headers, SOURCE_HEADER) if headers else ""
        self._is_mapped = bool(name) and name not in SOURCES and mapped_source(name) is not None

    def add(self, value: bytes, level: int = 0) -> None:
        """Add the entries of what no envelope is around."""
        if _is_array(value) and level < _MOST_LEVELS and not self._is_mapped:
            self._add_array(value, level)
        elif level < _MOST_LEVELS and not self._is_mapped and (lines := _json_lines(value)):
            self._add_each(lines, level)
        # An event of ours is one also where the header names a source, as in a record with one event.
        elif (level and _is_own(value)) or (source := find_source(value, self._headers)) is None:
            self.found.append(Entry(value))
        else:
            self._add_payload(source, value)
        self._check_count(len(self.found))

    def _add_array(self, value: bytes, level: int) -> None:
        try:
            elements = _elements(value)
        except RecursionError:
            self.found.append(Entry(value))  # whoever decodes it says what is wrong with it
            return
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise refusal_for(error, value, self._own_type) from None
        if not elements:
            raise RefusedError("decode", "wrong_type", "an empty array; send it with at least one event, or not at all")
        self._add_each([bytes(element) for element in elements], level)

    def _add_each(self, elements: Sequence[bytes], level: int) -> None:
        self._check_count(len(self.found) + len(elements))
        for raw in elements:
            before = len(self.found)
            try:
                self.add(open_envelopes(raw, self._own_type), level + 1)
            except _TooManyError:
                raise
            except RefusedError as error:
                del self.found[before:]
                self._refuse(error, raw)

    def _add_payload(self, source: Source, value: bytes) -> None:
        reading = read_payload(source, value, self._choices)
        if reading.ignored:
            raise IgnoredError(source.name, f"{source.title}: {reading.ignored}")
        self._check_count(len(self.found) + len(reading.events) + len(reading.refused))
        # In a record of a list, what has ended counts; a file and a webhook have the starts next to it, too.
        has_end = self._topic is not None and not all(isinstance(each, Start) for each in reading.events)
        for each in _in_order(reading):
            if has_end and isinstance(each, Start):
                continue
            if isinstance(each, RefusedError):
                self._refuse(each, value if each.entry is None else each.entry)
                continue
            kind = kind_of_event(each)
            topic = INPUTS[kind].topic
            if self._topic is not None and topic != self._topic:
                message = f"a payload of {source.title}; publish it to the topic {topic}"
                self._refuse(RefusedError("decode", "unsupported_format", message), encode(each))
            else:
                self.found.append(Entry(encode(each), kind))

    def _refuse(self, error: RefusedError, value: bytes) -> None:
        self._kept_bytes += len(value)
        self.found.append(Entry(value if self._kept_bytes <= _MOST_KEPT_BYTES else b"", None, error))

    def _check_count(self, count: int) -> None:
        if self._most is not None and count > self._most:
            raise _TooManyError(count, self._most)


def _in_order(reading: Reading) -> Iterator[Event | RefusedError]:
    """Events and refusals of a payload, in the order of its entries."""
    events, place = list(reading.events), 0
    for error in reading.refused:
        before = (error.place or 0) - place
        yield from events[:before]
        del events[:before]
        yield error
        place += before + 1
    yield from events


def _is_array(value: bytes) -> bool:
    return value.lstrip()[:1] == b"["


def payloads_of(value: bytes, most: int = MOST_EVENTS) -> list[bytes]:
    """The payloads of an array or of JSON Lines; none of a single one. Raises `RefusedError` for more than `most`."""
    elements = [bytes(each) for each in attempt(_elements, value) or ()] if _is_array(value) else _json_lines(value)
    if len(elements) > most:
        raise _TooManyError(len(elements), most)
    return elements


def _json_lines(value: bytes) -> list[bytes]:
    """The lines, where the first is a whole object and there are others; none of one object, however it is printed."""
    first, _, rest = value.strip().partition(b"\n")
    if not rest or first[:1] != b"{" or attempt(object_fields, first) is None:
        return []
    return [line for line in (first, *rest.split(b"\n")) if line.strip()]


def _is_own(value: bytes) -> bool:
    """Whether it has what an event of ours needs."""
    fields = attempt(object_fields, value) if value.lstrip()[:1] == b"{" else None
    return fields is not None and any(fields.keys() >= needed for needed in _NEEDED)
