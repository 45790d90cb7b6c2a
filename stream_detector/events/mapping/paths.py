"""Places in a JSON document: `build.results[0].name`, `attributes[key=cicd.pipeline.name].value`, `"a.b".c`, `$.id`.

Names are separated by points; a name with a point in it stands in quotes. `[2]` is an element, `[key=text]` the first
object of a list whose `key` has that text, `[]` every element of a list or every value of an object (of `each` alone).
A path is relative to the element that `each` found; `$.` begins at the document.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(
    r"""(?P<dot>\.)?(?:"(?P<quoted>[^"]+)"|(?P<name>[^."\[\]{}]+)|\[(?P<at>\d*)\]|\[(?P<key>[^=\[\]]+)=(?P<text>[^\]]*)\])"""
)


class PathError(ValueError):
    """A text is no path."""


@dataclass(frozen=True)
class _Step:
    name: str = ""
    at: int | None = None
    key: str = ""
    text: str = ""
    every: bool = False


@dataclass(frozen=True)
class Path:
    """A parsed place."""

    text: str
    steps: tuple[_Step, ...]
    from_root: bool = False

    @property
    def column(self) -> str:
        """What a column of that name is called."""
        return self.steps[0].name if len(self.steps) == 1 and self.steps[0].name else self.text

    def find(self, element: Any, root: Any) -> Any:
        """What is there; None where there is nothing."""
        value = root if self.from_root else element
        name = self.text.removeprefix("$.") if self.from_root else self.text
        if isinstance(value, dict) and name in value:  # a column, or a key with a point in its name
            return value[name]
        for step in self.steps:
            value = _one(value, step)
            if value is None:
                return None
        return value

    def find_each(self, root: Any) -> Iterator[Any]:
        """Every element; of a list or an object at the end of the path its own."""
        level = [root]
        for step in self.steps:
            found: list[Any] = []
            for value in level:
                found += _every(value) if step.every else [_one(value, step)]
            level = [value for value in found if value is not None]
        for value in level:
            yield from value if isinstance(value, list) else [value]


def parse_path(text: str) -> Path:
    """The path that a text means. Raises `PathError`."""
    rest, from_root = text.strip(), False
    if rest == "$" or rest.startswith("$."):
        rest, from_root = rest[2:], True
    steps: list[_Step] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None or (bool(found["dot"]) != bool(steps) and (found["name"] or found["quoted"])):
            raise PathError(f"{text!r} is not a path; write for example build.id, builds[0].id or tags[key=x].value")
        steps.append(_step(found))
        at = found.end()
    if not steps and not from_root:
        raise PathError("an empty path")
    return Path(text, tuple(steps), from_root)


def _step(found: re.Match[str]) -> _Step:
    if found["key"] is not None:
        return _Step(key=found["key"].strip(), text=found["text"].strip().strip('"'))
    if found["at"] is not None:
        return _Step(at=int(found["at"])) if found["at"] else _Step(every=True)
    return _Step(name=found["quoted"] or found["name"].strip())


def _one(value: Any, step: _Step) -> Any:
    if step.name:
        return value.get(step.name) if isinstance(value, dict) else None
    if not isinstance(value, list):
        return None
    if step.at is not None:
        return value[step.at] if step.at < len(value) else None
    return next((each for each in value if isinstance(each, dict) and str(each.get(step.key)) == step.text), None)


def _every(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
