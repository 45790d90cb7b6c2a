"""Reading payloads of others: what is needed is refused where it is wrong, any other detail is left out and noted.

Needed is what gives an event its identity, status and time. One odd detail never loses a delivery.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Raw

from stream_detector.events.reasons import refusal_for
from stream_detector.events.refused import Reason, RefusedError
from stream_detector.events.times import EARLIEST, LATEST, from_epoch_ms
from stream_detector.events.written import JSON_NUMBER

_T = TypeVar("_T")

MOST_ID, MOST_NAME, MOST_URL = 256, 512, 2048
"""The contract's limits (`fields`)."""
_MOST_SECONDS = 1e12
MOST_NUMBER = 2**64
_SHOWN = 60
"""Characters of an unknown word."""
_MOST_DIGITS = 40
_MOST_EXACT = 2**53
"""Above it, floats skip whole numbers: which one was meant is not known."""
_URL = re.compile(r"https?://[^\s/@]+(?:[/?#]\S*)?")
"""Without a user and a password: messages would show them."""
_ZONE = re.compile(r" (?:UTC|(?P<offset>[+-]\d\d:?\d\d))$")

object_fields = msgspec.json.Decoder(dict[str, Raw]).decode
"""The top level of a JSON object, undecoded."""


def url_parts(url: str) -> SplitResult:
    """The parts of an address; empty ones where it is none, such as one with half of a bracket."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def is_link(text: str) -> bool:
    """Whether a message may show the text as a link."""
    return len(text) <= MOST_URL and "\0" not in text and _URL.fullmatch(text) is not None


class Details:
    """The details of one payload.

    Args:
        advice: for the person who can change what is sent; the end of each refusal.

    Attributes:
        left_out: the places of what could not be used.
    """

    __slots__ = ("advice", "left_out")

    def __init__(self, advice: str) -> None:
        self.advice = advice
        self.left_out: list[str] = []

    # -- what is needed ------------------------------------------------------------------------------------------

    def decode(self, decode: Callable[[bytes], _T], payload: bytes) -> _T:
        """The payload as the decoder has it. Raises `RefusedError`."""
        try:
            return decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            refused = refusal_for(error, payload)
            what = refused.message.partition(";")[0]
            raise RefusedError(refused.stage, refused.reason, f"{what}; {self.advice}") from None

    def needed_text(self, place: str, value: object) -> str:
        """Text that is not empty. Raises `RefusedError`."""
        if value is None or value == "":
            raise self.refusal("missing_field", place, "is missing")
        if not isinstance(value, str):
            raise self.refusal("wrong_type", place, "is not text")
        if "\0" in value:
            raise self.refusal("nul_character", place, "contains U+0000")
        return value

    def needed_number(self, place: str, value: object, *, most: int = MOST_NUMBER) -> int:
        """A whole number from 0 to `most`. Raises `RefusedError`."""
        if value is None:
            raise self.refusal("missing_field", place, "is missing")
        found = _whole(value)
        if found is None:
            raise self.refusal("wrong_type", place, "is not a whole number")
        if not 0 <= found <= most:
            raise self.refusal("out_of_range", place, f"is not within 0 and {most}")
        return found

    def needed_instant(self, place: str, value: object) -> datetime:
        """A time in the years that are believed, in UTC. Raises `RefusedError`."""
        if value is None or value == "":
            raise self.refusal("missing_field", place, "is missing")
        found = parse_instant(value)
        if found is None:
            raise self.refusal("bad_time", place, "is not a time with a zone in the years 2000 to 2099")
        return found

    def needed_status(self, place: str, value: object, statuses: Mapping[str, _T]) -> _T:
        """Ours for the source's word. Raises `RefusedError`, which has the word and lists those that are known."""
        if value is None or value == "":
            raise self.refusal("missing_field", place, "is missing")
        found = statuses.get(value) if isinstance(value, str) else None
        if found is None:
            given = json.dumps(value[:_SHOWN]) if isinstance(value, str) else "no text"
            words = ", ".join(sorted(statuses))
            what = f"is none of the known words: {given}, not {words}; a later version of stream_detector may know it"
            raise self.refusal("unknown_value", place, what)
        return found

    def refusal(self, reason: Reason, place: str, what: str) -> RefusedError:
        """The payload cannot be used: what is wrong at the place, and what the person can change."""
        message = f"{place} {what}; {self.advice}"
        return RefusedError("decode" if reason == "unsupported_format" else "validate", reason, message)

    # -- what is not ---------------------------------------------------------------------------------------------

    def text(self, place: str, value: object, most: int = MOST_NAME) -> str | None:
        """The text, cut where it is too long; None where there is none."""
        if value is None or value == "":
            return None
        if not isinstance(value, str) or "\0" in value:
            self.left_out.append(place)
            return None
        if len(value) > most:
            self.left_out.append(place)
            return value[: most - 1] + "…"
        return value

    def link(self, place: str, value: object) -> str | None:
        """An http or https link."""
        if value is None or value == "":
            return None
        if not isinstance(value, str) or not is_link(value):
            self.left_out.append(place)
            return None
        return value

    def seconds(self, place: str, value: object) -> float | None:
        """A duration that is not negative."""
        if value is None:
            return None
        if isinstance(value, str) and len(value) <= _MOST_DIGITS and JSON_NUMBER.fullmatch(value):
            value = float(value)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _MOST_SECONDS:
            self.left_out.append(place)
            return None
        return float(value)

    def instant(self, place: str, value: object) -> datetime | None:
        """A time in UTC of the years that are believed: Go and .NET send the year 1 for one that was never set."""
        if value is None or value == "":
            return None
        found = parse_instant(value)
        if found is None:
            self.left_out.append(place)
        return found

    def mapping(self, place: str, value: object) -> Mapping[str, Any]:
        """An object; empty where there is none."""
        if isinstance(value, dict):
            return value
        if value is not None:
            self.left_out.append(place)
        return {}

    def entries(self, place: str, value: object) -> Sequence[Any]:
        """An array; empty where there is none."""
        if isinstance(value, list):
            return value
        if value is not None:
            self.left_out.append(place)
        return ()

    def part(self, place: str, value: Raw | None, decode: Callable[[bytes], _T]) -> _T | None:
        """A part of a payload that is decoded by itself."""
        if value is None or not value:
            return None
        raw = bytes(value)
        if raw == b"null":
            return None
        found = attempt(decode, raw)
        if found is None:
            self.left_out.append(place)
        return found

    def labels(self, **given: tuple[str, object]) -> dict[str, str]:
        """Labels by name, each from (place, value); those without text are left away."""
        found = {name: self.text(place, value) for name, (place, value) in given.items()}
        return {name: text for name, text in found.items() if text}


