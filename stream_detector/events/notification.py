"""Notification v1: what became of one message on one channel, and why."""

from typing import Literal

from msgspec import Struct

from stream_detector.events.anomaly import SeverityName
from stream_detector.events.fields import Id, Instant, Name, Text

Outcome = Literal["delivered", "held", "suppressed", "retrying", "failed"]
"""held: told later, with others (rate limit, flapping); suppressed: threshold, switch or silence; retrying: will be
tried again; failed: given up."""


class Notification(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One outcome. An inbox message is one of channel `inbox`, `delivered`, with its title and body."""

    schema_version: Literal[1]
    id: Id
    """UUIDv5 of message, channel, outcome and try: a repeat is recognised."""
    channel: Name
    outcome: Outcome
    reason: Text
    at: Instant
    incident_id: Id | None = None
    anomaly_id: Id | None = None
    run_id: Id | None = None
    severity: SeverityName | None = None
    title: Text = ""
    body: str = ""
    link: str = ""
