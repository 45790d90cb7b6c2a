"""What the table says of one source, and of one envelope."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Raw

from stream_detector.events.headers import Headers
from stream_detector.events.inputs import Event

Fields = Mapping[str, Raw]
"""The top level of a JSON object: names and their values, undecoded."""


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """How the source posts to `POST /api/v1/webhooks/<name>`, and how a delivery proves where it comes from."""

    setting: str
    """The setting that holds the shared secret; empty switches the webhook off."""
    signature_header: str
    is_authentic: Callable[[str, str, bytes], bool]
    """(secret, the header's value, body) -> whether the sender knows the secret. Compares in constant time."""
    may_be_authentic: Callable[[str, str], bool] = lambda _, given: bool(given)
    """(secret, the header's value) -> whether the body is worth reading; asked before any of it is kept."""
    event_header: tuple[str, str]
    """(name, value) of the header that marks the deliveries we read; every other one is acknowledged and ignored."""
    description: str
    """For the API's own page."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One format of others. Its payload becomes our events, which the decoder then holds to our contract."""

    name: str
    """In the webhook's path and in the Kafka header `source`; lower case."""
    title: str
    recognises: Callable[[Fields], bool]
    """Whether a JSON object is a payload of this source, by its content; no two sources recognise the same."""
    read: Callable[[bytes], Sequence[Event]]
    """The events of one payload: none, one or several. Raises `RefusedError`."""
    becomes: str
    """For the page of contracts: what becomes what, and what the source cannot give."""
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
    is_announced: Callable[[Headers], bool]
    """Whether the headers say that the value is in this envelope."""
    recognises: Callable[[bytes], bool]
    """Whether the value shows that it is; asked where the headers say nothing."""
    open: Callable[[bytes, Headers, str], bytes]
    """(value, headers, the CloudEvents type that belongs on the topic) -> what is inside. Raises `RefusedError`."""


def has_fields(*names: str) -> Callable[[Fields], bool]:
    """Recognises objects that have all of these fields."""
    return lambda fields: all(name in fields for name in names)
