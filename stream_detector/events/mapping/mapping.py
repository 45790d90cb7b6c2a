"""What a mapping makes of a document or a row: the fields of events, in JSON."""

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw

from stream_detector.events.inputs import INPUTS, Kind
from stream_detector.events.mapping.paths import Path
from stream_detector.events.mapping.units import exact, instant, seconds
from stream_detector.events.refused import RefusedError

IGNORE = "ignore"
"""In `status_values`: what has it is no event, such as a run that is still going on."""
NO_EVENT = "no event by the mapping (when, or a status that it ignores)"
ANY = "*"
"""In `status_values`: every other value. In `when`: any value."""
TIMES = {"completion": ("started_at", "finished_at"), "score": ("scored_at",), "score_run": ("at",)}
IDS = {
    "completion": ("execution_id", "workflow_id"),
    "score": ("entity_id",),
    "score_run": ("run_id",),
}
NUMBERS = {"duration_s", "attempt", "score", "previous_score", "expected"}
_DETAILS = {"workflow_name": 512, "entity_name": 512, "entity_type": 512, "error": 10_000, "variant": 64, "url": 2048}
"""Optional text -> how much of it is kept."""
_MOST_LABELS, _MOST_STEPS, _LABEL, _NAME = 64, 1000, 256, 512

_json = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Place:
    """Where a field's value comes from."""

    alternatives: tuple[tuple[str | Path, ...], ...] = ()
    """The first that has a value is used: a single path, or texts and paths whose values are joined."""
    value: Any = None
    """Or always the same."""
    unit: str = ""
    form: str = ""
    zone: tzinfo | None = None

    @property
    def title(self) -> str:
        """For messages."""
        parts = self.alternatives[0] if self.alternatives else (str(self.value),)
        return "".join(each.text if isinstance(each, Path) else each for each in parts)

    @property
    def paths(self) -> list[Path]:
        """Every place that may be looked at."""
        return [each for parts in self.alternatives for each in parts if isinstance(each, Path)]

    def find(self, element: Any, root: Any) -> Any:
        """The value; None where there is none."""
        for parts in self.alternatives:
            found = _joined(parts, element, root)
            if found is not None and found != "":
                return found
        return self.value


