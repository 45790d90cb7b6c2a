"""A rendered message, its delivery, and what a channel may answer."""

from typing import Any

from msgspec import Struct
from msgspec.structs import force_setattr

from stream_detector.notify.state.keys import due_key

LONGEST_WAIT_S = 900.0
"""No delivery and no channel waits for longer before it is tried again, whoever asks for it."""


class Message(Struct, frozen=True, kw_only=True):
    """One message, rendered and escaped for one channel."""

    id: str
    """The same on every channel and at every try, so that a provider can recognise a repeat."""
    channel: str
    severity: str
    title: str
    """One line: the mail's subject, the inbox's heading."""
    text: str
    html: str = ""
    """Mail alone."""
    blocks: list[dict[str, Any]] = []
    """Slack alone: the same content as `text`, laid out."""
    link: str = ""
    incident_id: str | None = None
    anomaly_id: str | None = None
    run_id: str | None = None
    state: str = ""
    """What it is about: opened, ongoing, resolved, acknowledged, run, digest, group or notice."""
    note: str = ""
    """What is new, where it changes a message that was sent before."""
    reference: str = ""
    """What the provider calls the message that this one changes."""


class Delivery(Struct, frozen=True, kw_only=True):
    """A message that is due now. `tries` counts the earlier ones."""

    message: Message
    tries: int = 0
    first_at_s: float = 0.0

    @property
    def key(self) -> str:
        """What it is called in the policy's state."""
        return due_key(self.message.id, self.message.channel)


class Delivered(Struct, frozen=True):
    """The provider has it. `detail` is its answer; `reference` what it calls the message, if that can be changed."""

    detail: str
    reference: str = ""


class RetryAfter(Struct, frozen=True):
    """Not now. `after_s` is the wait that the provider asked for, 0 where it named none.

    Whatever it asked for, this is a number from 0 to `LONGEST_WAIT_S`: no answer silences a channel for longer (X13).
    """

    after_s: float
    reason: str

    def __post_init__(self) -> None:
        asked_s = self.after_s
        if not asked_s > 0:  # also NaN
            force_setattr(self, "after_s", 0.0)
        elif asked_s > LONGEST_WAIT_S:
            asked = f"{asked_s:,.0f} s" if asked_s < 1e10 else "more than 300 years"
            force_setattr(self, "after_s", LONGEST_WAIT_S)
            force_setattr(self, "reason", f"{self.reason}; it asked for a pause of {asked}, limited to 15 min")


class Refused(Struct, frozen=True):
    """Not ever: the same message would be refused again."""

    reason: str


Result = Delivered | RetryAfter | Refused
