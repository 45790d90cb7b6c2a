"""JSON Schema 2020-12 of every contract, made from the types, so that the two cannot disagree.

`make generate` writes the files. What JSON Schema cannot say (order of two times, 20 digits, the future) is in
`docs/contracts.md`.
"""

import json
from typing import Any, get_args

import msgspec

from stream_detector.events.dead_letter import PREFIX
from stream_detector.events.encode import encode
from stream_detector.events.examples import EXAMPLES
from stream_detector.events.inputs import INPUTS
from stream_detector.events.refused import Reason, Stage
from stream_detector.events.score import Score
from stream_detector.events.written import DAY_PATTERN, NUMBER_PATTERN, TIME_PATTERN

VERSION = "v1"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DATE_TIME = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:?\d{2})$"
_QUOTED = {"type": "string", "pattern": NUMBER_PATTERN, "description": "A number in quotes; its digits are kept."}
_EXACT_NUMBER = {
    "anyOf": [
        {"type": "number", "minimum": -1e12, "maximum": 1e12, "description": "Decimal, at most 20 digits."},
        _QUOTED,
    ]
}
_OTHER_TIME = {
    "type": "string",
    "pattern": TIME_PATTERN,
    "description": "As PostgreSQL, Java, log files and mail write an instant with its zone.",
}
_DAY = {"type": "string", "pattern": DAY_PATTERN, "description": "A day: its midnight in UTC."}
_INPUTS = {entry.event_type for entry in INPUTS.values()}


def schemas() -> dict[str, dict[str, Any]]:
    """File name -> schema, one per contract and version."""
    made = {name: _of_type(name, event) for name, event in EXAMPLES.items()} | {"dead-letter": _of_dead_letter()}
    return {f"{name}.{VERSION}.json": schema for name, schema in sorted(made.items())}


def _head(name: str) -> dict[str, Any]:
    return {"$schema": _DIALECT, "$id": f"urn:stream-detector:{name}:{VERSION}"}


def _of_type(name: str, event: msgspec.Struct) -> dict[str, Any]:
    kind = type(event)
    (reference,), parts = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
    assert reference == {"$ref": f"#/$defs/{kind.__name__}"}
    whole = parts.pop(kind.__name__)
    if parts:
        whole["$defs"] = parts
    whole = _completed(whole, exact_numbers=kind is Score)
    if kind in _INPUTS:
        whole = _widened(whole, days=kind is Score)
        labels = whole["properties"]["labels"]
        default = {"default": labels.pop("default")}
        whole["properties"]["labels"] = {"anyOf": [labels, {"type": "null", "description": "None."}]} | default
    return {**_head(name), **whole, "examples": [json.loads(encode(event))]}


def _completed(schema: Any, *, exact_numbers: bool) -> Any:
    """The same, with what msgspec leaves out: a time's zone, a score's decimals as numbers, text of one line."""
    if isinstance(schema, list):
        return [_completed(item, exact_numbers=exact_numbers) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal" and exact_numbers:
        return dict(_EXACT_NUMBER)
    mended = {name: _completed(item, exact_numbers=exact_numbers) for name, item in schema.items()}
    if mended.get("format") == "date-time":
        mended["pattern"] = _DATE_TIME
    if isinstance(mended.get("description"), str):
        mended["description"] = " ".join(mended["description"].split())
    return mended


def _widened(schema: Any, *, days: bool) -> Any:
    """The same, with numbers in quotes and the times of other programs, which the decoder reads (`written`)."""
    if isinstance(schema, list):
        return [_widened(item, days=days) for item in schema]
    if not isinstance(schema, dict) or schema in (_QUOTED, _EXACT_NUMBER):
        return schema
    if schema.get("format") == "date-time":
        return {"anyOf": [schema, _OTHER_TIME, *([_DAY] if days else [])]}
    if schema.get("type") in ("number", "integer"):
        default = {name: value for name, value in schema.items() if name == "default"}
        return {"anyOf": [{name: value for name, value in schema.items() if name != "default"}, _QUOTED]} | default
    widened = {name: _widened(item, days=days) for name, item in schema.items()}
    if isinstance(several := widened.get("anyOf"), list):  # a number or null: one list, not a list in a list
        flat = [inner for each in several for inner in (each["anyOf"] if set(each) == {"anyOf"} else [each])]
        widened["anyOf"] = [each for at, each in enumerate(flat) if each not in flat[:at]]
    return widened


def _of_dead_letter() -> dict[str, Any]:
    """The headers of a dead letter in addition to its record's own; key and value are the record's."""
    number = {"type": "string", "pattern": r"^-?\d+$"}
    text = {"type": "string"}
    fields: dict[str, Any] = {
        "topic": text,
        "partition": number,
        "offset": number,
        "timestamp": number,
        "stage": {"enum": sorted(get_args(Stage))},
        "reason": {"enum": sorted(get_args(Reason))},
        "exception.class.name": text,
        "exception.message": text,
    }
    cut = {
        "cut.bytes": number | {"description": "Only of a record that is kept cut: the size of the whole"},
        "cut.sha256": text | {"description": "Of the whole: key, value, each header's name and value, concatenated"},
        "cut.value.bytes": number | {"description": "The size of the whole value"},
    }
    return _head("dead-letter") | {
        "title": "DeadLetter",
        "description": "Headers of a rejected record, with the names of Kafka Connect, each as UTF-8 text. Its key, "
        "value and own headers are unchanged, unless they are too large for the topic.",
        "type": "object",
        "properties": {PREFIX + name: schema for name, schema in (fields | cut).items()},
        "required": [PREFIX + name for name in fields],
    }
