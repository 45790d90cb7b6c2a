"""The payloads in `payloads/`, and changes of one: a value at a path replaced or removed."""

import json
from collections.abc import Iterator
from typing import Any

from stream_detector.events import Completion, Start
from stream_detector.events.decode import decode_completion
from stream_detector.events.encode import encode
from stream_detector.events.sources import find_source
from stream_detector.events.sources.source import Source
from tests.unit.events.source_matrix import PAYLOADS

Place = tuple[str | int, ...]
REMOVED = object()


def loaded(name: str) -> Any:
    """The payload in the file of this name, for example `jenkins_build`."""
    return json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))


def only_event(source: Source, payload: Any) -> Completion:
    """The one event of a payload (bytes, or a document) that is recognised as this source's; held to the contract."""
    value = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    assert find_source(value) is source
    (event,) = [each for each in source.read(value).events if not isinstance(each, Start)]
    assert isinstance(event, Completion) and decode_completion(encode(event), (), -1) == event
    return event


def begun(source: Source, payload: Any) -> Start:
    """The start that a payload of a run holds that has not ended; held to the contract."""
    value = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    assert find_source(value) is source
    (event,) = source.read(value).events
    assert isinstance(event, Start) and decode_completion(encode(event), (), -1) == event
    return event


def ignored(source: Source, payload: Any) -> str:
    """Why a payload that is recognised as this source's holds no event."""
    value = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    assert find_source(value) is source
    reading = source.read(value)
    assert not reading.events and not reading.refused and reading.ignored
    return reading.ignored


def changed(document: Any, place: str, value: Any) -> bytes:
    """The payload with another value at a place such as `build.scm.branch`; `REMOVED` removes it."""
    return with_value(document, tuple(int(part) if part.isdigit() else part for part in place.split(".")), value)


def with_value(document: Any, place: Place, value: Any) -> bytes:
    """The same for a place as a tuple."""
    whole = json.loads(json.dumps(document))
    inner = whole
    for part in place[:-1]:
        inner = inner[part]
    if value is REMOVED:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return json.dumps(whole).encode()


def places(document: Any, above: Place = ()) -> Iterator[Place]:
    """Every place of a document, from the outside to the inside."""
    members = document.items() if isinstance(document, dict) else enumerate(document)
    for name, inner in members:
        yield (*above, name)
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*above, name))
