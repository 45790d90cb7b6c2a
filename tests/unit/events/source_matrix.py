"""The matrix of sources: what becomes of each one's example when something in it is missing, null, odd or of later.

`row_of` holds every place of the example to it, and raises `AssertionError` with the place that is not as it should be.
"""

import copy
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from stream_detector.events import Completion, RefusedError, Start
from stream_detector.events.decode import DECODERS
from stream_detector.events.encode import encode
from stream_detector.events.inputs import kind_of_event
from stream_detector.events.sources import SOURCES, find_source
from stream_detector.events.sources.details import parse_instant
from stream_detector.events.sources.source import Reading, Source

PAYLOADS = Path(__file__).parent / "payloads"
ROOT = Path(__file__).parents[3]
_TEXTS = "odd", "", "x" * 3000, "nul\x00", "9999-12-31T23:59:59Z"
ODD: tuple[Any, ...] = (True, 7, -1, 2**60, 10**30, 1e308, *_TEXTS, [], {}, [[]])
COLUMNS = (
    "missing",
    "null",
    "wrong type or value",
    "unknown status",
    "later fields",
    "attempt",
    "time zones",
    "whole seconds",
)
_BEGIN, _END = "<!-- generated: matrix -->", "<!-- generated: end -->"


OF_JSON = [source for source in SOURCES.values() if source.recognises_text is None]
"""Those whose payloads have places; any other has tests of its own."""


def examples(source: Source) -> list[Path]:
    """Its payloads in `payloads/`, in order of their names."""
    return sorted(PAYLOADS.glob(f"{source.name}_*.json"))


def example(source: Source) -> Any:
    """The first payload in `payloads/` that has the source's name before it."""
    found = examples(source)
    assert found, f"tests/unit/events/payloads has no {source.name}_*.json: put a documented payload there"
    return json.loads(found[0].read_text("utf-8"))


def places(document: Any, above: str = "") -> Iterator[str]:
    """Every place of a document as a dotted path, from the outside to the inside; a name with a dot has none."""
    if isinstance(document, dict | list):
        for name, inner in document.items() if isinstance(document, dict) else enumerate(document):
            if "." in str(name):
                continue
            place = f"{above}.{name}" if above else str(name)
            yield place
            yield from places(inner, place)


def changed(document: Any, place: str, *value: Any) -> bytes:
    """The document as JSON with another value at the place, or without the place."""
    whole = copy.deepcopy(document)
    *path, last = (int(part) if part.isdigit() else part for part in place.split("."))
    inner = whole
    for part in path:
        inner = inner[part]
    if value:
        inner[last] = value[0]
    else:
        del inner[last]
    return json.dumps(whole).encode()


