"""The formats of others: one file each, and this table of them. A format that is not here does not exist.

Receives a record's value and headers from `events.decode`, a line from `events.files`, a delivery from the API; returns
events of our contract, or their JSON. Never validates them: the decoder does, the same for every source. Everything
that has to know a source reads it from here: webhook routes, topics, files, the page of contracts.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from stream_detector.events.completion import Completion
from stream_detector.events.headers import Headers, header_text
from stream_detector.events.inputs import INPUTS, Event
from stream_detector.events.mapping import Mapping, find_mapping, read_exactly
from stream_detector.events.reasons import refusal_for
from stream_detector.events.refused import RefusedError
from stream_detector.events.sources import (
    airflow,
    argo,
    azure,
    bitbucket,
    buildkite,
    cdevents,
    circleci,
    cloudevents,
    confluent,
    connect,
    dbt,
    debezium,
    form,
    github,
    gitlab,
    jenkins,
    json_text,
    junit,
    openlineage,
    otel,
    teamcity,
    tekton,
)
from stream_detector.events.sources.details import attempt, object_fields
from stream_detector.events.sources.source import (
    NO_CHOICES,
    Choices,
    Envelope,
    Places,
    Reading,
    Source,
    read_entries,
    reading_of,
)
from stream_detector.events.start import Start
from stream_detector.events.written import in_own_form

ENVELOPES: tuple[Envelope, ...] = (
    confluent.ENVELOPE,
    form.ENVELOPE,
    json_text.ENVELOPE,
    connect.ENVELOPE,
    debezium.ENVELOPE,
    cloudevents.ENVELOPE,
)
"""Each is looked for in what another held: a frame may hold Connect's envelope around a change event with a row."""
_MOST_ENVELOPES = 8

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        github.SOURCE,
        gitlab.SOURCE,
        jenkins.SOURCE,
        circleci.SOURCE,
        azure.SOURCE,
        airflow.SOURCE,
        openlineage.SOURCE,
        dbt.SOURCE,
        buildkite.SOURCE,
        cdevents.SOURCE,
        junit.SOURCE,
        bitbucket.SOURCE,
        teamcity.SOURCE,
        tekton.SOURCE,
        argo.SOURCE,
        otel.SOURCE,
    )
}
"""By name. Those named first are asked first whether a payload is theirs."""

SOURCE_HEADER = "source"
"""Kafka header with a source's or a mapping's name, for payloads that no content tells from others.

Any other value is left alone.
"""


class LeftOut(Counter[tuple[str, str]]):
    """(source, place) -> how often an optional detail there could not be used since the process began.

    Attributes:
        is_paused: payloads are being read another time, which does not count.
    """

    is_paused = False


LEFT_OUT = LeftOut()


_found_last: Source | None = None
"""Asked first, since payloads come from one system mostly. No two sources recognise the same, so the order is free."""


def find_source(value: bytes, headers: Headers = ()) -> Source | None:
    """The source of a payload: the one that the header names, else the first that recognises it, else None."""
    if headers and (name := header_text(headers, SOURCE_HEADER)):
        named = SOURCES.get(name) or mapped_source(name)
        if named is not None:
            return named
    if value.lstrip()[:1] != b"{":
        texts = (source for source in SOURCES.values() if source.recognises_text)
        return next((source for source in texts if source.recognises_text and source.recognises_text(value)), None)
    fields = attempt(object_fields, value)
    if fields is None:
        return None
    global _found_last
    if _found_last is not None and _found_last.recognises(fields):
        return _found_last
    for source in SOURCES.values():  # not `next` of a generator, which takes twice as long
        if source.recognises(fields):
            _found_last = source
            return source
    return None


def mapped_source(name: str) -> Source | None:
    """The source that the mapping of that name makes; it recognises nothing, so it has to be named."""
    mapping = find_mapping(name)
    if mapping is None:
        return None
    return Source(
        name=mapping.name,
        title=mapping.title,
        recognises=lambda fields: False,
        read=lambda payload: _read_mapped(mapping, payload),
        becomes="what the mapping names",
        places=Places(id="", workflow="", status="", finished=""),
        needed=(),
    )


def _read_mapped(mapping: Mapping, payload: bytes) -> Reading:
    own = INPUTS[mapping.kind]

    def read_one(each: bytes | RefusedError) -> Sequence[Event]:
        if isinstance(each, RefusedError):
            raise each
        value = in_own_form(each, own.cloudevents_type) or each
        try:
            return [msgspec.json.decode(value, type=own.event_type)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refusal_for(error, value, own.cloudevents_type) from None

    def alone(each: bytes | RefusedError) -> bytes | None:
        return each if isinstance(each, bytes) else None

    events, refused = read_entries(mapping.events(read_exactly(payload)), read_one, alone)
    return reading_of(events, refused, f"no event as the mapping {mapping.name} has it")


def open_envelopes(value: bytes, own_type: str) -> bytes:
    """What is inside of all envelopes that the value shows; the value itself where there is none.

    Raises `RefusedError`, and `IgnoredError` for a deleted row.
    """
    for _ in range(_MOST_ENVELOPES):
        for envelope in ENVELOPES:
            if envelope.recognises(value):
                value = envelope.open(value, (), own_type)
                break
        else:
            break
    return value


def read_payload(source: Source, value: bytes, choices: Choices = NO_CHOICES) -> Reading:
    """What a payload holds; the details that could not be used are counted. Raises `RefusedError`."""
    if choices.by_parts and source.read_parts is not None:
        reading = source.read_parts(value)
    elif source.read_in_zone is not None:
        reading = source.read_in_zone(value, choices.zone)
    else:
        reading = source.read(value)
    if not LEFT_OUT.is_paused:
        for place in reading.left_out:
            LEFT_OUT[source.name, place] += 1
    return reading._replace(events=[_named(event, source.name) for event in reading.events])


def _named(event: Event, source: str) -> Event:
    """With the source that it was read from, where it names none."""
    if isinstance(event, Completion | Start) and event.source is None:
        return msgspec.structs.replace(event, source=source)
    return event
