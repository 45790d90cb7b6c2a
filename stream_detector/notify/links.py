"""Links in messages that acknowledge or silence with one click: signed, expiring, each for one purpose alone.

A link is `{BASE_URL}/links/{token}`. The token holds what it does, to which incident, and until when, and an HMAC of
it. Whoever holds the message may act, as whoever reads the channel may; nothing else can be done with it. Opening it
shows a page and changes nothing, since mail scanners open every link; only the page's button acts.
"""

import base64
import binascii
import hmac
from datetime import UTC, datetime
from typing import Literal

import msgspec
from msgspec import Struct

from stream_detector.events import Action
from stream_detector.events.decisions import SILENCE_LASTS
from stream_detector.events.ids import derived_id

LINK_LIFETIME_S = 7 * 86_400.0
MAX_TOKEN_CHARACTERS = 2_000
_DOMAIN = b"stream-detector link v1"
"""Mixed into the key: what is signed with the same key elsewhere, a session for example, is no link."""

Purpose = Literal["acknowledge", "silence"]
WORDS: dict[Purpose, str] = {"acknowledge": "Acknowledge", "silence": "Silence for 24 h"}


class LinkError(ValueError):
    """The token is no link of ours, or its time is over. Its text is for the person who opened it."""


class Link(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"purpose": "p", "incident_id": "i"}):
    """What a link does: to one incident, to several of a group (`more`), or to all that `matchers` match."""

    purpose: Purpose
    incident_id: str = ""
    entity: str = ""
    more: list[tuple[str, str]] = []
    """Incident and entity of each further one."""
    matchers: dict[str, str] = {}
    channel: str
    about: str
    """What it is about in words, for the page."""
    expires_s: int


def sign(key: bytes, link: Link) -> str:
    """The token of a link.

    >>> link = Link(purpose="silence", incident_id="i", entity="workflow:w", channel="email", about="w", expires_s=9)
    >>> verify(b"k" * 32, sign(b"k" * 32, link), 8.0) == link
    True
    """
    body = msgspec.msgpack.encode(link)
    return f"{_text(body)}.{_text(_mac(key, body))}"


def verify(key: bytes, token: str, now_s: float) -> Link:
    """The link of a token. Raises `LinkError` where it was not signed with this key, or is over."""
    body_text, _, mac_text = token.partition(".")
    try:
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise ValueError
        body, mac = _bytes(body_text), _bytes(mac_text)
    except (ValueError, binascii.Error):
        raise LinkError("This link is invalid. It may have been truncated.") from None
    if not hmac.compare_digest(mac, _mac(key, body)):
        raise LinkError("This link was not created here, or the signing key has changed.")
    link = msgspec.msgpack.decode(body, type=Link)
    if now_s >= link.expires_s:
        raise LinkError("This link has expired. Open the incident on the dashboard instead.")
    return link


def actions_of(link: Link, token: str, now_s: float) -> list[Action]:
    """The decisions that the link makes. The same token gives the same, however often its button is pressed."""
    at = datetime.fromtimestamp(now_s, UTC)
    silences = link.purpose == "silence"
    return [
        Action(
            action_id=derived_id("link", token, *([incident_id] if number else [])),
            kind=link.purpose,
            by=f"link in {link.channel}",
            at=at,
            entity=entity,
            incident_id=None if silences else incident_id,
            matchers=link.matchers,
            until=at + SILENCE_LASTS if silences else None,
        )
        for number, (incident_id, entity) in enumerate([(link.incident_id, link.entity), *link.more])
    ]


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(hmac.digest(key, _DOMAIN, "sha256"), body, "sha256").digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _text(raw) != text:  # several texts decode to the same bytes; one alone is ours
        raise ValueError(text)
    return raw