def value_at(document: Any, place: str) -> Any:
    """What is at the place; None where there is no such place."""
    for part in place.split("."):
        try:
            document = document[int(part) if part.isdigit() else part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def is_needed(source: Source, place: str) -> bool:
    """Whether the place holds, or is part of, what the source needs."""
    return any(f"{needed}.".startswith(f"{place}.") or place.startswith(f"{needed}.") for needed in source.needed)


def read(source: Source, value: bytes) -> Completion | RefusedError | None:
    """The payload's end of a run, held to the contract; why it is refused, or None: it is ignored, or a start."""
    try:
        reading: Reading = source.read(value)
    except RefusedError as error:
        assert error.message and "send it;" not in error.message
        return error
    if not reading.events:
        assert reading.ignored or reading.refused
        return reading.refused[0] if reading.refused else None
    (event,) = reading.events
    assert DECODERS[kind_of_event(event)](encode(event), (), -1) == event
    assert isinstance(event, Completion | Start)
    return event if isinstance(event, Completion) else None


def row_of(source: Source) -> dict[str, str]:
    """What is true of the source, by column."""
    document = example(source)
    whole = read(source, json.dumps(document).encode())
    assert isinstance(whole, Completion)
    return {
        "missing": _odd(source, document, whole, [()]),
        "null": _odd(source, document, whole, [(None,)]),
        "wrong type or value": _odd(source, document, whole, [(odd,) for odd in ODD]),
        "unknown status": _unknown_status(source, document),
        "later fields": _later(source, document, whole),
        "attempt": _attempt(source, document, whole),
        "time zones": _zones(source, document, whole),
        "whole seconds": _whole_seconds(source, document),
    }


def _odd(source: Source, document: Any, whole: Completion, values: list[tuple[Any, ...]]) -> str:
    """A place that is not needed never loses the event; one that is never gives it another status."""
    own = [place for place in (source.places.workflow, source.places.finished, *source.places.refines) if place]
    for place in places(document):
        for value in values:
            event = read(source, changed(document, place, *value))
            if is_needed(source, place):
                known = value and isinstance(value[0], str) and value[0] in source.statuses
                is_same = isinstance(event, Completion) and event.status in (whole.status, "skip")
                assert known or not isinstance(event, Completion) or is_same, (place, value)
                continue
            assert isinstance(event, Completion), (source.name, place, value, event)
            assert event.status == whole.status and event.attempt == whole.attempt, (place, value)
            if not any(f"{mine}.".startswith(f"{place}.") for mine in own):
                same = event.execution_id, event.workflow_id, event.finished_at
                assert same == (whole.execution_id, whole.workflow_id, whole.finished_at), (place, value)
    return "left out"


def _unknown_status(source: Source, document: Any) -> str:
    if not source.statuses:
        return "no status"
    event = read(source, changed(document, source.places.status, "vanished"))
    assert not isinstance(event, Completion)
    if event is None:
        return "ignored"
    assert event.reason == "unknown_value" and all(word in event.message for word in source.statuses), event.message
    return "refused"


def _later(source: Source, document: Any, whole: Completion) -> str:
    """A field of a later version at the top and next to the id; the payload is recognised as before."""
    later = copy.deepcopy(document) | {"a_later_field": {"n": [1, None]}}
    inner = value_at(later, source.places.id.rpartition(".")[0]) if "." in source.places.id else later
    inner["zz_later"] = "1"
    value = json.dumps(later).encode()
    assert find_source(value) is source and read(source, value) == whole
    return "passed over"


def _attempt(source: Source, document: Any, whole: Completion) -> str:
    place = source.places.attempt
    if not place:
        return "another id"
    event = read(source, changed(document, place, whole.attempt + 1))
    assert isinstance(event, Completion)
    assert (event.execution_id, event.attempt) == (whole.execution_id, whole.attempt + 1)
    return "numbered"


def _zones(source: Source, document: Any, whole: Completion) -> str:
    place = source.places.finished
    at = parse_instant(value_at(document, place))
    if at is None:
        return "epoch"
    for hours in (2, -11):
        shifted = at.astimezone(timezone(timedelta(hours=hours))).isoformat()
        event = read(source, changed(document, place, shifted))
        assert isinstance(event, Completion)
        assert (event.execution_id, event.finished_at) == (whole.execution_id, whole.finished_at)
    naive = read(source, changed(document, place, at.replace(tzinfo=None).isoformat()))
    assert not is_needed(source, place) or not isinstance(naive, Completion), "a time without a zone was believed"
    return "any offset"


def _whole_seconds(source: Source, document: Any) -> str:
    """Times with and without decimals are both read; which of them the example has is what the source sends."""
    place = source.places.finished
    at = parse_instant(value_at(document, place))
    if at is None:
        return "milliseconds"
    for decimals in (0, 5000, 123456):
        end: datetime = at.replace(microsecond=decimals)
        event = read(source, changed(document, place, end.isoformat()))
        assert isinstance(event, Completion) and event.finished_at == end
    return "decimals" if at.microsecond else "yes"


def matrix() -> str:
    """The table of docs/sources.md."""
    lines = ["| format | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for source in (each for each in OF_JSON if examples(each)):  # without one, test_source_table names what is missing
        row = row_of(source)
        lines.append(f"| {source.title} | " + " | ".join(row[name] for name in COLUMNS) + " |")
    lines += ["", "| format | its status | status of the execution |", "|---|---|---|"]
    for source in SOURCES.values():
        for status in dict.fromkeys(source.statuses.values()):
            words = ", ".join(f"`{word}`" for word, ours in source.statuses.items() if ours == status)
            lines.append(f"| {source.title} | {words} | `{status}` |")
    return "\n".join(lines)


def sources_page() -> str:
    """docs/sources.md with its generated part as it is now."""
    page = (ROOT / "docs" / "sources.md").read_text("utf-8")
    before, begin, rest = page.partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{begin}\n\n{matrix()}\n\n{_END}{after}"
