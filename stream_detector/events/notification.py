"""Notification v1: the outcome of one message on one channel, with its reason."""

from typing import Literal

from msgspec import Struct

from stream_detector.events.anomaly import SeverityName
from stream_detector.events.fields import Id, Instant, Name, Text

Outcome = Literal["delivered", "held", "suppressed", "retrying", "failed"]
"""held: sent later, with others (rate limit, flapping); suppressed: threshold, switch or silence; retrying: a further
attempt follows; failed: given up."""


class Notification(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The outcome of one message. A message in the inbox is an outcome `delivered` of the channel `inbox`."""

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