@dataclass(frozen=True)
class Mapping:
    """A parsed mapping. Made by `load_mapping`."""

    name: str
    kind: Kind = "completion"
    places: Dictionary[str, Place] = field(default_factory=dict)
    each: tuple[Path, ...] = ()
    """Alternatives: the first that finds an element is used."""
    when: tuple[tuple[Path, frozenset[str]], ...] = ()
    """What is not so is no event."""
    status_values: Dictionary[str, str] = field(default_factory=dict)
    labels: Dictionary[str, Place] = field(default_factory=dict)
    steps: Path | None = None
    step_places: Dictionary[str, Place] = field(default_factory=dict)
    title: str = ""
    keeps_own: bool = False
    """Fields of ours that the mapping does not name have their own names."""

    def events(self, document: Any) -> Iterator[bytes | RefusedError]:
        """The JSON of each event in the document, or why there is none of an element. What is no event is left out."""
        for element in self._elements(document):
            try:
                if (fields := self.fields(element, document)) is not None:
                    yield _json(fields)
            except RefusedError as error:
                yield error

    def size(self, document: Any) -> int:
        """How many elements of the document are looked at."""
        return len(self._elements(document))

    def _elements(self, document: Any) -> Sequence[Any]:
        found = (list(path.find_each(document)) for path in self.each)
        return next((elements for elements in found if elements), []) if self.each else [document]

    def fields(self, element: Any, root: Any) -> dict[str, Any] | None:
        """The fields of the event in an element or row; None where it is no event. Raises `RefusedError`."""
        for path, values in self.when:
            found = _text(path.find(element, root))
            if found is None or (ANY not in values and found not in values):
                return None
        made: dict[str, Any] = {}
        if self.keeps_own and isinstance(element, dict):
            own = INPUTS[self.kind].event_type.__struct_fields__
            made = {name: _plain(value) for name, value in element.items() if name in own and value != ""}
        if "status" in self.places or ("status" in made and self.status_values):
            place = self.places.get("status")
            status = self._status(place.find(element, root) if place else made["status"])
            if status == IGNORE:
                return None
            made["status"] = status
        for name in self.places.keys() - {"status"}:
            self._set(made, name, element, root)
        if self.kind == "completion":
            self._complete_times(made)
        if self.labels:
            made["labels"] = self._labels(element, root)
        if self.steps is not None:
            made["steps"] = list(self._steps(element, root))
        if self.kind == "score" and "entity_id" in made:
            made.setdefault("entity_name", made["entity_id"])
        return made

    def _set(self, made: dict[str, Any], name: str, element: Any, root: Any) -> None:
        place = self.places[name]
        value = place.find(element, root)
        if value is None:
            if name == "duration_s":
                made[name] = None  # the source has durations, and none of this execution
            return
        if name in TIMES[self.kind]:
            made[name] = instant(f"$.{place.title}", value, unit=place.unit, form=place.form, zone=place.zone)
        elif name == "duration_s":
            made[name] = _number(seconds(f"$.{place.title}", value, place.unit or "s"))
        elif name in NUMBERS:
            made[name] = _number(exact(f"$.{place.title}", value))
        elif name in _DETAILS:
            text = _text(value)
            if text and (name != "url" or _is_link(text)):
                made[name] = text[: _DETAILS[name]]
        else:
            made[name] = self._id(name, place, value)

    def _id(self, name: str, place: Place, value: Any) -> str:
        text = _text(value)
        if text is None:
            raise RefusedError(
                "validate", "wrong_type", f"$.{place.title} is no text or whole number; map {name} to another field"
            )
        return text

    def _status(self, value: Any) -> str:
        text = _text(value)
        if text is None:
            raise RefusedError("validate", "missing_field", f"$.{self._status_title} is missing, so there is no status")
        if not self.status_values:
            return text
        found = self.status_values.get(text) or self.status_values.get(text.casefold())
        found = found or self.status_values.get(ANY)
        if found is None:
            values = self.status_values
            known = ", ".join(each for each in values if not any(each == one.casefold() != one for one in values))
            raise RefusedError(
                "validate", "unknown_value", f"$.{self._status_title}: not one of {known}; add it to status_values"
            )
        return found

    @property
    def _status_title(self) -> str:
        return self.places["status"].title if "status" in self.places else "status"

    def _complete_times(self, made: dict[str, Any]) -> None:
        """The time that is not mapped, by the other and the duration; both the same where there is none."""
        has_start, has_end = "started_at" in made, "finished_at" in made
        if has_start == has_end:
            return
        duration = made.get("duration_s")
        known = made["started_at" if has_start else "finished_at"]
        made["started_at" if has_end else "finished_at"] = known
        if duration is None:
            made["duration_s"] = None
            return
        try:
            length = timedelta(seconds=float(bytes(duration)))
            at = datetime.fromisoformat(known)
            moved = at + length if has_start else at - length
        except (ValueError, OverflowError):
            return  # the decoder refuses the time or the duration with the reason
        made["started_at" if has_end else "finished_at"] = moved.isoformat()

    def _labels(self, element: Any, root: Any) -> dict[str, str]:
        """Those that have a value that is text, a number or a flag."""
        found = ((name, _text(place.find(element, root))) for name, place in self.labels.items())
        return {name[:_LABEL]: text[:_NAME] for name, text in list(found)[:_MOST_LABELS] if text}

    def _steps(self, element: Any, root: Any) -> Iterator[dict[str, Any]]:
        """Those that have a name; what cannot be read of one is left out."""
        assert self.steps is not None
        for step in list(self.steps.find_each(root if self.steps.from_root else element))[:_MOST_STEPS]:
            places = self.step_places
            name = _text(places["name"].find(step, root))
            if not name:
                continue
            made: dict[str, Any] = {"name": name[:_NAME]}
            try:
                if "status" in places and (status := self._status(places["status"].find(step, root))) != IGNORE:
                    made["status"] = status
            except RefusedError:
                pass
            if (duration := _step_duration(places, step, root)) is not None:
                made["duration_s"] = duration
            yield made


def _joined(parts: tuple[str | Path, ...], element: Any, root: Any) -> Any:
    if len(parts) == 1 and isinstance(parts[0], Path):
        return parts[0].find(element, root)
    found = [each if isinstance(each, str) else _text(each.find(element, root)) for each in parts]
    return None if None in found else "".join(map(str, found))


def _step_duration(places: Dictionary[str, Place], step: Any, root: Any) -> Raw | None:
    try:
        if (place := places.get("duration_s")) and (value := place.find(step, root)) is not None:
            found = seconds(place.title, value, place.unit or "s")
        elif "started_at" in places and "finished_at" in places:
            ends = []
            for name in ("started_at", "finished_at"):
                place = places[name]
                text = instant(place.title, place.find(step, root), unit=place.unit, form=place.form, zone=place.zone)
                ends.append(datetime.fromisoformat(text))
            found = Decimal(str((ends[1] - ends[0]).total_seconds()))
        else:
            return None
    except (RefusedError, ValueError, TypeError):
        return None
    return _number(found) if 0 <= found <= Decimal("1e12") else None


def _number(value: Decimal) -> Raw:
    """The digits as they are; an exponent is written out where that is short."""
    return Raw(f"{value:f}" if -30 < value.adjusted() < 30 else str(value))


def _plain(value: Any) -> Any:
    """The same for JSON: decimals as they were written."""
    if isinstance(value, Decimal):
        return Raw(str(value))
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _text(value: Any) -> str | None:
    """Text, a number or a flag as text; None of anything else, and of nothing."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, Decimal)) else None


def _is_link(text: str) -> bool:
    return text.startswith(("http://", "https://")) and not any(character.isspace() for character in text)


def all_paths(mapping: Mapping) -> Sequence[Path]:
    """Every place that the mapping names in an element."""
    places = [*mapping.places.values(), *mapping.labels.values()]
    return [*(path for place in places for path in place.paths), *(path for path, _ in mapping.when)]
