"""What a file of another system holds, as columns: each place with its values, and the lists that events may be in."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from stream_detector.events.written import JSON_NUMBER

SAMPLE = 20_000
"""So many events are looked at."""
_DEEPEST = 4
_BARE = re.compile(r'[^."\[\]{}]+')


class Column(NamedTuple):
    """One place with its values, in the order of the events; None where one has none."""

    path: str
    values: list[Any]

    @property
    def present(self) -> list[Any]:
        return [value for value in self.values if value is not None and value != ""]

    @property
    def texts(self) -> set[str]:
        return {str(value).lower() if isinstance(value, bool) else str(value) for value in self.present}


def element_lists(documents: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    """The documents themselves, then each list of objects within them."""
    yield "", list(documents)
    paths: dict[str, list[Any]] = {}
    for document in documents:
        for path, elements in _lists(document, "", 0):
            paths.setdefault(path, []).extend(elements)
    yield from sorted(paths.items(), key=lambda item: -len(item[1]))


def _lists(value: Any, path: str, depth: int) -> Iterator[tuple[str, list[Any]]]:
    if not isinstance(value, dict) or depth > _DEEPEST:
        return
    for name, inner in value.items():
        here = f"{path}.{_name(name)}" if path else _name(name)
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            yield here, inner
            for each in inner[:SAMPLE]:
                yield from _lists(each, f"{here}[]", depth + 1)
        else:
            yield from _lists(inner, here, depth + 1)


def columns_of(sample: Sequence[dict[str, Any]]) -> list[Column]:
    found: dict[str, list[Any]] = {}
    for at, element in enumerate(sample):
        for path, value in _leaves(element, "", 0):
            values = found.setdefault(path, [])
            values += [None] * (at - len(values)) + [value]
    return [Column(path, values + [None] * (len(sample) - len(values))) for path, values in found.items()]


def _leaves(value: dict[str, Any], path: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if not name:
            continue
        here = f"{path}.{_name(name)}" if path else _name(name)
        if isinstance(inner, dict) and depth < _DEEPEST:
            yield from _leaves(inner, here, depth + 1)
        elif isinstance(inner, (str, int, float, Decimal)):
            yield here, inner


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) else f'"{name}"'


def number_of(value: Any) -> Decimal | None:
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return Decimal(str(value))
    if isinstance(value, str) and JSON_NUMBER.fullmatch(value.strip().replace(",", ".")):
        return Decimal(value.strip().replace(",", "."))
    return None


def last_name(path: str) -> str:
    return path.rpartition(".")[2].strip('"')


def quoted(text: str) -> str:
    """The text as TOML has it."""
    if "'" not in text and ('"' in text or "\\" in text) and text.isprintable():
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in escaped) + '"'