def _whole(value: object) -> int | None:
    """A whole number, also as the text or the float that warehouses and tables make of one; None for anything else."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _MOST_EXACT else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def attempt(decode: Callable[[bytes], _T], payload: bytes) -> _T | None:
    """The payload as the decoder has it, or None: saves a look at its fields where it has the usual form."""
    try:
        return decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def parse_instant(value: object) -> datetime | None:
    """A time in UTC of the years that are believed, or None.

    RFC 3339, with a blank for the `T`, any number of decimals, `UTC` or an offset with or without a colon.

    >>> parse_instant("2026-08-12 15:23:28 UTC") == parse_instant("2026-08-12T17:23:28.0000000+0200")
    True
    >>> parse_instant("0001-01-01T00:00:00Z") is None, parse_instant("2026-08-12 15:23:28") is None
    (True, True)
    """
    if not isinstance(value, str) or len(value) > 64:
        return None
    blank = _ZONE.search(value)
    if blank:
        value = value[: blank.start()] + (blank["offset"] or "+00:00")
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None:
            return None
        return found.astimezone(UTC) if EARLIEST <= found < LATEST else None
    except (ValueError, OverflowError):
        return None


def parse_epoch_ms(value: object) -> datetime | None:
    """The same of milliseconds since 1970, as a number."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e13:
        return None
    found = from_epoch_ms(int(value))
    return found if EARLIEST <= found < LATEST else None


def fit_id(text: str, most: int = MOST_ID) -> str:
    """The text as an id: one that is too long is cut and gets a digest, so that it stays different from others.

    >>> fit_id("github:acme/shop:build.yml")
    'github:acme/shop:build.yml'
    >>> len(fit_id("x" * 300)), fit_id("x" * 300) == fit_id("x" * 301)
    (256, False)
    """
    if len(text) <= most:
        return text
    return f"{text[: most - 17]}~{sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"
