"""JSON Schema 2020-12 of every contract, made from the types, so that the two cannot disagree.

`python -m stream_detector.events.schema schemas` writes the files; with `--check` it changes nothing and exits with 1
where one differs. What JSON Schema cannot say (order of two times, 20 digits, the future) is in `docs/contracts.md`.
"""

import json
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec

from stream_detector.events.dead_letter import PREFIX
from stream_detector.events.encode import encode
from stream_detector.events.examples import EXAMPLES
from stream_detector.events.refused import Reason, Stage
from stream_detector.events.score import Score

VERSION = "v1"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DATE_TIME = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:?\d{2})$"
_EXACT_NUMBER = {"type": "number", "minimum": -1e12, "maximum": 1e12, "description": "Decimal, at most 20 digits."}


def schemas() -> dict[str, dict[str, Any]]:
    """File name -> schema, one per contract and version."""
    made = {name: _of_type(name, event) for name, event in EXAMPLES.items()} | {"dead-letter": _of_dead_letter()}
    return {f"{name}.{VERSION}.json": schema for name, schema in sorted(made.items())}


def text_of(schema: dict[str, Any]) -> str:
    """The file's text."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _head(name: str) -> dict[str, Any]:
    return {"$schema": _DIALECT, "$id": f"urn:stream-detector:{name}:{VERSION}"}


def _of_type(name: str, event: msgspec.Struct) -> dict[str, Any]:
    kind = type(event)
    (reference,), parts = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
    assert reference == {"$ref": f"#/$defs/{kind.__name__}"}
    whole = parts.pop(kind.__name__)
    if parts:
        whole["$defs"] = parts
    whole = _mended(whole, exact_numbers=kind is Score)
    return {**_head(name), **whole, "examples": [json.loads(encode(event))]}


def _mended(schema: Any, *, exact_numbers: bool) -> Any:
    """The same, with what msgspec leaves out: a time's zone, a score's decimals as numbers, text of one line."""
    if isinstance(schema, list):
        return [_mended(item, exact_numbers=exact_numbers) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal" and exact_numbers:
        return dict(_EXACT_NUMBER)
    mended = {name: _mended(item, exact_numbers=exact_numbers) for name, item in schema.items()}
    if mended.get("format") == "date-time":
        mended["pattern"] = _DATE_TIME
    if isinstance(mended.get("description"), str):
        mended["description"] = " ".join(mended["description"].split())
    return mended


def _of_dead_letter() -> dict[str, Any]:
    """The headers that the letter carries beside its record's own; key and value are the record's."""
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
    return _head("dead-letter") | {
        "title": "DeadLetter",
        "description": "Headers of a refused record, in Kafka Connect's names, each as UTF-8 text. Its key, value and "
        "own headers are untouched.",
        "type": "object",
        "properties": {PREFIX + name: schema for name, schema in fields.items()},
        "required": [PREFIX + name for name in fields],
    }


def main(arguments: list[str]) -> int:
    """Write the files, or check them. Returns the exit code."""
    check = "--check" in arguments
    folder = Path(next((word for word in arguments if not word.startswith("-")), "schemas"))
    stale = [
        name
        for name, schema in schemas().items()
        if not (folder / name).is_file() or (folder / name).read_text("utf-8") != text_of(schema)
    ]
    for name in stale:
        print(f"{folder / name}: {'differs from the types; write it anew' if check else 'written'}")
        if not check:
            (folder / name).write_text(text_of(schemas()[name]), "utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
