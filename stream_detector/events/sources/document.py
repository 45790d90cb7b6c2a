"""A payload as a JSON object whose values are read by dotted path, and the execution that they make.

On top of `Details`: what is needed is refused where it is wrong, any other detail is left out and noted. `execution`
holds what is left to the limits of our contract.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, TypeVar

import msgspec
from msgspec import Raw

from stream_detector.events.completion import Completion, Status, Step
from stream_detector.events.excerpt import excerpt_of_text
from stream_detector.events.refused import RefusedError
from stream_detector.events.sources.details import (
    MOST_NAME,
    MOST_NUMBER,
    Details,
    attempt,
    fit_id,
    is_link,
    object_fields,
    parse_epoch_ms,
    parse_instant,
)
from stream_detector.events.sources.source import Fields, Reading, read_entries
from stream_detector.events.start import MOST_RUN, Start
from stream_detector.events.times import EARLIEST

_T = TypeVar("_T")
_MOST_STEPS = 1000
_FEW_STEPS = 200
"""So many are never too large: a name has 512 characters, of 6 bytes at most."""
_MOST_BYTES = 800_000
"""Of the steps as JSON: an event has at most 1,000,000, and everything else of it takes less than the rest."""
_MOST_SECONDS = 1e9
"""Thirty years; a `timedelta` holds no more than a hundred times that."""
_MOST_TEXT = 2_000
"""Characters of one part in an excerpt of 10,000, so that one does not push out all others."""
_FAILED = frozenset({"failure", "error", "timeout"})
_NAMES: dict[str, list[str]] = {}
"""Path -> the names in it. Paths are constants of the sources, so there are few."""
_encoded = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, Any]).decode


class Document:
    """One JSON object, or a part of one.

    Attributes:
        root: the decoded object.
        details: what reads the values, and notes what it leaves out.
        at: where the object is in the payload, as `$.build`.
    """

    __slots__ = ("at", "details", "root")

    def __init__(self, root: Mapping[str, Any], details: Details, at: str = "$") -> None:
        self.root, self.details, self.at = root, details, at

    def value(self, path: str) -> object:
        """What is at the path, of any type; None where nothing is."""
        if "." not in path:
            return self.root.get(path)
        names = _NAMES.get(path)
        if names is None:
            names = _NAMES[path] = path.split(".")
        found: object = self.root
        for name in names:
            if type(found) is not dict:
                return None
            found = found.get(name)
        return found

    def part(self, path: str) -> "Document":
        """The object at the path; an empty one where there is none."""
        place = f"{self.at}.{path}"
        return Document(self.details.mapping(place, self.value(path)), self.details, place)

    def parts(self, path: str) -> list["Document"]:
        """The objects of the array at the path; what is no object is left out."""
        given = self.value(path)
        if given is None:
            return []
        place = f"{self.at}.{path}[...]"
        found = self.details.entries(f"{self.at}.{path}", given)
        documents = [Document(each, self.details, place) for each in found if isinstance(each, dict)]
        if len(documents) < len(found):
            self.details.left_out.append(place)
        return documents

    def text(self, path: str, *, exact: bool = False) -> str | None:
        """The text at the path, cut where it is too long for a name.

        Args:
            exact: the path is one name, the dots in it included.
        """
        found = self.root.get(path) if exact else self.value(path)
        if found is None or (type(found) is str and 0 < len(found) <= MOST_NAME and "\0" not in found):
            return found
        return self.details.text(f"{self.at}.{path}", found)

    def output(self, path: str) -> str | None:
        """The text at the path, of any length and with any characters, for the excerpt."""
        found = self.value(path)
        if found is None or isinstance(found, str):
            return found or None
        self.details.left_out.append(f"{self.at}.{path}")
        return None

    def moment(self, path: str) -> datetime | None:
        """The instant at the path, in UTC."""
        found = self.value(path)
        return parse_instant(found) or self.details.instant(f"{self.at}.{path}", found)

    def seconds(self, path: str) -> float | None:
        """The duration at the path; None where it is 0, which no source means, or longer than thirty years."""
        given = self.value(path)
        found = given if type(given) is float else self.details.seconds(f"{self.at}.{path}", given)
        return found if found and 0 < found <= _MOST_SECONDS else None

    def needed_text(self, path: str) -> str:
        """The text at the path, of any length. Raises `RefusedError`."""
        found = self.value(path)
        if type(found) is str and found and "\0" not in found:
            return found
        return self.details.needed_text(f"{self.at}.{path}", found)

    def needed_number(self, path: str) -> int:
        """The whole number at the path. Raises `RefusedError`."""
        found = self.value(path)
        if type(found) is int and 0 <= found <= MOST_NUMBER:
            return found
        return self.details.needed_number(f"{self.at}.{path}", found)

    def needed_moment(self, path: str) -> datetime:
        """The instant at the path, in UTC. Raises `RefusedError`."""
        found = self.value(path)
        return parse_instant(found) or self.details.needed_instant(f"{self.at}.{path}", found)

    def needed_ms(self, path: str) -> datetime:
        """The instant at the path, in milliseconds since 1970, in UTC. Raises `RefusedError`."""
        place = f"{self.at}.{path}"
        found = parse_epoch_ms(self.details.needed_number(place, self.value(path)))
        if found is None:
            raise self.details.refusal("bad_time", place, "is not a time in milliseconds since 1970")
        return found

    def needed_status(self, path: str, statuses: Mapping[str, _T]) -> _T:
        """What the table has for the word at the path. Raises `RefusedError`."""
        given = self.value(path)
        found = statuses.get(given) if type(given) is str else None
        return found if found is not None else self.details.needed_status(f"{self.at}.{path}", given, statuses)

    def link(self, path: str) -> str | None:
        """The http or https link at the path."""
        found = self.value(path)
        return found if type(found) is str and is_link(found) else self.details.link(f"{self.at}.{path}", found)


class RunFields(TypedDict):
    """What the start and the end of a run have in common."""

    run: str
    workflow: str
    name: str | None
    labels: Mapping[str, str | None]
    url: str | None
    variant: str | None


def read_document(payload: bytes, advice: str) -> Document:
    """The payload, which has to be a JSON object. Raises `RefusedError`, which ends with the advice."""
    details = Details(advice)
    return Document(details.decode(_object, payload), details)


def read_each(documents: Sequence[Document], read: Callable[[Document], Reading], ignored: str) -> Reading:
    """What all of a list's objects hold; one that cannot be read does not lose the others.

    Args:
        ignored: why there is no event in it, where none of them has ended.
    """
    events, refused = read_entries(
        documents, lambda document: read(document).events, lambda document: _encoded(document.root)
    )
    left_out = documents[0].details.left_out if documents else []
    return Reading(events, "" if events or refused else ignored, left_out, refused)


def execution(
    *,
    run: str,
    workflow: str,
    name: str | None,
    status: Status,
    ended_at: datetime,
    started_at: datetime | None = None,
    duration_s: float | None = None,
    steps: Sequence[Step] = (),
    labels: Mapping[str, str | None] | None = None,
    url: str | None = None,
    variant: str | None = None,
    output: str | None = None,
    may_end_again: bool = False,
) -> Completion:
    """An execution within the limits of our contract; what exceeds them is cut, an id with a digest of all of it.

    Args:
        run, workflow: identities, of any length.
        started_at: if it is not known, the end minus the duration, and the end itself without one.
        duration_s: if it is not known, what lies between start and end; null if that is nothing.
        may_end_again: the run can end several times, each time as another execution: its id has the second of the end.
        output: what the run printed, or what the system has about its end; the last lines are the excerpt.
    """
    if may_end_again:
        run = f"{run}.{int(ended_at.timestamp())}"
    if duration_s is None:
        duration_s = seconds_between(started_at, ended_at)
    if started_at is None or started_at > ended_at:
        started_at = max(ended_at - timedelta(seconds=duration_s or 0), EARLIEST)
    return Completion(
        execution_id=fit_id(run),
        workflow_id=fit_id(workflow),
        workflow_name=name[:MOST_NAME] if name else None,
        status=status,
        started_at=started_at,
        finished_at=ended_at,
        duration_s=duration_s,
        steps=_kept(steps),
        labels={label: value[:MOST_NAME] for label, value in (labels or {}).items() if value},
        url=url if url and is_link(url) else None,
        variant=variant,
        excerpt=excerpt_of_text(output) if output else None,
    )


def start(
    about: RunFields, started_at: datetime | None, queued_at: datetime | None = None, *, may_end_again: bool = False
) -> Start | None:
    """The start of a run; None where its time is not known, or its end could not name it."""
    run = about["run"]
    if started_at is None or (may_end_again and len(run) > MOST_RUN):
        return None
    name = about["name"]
    return Start(
        state="started",
        execution_id=fit_id(run),
        workflow_id=fit_id(about["workflow"]),
        workflow_name=name[:MOST_NAME] if name else None,
        started_at=started_at,
        queued_at=queued_at if queued_at is not None and queued_at < started_at else None,
        labels={label: value[:MOST_NAME] for label, value in about["labels"].items() if value},
        url=about["url"] if about["url"] and is_link(about["url"]) else None,
        variant=about["variant"],
    )


def read_start(details: Details, ignored: str, read: Callable[[], Start | None]) -> Reading:
    """What a payload of a run holds that has not ended: its start. One that cannot be used never loses a delivery.

    Args:
        ignored: why there is no event in it, where its start cannot be read either.
    """
    try:
        event = read()
    except RefusedError:
        event = None
    return Reading(ignored=ignored) if event is None else Reading([event], "", details.left_out)


def named_texts(texts: Iterable[tuple[str, str | None]]) -> str:
    """The texts, each after the name of the part that it is of; of a long one the end.

    >>> named_texts([("build", "exit code 2"), ("deploy", None)])
    'build: exit code 2'
    """
    return "\n".join(
        f"{name[:MOST_NAME]}: {stripped[-_MOST_TEXT:]}" for name, text in texts if text and (stripped := text.strip())
    )


def seconds_between(started_at: datetime | None, ended_at: datetime | None) -> float | None:
    """How long it took; None where that is not known, or nothing."""
    if started_at is None or ended_at is None or started_at >= ended_at:
        return None
    return (ended_at - started_at).total_seconds()


def step(name: str, status: Status | None, duration_s: float | None) -> Step:
    """A step whose name is cut to what a name may have."""
    return Step(name[:MOST_NAME], status, duration_s)


def _kept(steps: Sequence[Step]) -> list[Step]:
    """The steps in their order; of more than an event can hold those that failed, then the longest."""
    if len(steps) <= _FEW_STEPS or (len(steps) <= _MOST_STEPS and len(_encoded(steps)) <= _MOST_BYTES):
        return list(steps)
    ranked = sorted(range(len(steps)), key=lambda n: (steps[n].status not in _FAILED, -(steps[n].duration_s or 0.0)))
    room, kept = _MOST_BYTES, []
    for number in ranked[:_MOST_STEPS]:
        room -= len(_encoded(steps[number])) + 1
        if room < 0:
            break
        kept.append(number)
    return [steps[number] for number in sorted(kept)]


def outcome(statuses: Iterable[Status | None]) -> Status:
    """The status of what consists of these: failed if one did, skipped if none ran.

    >>> outcome(["success", "error", "skip"]), outcome(["skip"]), outcome([])
    ('failure', 'skip', 'skip')
    """
    found = set(statuses)
    if found & _FAILED:
        return "failure"
    return "success" if "success" in found else "skip"


def members(fields: Fields, name: str) -> Fields:
    """The fields of the object with this name, undecoded; none where it is no object. For `Source.recognises`."""
    value = bytes(fields.get(name) or Raw())
    return (attempt(object_fields, value) or {}) if value.startswith(b"{") else {}


def literal(fields: Fields, name: str) -> str:
    """The text with this name as it is written; empty where there is none. For `Source.recognises`."""
    value = bytes(fields.get(name) or Raw())
    return value[1:-1].decode("utf-8", "replace") if value.startswith(b'"') else ""
