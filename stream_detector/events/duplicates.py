"""Keys that stand twice in one JSON object. Which of the two was meant, nobody knows.

On Kafka the last one holds, as most readers of JSON have it: a record cannot be asked again. A file and a request can.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from stream_detector.events.refused import RefusedError

_SHOWN = 100
ALL_BUT_MARKS = bytes(set(range(256)) - set(b'":,[]{}\\'))


def check_unique(value: bytes, decoded: dict[str, Any]) -> None:
    """Accept the object, or raise `RefusedError`.

    Args:
        decoded: the object, of which each key has been kept once.

    Counting settles it nearly always, in 0.6 us: where nothing is escaped, two quotes and a colon are left of each key
    once all but marks is taken out, and of nothing else.
    """
    marks = value.translate(None, ALL_BUT_MARKS)
    if b"\\" not in marks:
        keys, labels = marks.count(b'"":'), decoded.get("labels")
        if keys == len(decoded) + (len(labels) if type(labels) is dict else 0) or keys == _count(decoded):
            return
    try:
        json.loads(value, object_pairs_hook=_unique)
    except RefusedError:
        raise
    except (ValueError, RecursionError):
        return  # a number of a size that Python does not read, in a field that nobody reads


def check_unique_payload(value: bytes) -> None:
    """The same of a payload of another system: accept it, or raise `RefusedError`. What is no JSON has no keys."""
    try:
        decoded = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if isinstance(decoded, dict):
        check_unique(value, decoded)


def _count(item: Any) -> int:
    """The keys of all objects within."""
    if type(item) is dict:
        count = len(item)
        for each in item.values():
            if type(each) is dict or type(each) is list:
                count += _count(each)
        return count
    return sum([_count(each) for each in item]) if type(item) is list else 0


def _unique(pairs: Sequence[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise twice(name)
        seen.add(name)


def twice(name: str, what: str = "field") -> RefusedError:
    """The refusal of what stands twice."""
    where = "header" if what == "column" else "object"
    return RefusedError(
        "decode", "duplicate_field", f"the {what} {name[:_SHOWN]!r} stands twice in one {where}; send it once"
    )
