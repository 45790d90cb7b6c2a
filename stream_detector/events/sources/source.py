"""What the table holds of one source, and of one envelope."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Final, NamedTuple, TypeVar

from msgspec import Raw

from stream_detector.events.completion import Status
from stream_detector.events.headers import Headers
from stream_detector.events.inputs import Event
from stream_detector.events.refused import RefusedError
from stream_detector.events.sources.verification import Verification

_T = TypeVar("_T")

Fields = Mapping[str, Raw]
"""The top level of a JSON object: names and their values, undecoded."""


class Reading(NamedTuple):
    """What one payload holds."""

    events: Sequence[Event] = ()
    ignored: str = ""
    """Why there is no event in it, for the person who set up the delivery; without values of the payload."""
    left_out: Sequence[str] = ()
    """Places of optional details that could not be used, such as `$.workflow_run.html_url`; from a bounded set."""
    refused: Sequence[RefusedError] = ()
    """Of a payload with several entries: those that cannot be read. A payload with one raises instead."""
    number: str = ""
    """Of a payload with one event: the source's own number of the workflow, which stays where its id changes."""
    moved: tuple[str, str] | None = None
    """With what the ids of workflows began that were renamed, and with what they begin now."""
    known_as: str = ""
    """Of a payload with one event whose workflow has a name alone: the workflow's id where that is known already."""


class Choices(NamedTuple):
    """What a person chooses about how payloads are read; a source that has no such choice passes it over."""

    by_parts: bool = False
    """Each part as a workflow of its own."""
    zone: tzinfo = UTC
    """Of times without one."""


NO_CHOICES: Final = Choices()


def read_entries(
    entries: Iterable[_T], read: Callable[[_T], Sequence[Event]], alone: Callable[[_T], bytes | None]
) -> tuple[list[Event], list[RefusedError]]:
    """The events of each entry; one that cannot be read, whose refusal is returned, does not lose the others.

    Args:
        alone: the entry as a payload of its own, to be kept where it is refused; None where there is no such thing.
    """
    events: list[Event] = []
    refused: list[RefusedError] = []
    for entry in entries:
        try:
            events += read(entry)
        except RefusedError as error:
            error.place, error.entry = len(events) + len(refused), alone(entry)
            refused.append(error)
    return events, refused


def reading_of(
    events: Sequence[Event], refused: Sequence[RefusedError], ignored: str, left_out: Sequence[str] = ()
) -> Reading:
    """What a payload holds that may have one entry or several. Raises the refusal where it has one, unreadable.

    Args:
        ignored: why there is no event in it, where it has no entry.
    """
    if len(refused) == 1 and not events:
        raise refused[0]
    return Reading(events, "" if events or refused else ignored, left_out, refused)


class IgnoredError(RefusedError):
    """A payload of a known source that holds no event, on a topic. It is counted and is no dead letter.

    Attributes:
        source: the source's name.
    """

    def __init__(self, source: str, message: str) -> None:
        super().__init__("decode", "unsupported_format", message)
        self.source = source


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """How the source posts to `POST /api/v1/webhooks/<name>`, and how a delivery proves where it comes from."""

    setting: str
    """The setting that holds the shared secret; empty switches the webhook off."""
    verification: Verification
    description: str
    """For the API's own page."""
    content_types: tuple[str, ...] = ("application/json",)
    """Those that the source sends. With the form's type, the payload is the JSON in the form field `payload`."""
    event_header: str = ""
    """The header that names the kind of a delivery; "" where the source has none, so that the content decides."""
    events: tuple[str, ...] = ()
    """The values of that header whose deliveries are read; any other is acknowledged and ignored."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where in a payload a thing is, as a dotted path (`builds.0.name`); "" where the format does not have it."""

    id: str
    workflow: str
    status: str
    finished: str
    started: str = ""
    duration: str = ""
    attempt: str = ""
    branch: str = ""
    url: str = ""
    refines: tuple[str, ...] = ()
    """Further places that the workflow's id depends on; it has one without them, too."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One format of others. Its payload becomes our events, which the decoder then holds to our contract."""

    name: str
    """In the webhook's path and in the Kafka header `source`; lower case."""
    title: str
    recognises: Callable[[Fields], bool]
    """Whether a JSON object is a payload of this source, by its content; no two sources recognise the same."""
    read: Callable[[bytes], Reading]
    """What one payload holds. Raises `RefusedError` where identity, status or time of its event cannot be read."""
    becomes: str
    """For the page of contracts: what becomes what, and what the source cannot give."""
    places: Places
    """Of the example payload in the tests. The matrix of docs/sources.md is made by changing what is there."""
    needed: tuple[str, ...]
    """The places without which a payload is refused: those of identity, status and time."""
    statuses: Mapping[str, Status] = field(default_factory=dict)
    """The source's word for an outcome -> our status, for docs/sources.md."""
    read_parts: Callable[[bytes], Reading] | None = None
    """The same payload with each of its parts as a workflow of its own, for those who ask for it."""
    read_in_zone: Callable[[bytes, tzinfo], Reading] | None = None
    """The same payload, whose times have no zone, with the zone that they are in."""
    recognises_text: Callable[[bytes], bool] | None = None
    """The same for a payload that is not a JSON object, such as XML; asked where the value does not begin with `{`."""
    webhook: Webhook | None = None

    @property
    def documented(self) -> str:
        """The source's row in docs/contracts.md."""
        hook = "none"
        if self.webhook:
            hook = f"`/api/v1/webhooks/{self.name}`, with `{self.webhook.setting.upper()}`"
        return f"| {self.title} | `{self.name}` | {hook} | {self.becomes} |"


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """One wrapping around an event, whatever the event's own format is."""

    title: str
    """As the page of contracts names it."""
    recognises: Callable[[bytes], bool]
    """Whether the value shows that it is; asked where the headers say nothing."""
    open: Callable[[bytes, Headers, str], bytes]
    """(value, headers, the CloudEvents type that belongs on the topic) -> what is inside. Raises `RefusedError`."""
    is_announced: Callable[[Headers], bool] = lambda _: False
    """Whether the headers say that the value is in this envelope."""


def has_fields(*names: str) -> Callable[[Fields], bool]:
    """Recognises objects that have all of these fields."""
    return lambda fields: all(name in fields for name in names)
