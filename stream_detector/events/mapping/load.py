"""From a TOML file to a mapping, or to what is wrong with it, for the person who wrote it."""

import re
import tomllib
from collections.abc import Collection
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path as File
from typing import Any, cast, get_args

from stream_detector.events.completion import Status
from stream_detector.events.inputs import INPUTS, Kind
from stream_detector.events.mapping.mapping import ANY, IDS, IGNORE, TIMES, Mapping, Place
from stream_detector.events.mapping.paths import Path, PathError, parse_path
from stream_detector.events.mapping.units import DURATION_UNITS, EPOCH_UNITS, FORMS, zone_of
from stream_detector.events.score_run import RunStatus

MAX_BYTES = 100_000
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_TABLES = {"kind", "each", "zone", "when", "status_values", "labels", "steps", "title"}
_UNMAPPED = {"labels", "steps", "resources"}
_STEP_FIELDS = ("each", "name", "status", "duration_s", "started_at", "finished_at")
_SPEC = ("field", "unit", "format", "zone", "value")
_STATUSES: dict[str, tuple[str, ...]] = {"completion": get_args(Status), "score_run": get_args(RunStatus)}
_BRACED = re.compile(r"\{([^{}]*)\}")


class MappingError(ValueError):
    """A mapping cannot be used. The message names the file, the place and what to write."""


def load_mapping(file: File) -> Mapping:
    """The mapping of a file. Raises `MappingError`."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise MappingError(f"{file} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise MappingError(f"{file}: a mapping has at most {MAX_BYTES:,} bytes")
    try:
        return parse_mapping(data.decode("utf-8-sig"), file.stem.lower(), str(file))
    except UnicodeDecodeError:
        raise MappingError(f"{file} is not UTF-8 text") from None


def load_folder(folder: File) -> dict[str, Mapping]:
    """The mappings of a folder, by their names. Raises `MappingError`."""
    found: dict[str, Mapping] = {}
    try:
        files = sorted(folder.glob("*.toml"))
    except OSError as error:
        raise MappingError(f"{folder} cannot be read: {error.strerror}") from None
    if not folder.is_dir():
        raise MappingError(f"{folder} is not a folder")
    for file in files:
        if not NAME.fullmatch(file.stem):
            raise MappingError(f"{file}: name it with lower-case letters, digits and hyphens; it is part of a URL")
        found[file.stem] = load_mapping(file)
    return found


def parse_mapping(text: str, name: str, where: str) -> Mapping:
    """The mapping that a text of TOML means. Raises `MappingError`."""
    try:
        return _parsed(tomllib.loads(text), name)
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"{where}: not TOML: {error}") from None
    except (ValueError, RecursionError) as error:
        raise MappingError(f"{where}: {error}") from None


def _parsed(given: dict[str, Any], name: str) -> Mapping:
    kind = given.get("kind", "completion")
    if kind not in IDS:
        raise ValueError(f"kind must be one of {', '.join(IDS)}")
    own = [each for each in INPUTS[cast(Kind, kind)].event_type.__struct_fields__ if each not in _UNMAPPED]
    _check_names(given, [*own, *_TABLES], "")
    zone = _text_of(given, "zone")
    places = {field: _place(field, given[field], kind, zone) for field in own if field in given}
    when = _table(given, "when")
    steps = _table(given, "steps")
    _check_names(steps, _STEP_FIELDS, "steps.")
    if steps and "name" not in steps:
        raise ValueError("steps.name is missing: the field that names a step")
    needed = {*IDS[kind], *({"status"} if kind in _STATUSES else {"score"})}
    has_time = any(each in places for each in TIMES[kind])
    return Mapping(
        name=name,
        kind=cast(Kind, kind),
        places=places,
        each=tuple(_path("each", text) for text in _listed(given.get("each", []))),
        when=tuple((_path("when", key), _allowed(value)) for key, value in when.items()),
        status_values=_status_values(_table(given, "status_values"), kind),
        labels={key: _place(f"labels.{key}", value, kind, zone) for key, value in _table(given, "labels").items()},
        steps=_path("steps.each", steps.get("each", "steps")) if steps else None,
        step_places={key: _place(key, value, kind, zone) for key, value in steps.items() if key != "each"},
        title=_text_of(given, "title") or name,
        keeps_own=not (needed <= places.keys() and has_time),
    )


def _check_names(given: Collection[str], known: Collection[str], prefix: str) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f"did you mean {prefix}{near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise ValueError(f"{prefix}{name} is not known; {meant}")


def _place(name: str, given: Any, kind: str, zone: str) -> Place:
    field = name.rpartition(".")[2]
    spec = given if isinstance(given, dict) else {"field": given}
    _check_names(spec, _SPEC, f"{name}.")
    unit, form = _text_of(spec, "unit"), _text_of(spec, "format")
    is_time = field in {*TIMES["completion"], *TIMES[kind]} and not name.startswith("labels.")
    units = EPOCH_UNITS if is_time else {*DURATION_UNITS, *FORMS} if field == "duration_s" else ()
    if unit and unit not in units:
        raise ValueError(f"{name}.unit must be one of {', '.join(units)}" if units else f"{name} has no unit")
    if form and not is_time:
        raise ValueError(f"{name} has no format; only times have")
    own_zone = _text_of(spec, "zone") or zone
    place = Place(unit=unit, form=form, zone=zone_of(own_zone) if own_zone and is_time else None)
    if "value" in spec:
        if not isinstance(spec["value"], (str, int, bool)) or "field" in spec:
            raise ValueError(f"{name}.value must be text or a whole number, and without a field")
        return replace(place, value=spec["value"])
    return replace(place, alternatives=tuple(_alternative(name, each) for each in _listed(spec.get("field"))))


def _alternative(name: str, text: Any) -> tuple[str | Path, ...]:
    """A path, or of `a/{b}` the text `a/` and the path `b`."""
    if not isinstance(text, str) or not _BRACED.search(text):
        return (_path(name, text),)
    pieces = _BRACED.split(text)
    made: list[str | Path] = [_path(name, each) if at % 2 else each for at, each in enumerate(pieces)]
    return tuple(each for each in made if each != "")


def _path(name: str, text: Any) -> Path:
    if not isinstance(text, str):
        raise ValueError(f"{name} must be the name of a field, in quotes")
    try:
        return parse_path(text)
    except PathError as error:
        raise ValueError(f"{name}: {error}") from None


def _table(given: dict[str, Any], name: str) -> dict[str, Any]:
    table = given.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"{name} must be a table: write [{name}] and below it a line for each")
    return table


def _text_of(given: dict[str, Any], name: str) -> str:
    text = given.get(name, "")
    if not isinstance(text, str):
        raise ValueError(f"{name} must be text in quotes")
    return text


def _allowed(value: Any) -> frozenset[str]:
    return frozenset(_key(each) for each in _listed(value))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _key(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _status_values(given: dict[str, Any], kind: str) -> dict[str, str]:
    """By the value as it is, and in lower case where no other one has that."""
    known = (*_STATUSES.get(kind, ()), IGNORE)
    for key, value in given.items():
        if value not in known:
            raise ValueError(f"status_values.{key} must be one of {', '.join(known)}")
    folded = {key.casefold(): value for key, value in given.items() if key != ANY}
    return folded | given
