"""Times, numbers and no labels as other programs write them, turned into those of the contract. Nothing is guessed.

PostgreSQL shortens a zone to its hours (`2026-11-20 00:05:00+00`), Java leaves out seconds of 0 and may name the region
(`2026-11-20T00:05Z[UTC]`), log files write a comma before the fraction, mail and `Date` spell the month. Each is one
instant only. A number in quotes keeps exactly the digits that it has. What is ambiguous stays as it is, and the decoder
refuses it: a time without its zone, a zone of letters other than UTC and GMT, `7,5`.
"""

import re
from typing import Any

import msgspec
from msgspec import Raw

from stream_detector.events.inputs import INPUTS

JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)

_MONTHS = "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
_CLOCK = r"(?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?"
_ZONE = r"(?P<zone>[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?)"
_REGION = r"(?:\[[\w/+-]+\])?"
_SPELLED = rf"(?P<month>{'|'.join(_MONTHS)})"
_FORMS = (
    rf"(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d)[Tt ] *{_CLOCK} ?{_ZONE}{_REGION}",
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)T(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
    rf"(?:[.,](?P<fraction>\d+))?{_ZONE}",
    rf"[A-Z][a-z]{{2}} {_SPELLED} +(?P<day>\d\d?) {_CLOCK} {_ZONE} (?P<year>\d{{4}})",
    rf"(?:[A-Z][a-z]{{2}}, )?(?P<day>\d\d?) {_SPELLED} (?P<year>\d{{4}}) {_CLOCK} {_ZONE}",
)
_PARSED = tuple(re.compile(form.replace(_ZONE, _ZONE + "?"), re.ASCII) for form in _FORMS)
_DAY = r"\d{4}-\d{2}-\d{2}"
_IS_DAY = re.compile(_DAY, re.ASCII)
NUMBER_PATTERN = rf"^\s*{JSON_NUMBER.pattern}\s*$"
TIME_PATTERN = rf"^\s*(?:{'|'.join(re.sub(r'[?]P<[a-z]+>', '', form) for form in _FORMS)})\s*$"
DAY_PATTERN = rf"^\s*{_DAY}\s*$"
"""For the published schemas, in the dialect of JSON Schema."""

_TIMES = {
    INPUTS["completion"].cloudevents_type: ("queued_at", "started_at", "finished_at"),  # of a start, too
    INPUTS["score"].cloudevents_type: ("scored_at",),
    INPUTS["score_run"].cloudevents_type: ("at",),
}
_NUMBERS = {
    INPUTS["completion"].cloudevents_type: ("duration_s", "attempt", "limit_s"),
    INPUTS["score_run"].cloudevents_type: ("expected",),
}
"""A score's own numbers are read from their text in any case (`checks.exact_decimal`)."""
_DAYS = INPUTS["score"].cloudevents_type
"""An execution that took less than a day cannot be timed by days; a score has no duration."""

_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_list = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_groups = msgspec.json.Decoder(dict[str, dict[str, Raw]]).decode
_text = msgspec.json.Decoder(str).decode
_json = msgspec.json.Encoder().encode


def rfc3339(text: str, *, days: bool = False) -> str | None:
    """The instant in the form of RFC 3339; without a zone where the text has none, None where it is not understood.

    Args:
        days: whether a day alone is enough: its midnight in UTC.

    >>> rfc3339("2026-11-20 00:05:00+00"), rfc3339("2026-11-20T01:05+0100[Europe/Berlin]")
    ('2026-11-20T00:05:00+00:00', '2026-11-20T01:05:00+01:00')
    >>> rfc3339("Fri Nov 20 00:05:00 GMT 2026"), rfc3339("2026-11-20 00:05:00,123Z"), rfc3339("20.11.2026 00:05")
    ('2026-11-20T00:05:00Z', '2026-11-20T00:05:00.123Z', None)
    >>> rfc3339("2026-11-20"), rfc3339("2026-11-20", days=True)
    (None, '2026-11-20T00:00:00Z')
    """
    text = text.strip()
    if days and _IS_DAY.fullmatch(text):
        return f"{text}T00:00:00Z"
    found = next((found for form in _PARSED if (found := form.fullmatch(text))), None)
    if found is None:
        return None
    parts = found.groupdict()
    month = parts["month"]
    if not month.isdigit():
        month = f"{_MONTHS.index(month) + 1:02}"
    fraction = f".{parts['fraction']}" if parts["fraction"] else ""
    clock = f"{parts['hour']}:{parts['minute']}:{parts['second'] or '00'}{fraction}"
    return f"{parts['year']}-{month}-{parts['day']:0>2}T{clock}{_zone(parts['zone'] or '')}"


def _zone(text: str) -> str:
    if text[:1] not in ("+", "-"):
        return "Z" if text else ""
    digits = text[1:].replace(":", "")
    return f"{text[0]}{digits[:2]}:{digits[2:] or '00'}"


def in_own_form(value: bytes, own_type: str) -> bytes | None:
    """The event's JSON with its times, numbers and labels as the contract has them; None where that changes nothing.

    Args:
        own_type: the CloudEvents type of the event that is expected.
    """
    try:
        fields = _fields(value)
        changed = _with_times(fields, own_type) | _with_numbers(fields, _NUMBERS.get(own_type, ()))
        if bytes(fields.get("labels", b"")) == b"null":  # what a serializer writes of an empty map
            del fields["labels"]
            changed = True
        if own_type == INPUTS["completion"].cloudevents_type:
            changed |= _with_parts(fields)
        return _json(fields) if changed else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _with_times(fields: dict[str, Raw], own_type: str) -> bool:
    changed = False
    for name in _TIMES.get(own_type, ()):
        if (text := _written(fields, name)) and (own := rfc3339(text, days=own_type == _DAYS)):
            fields[name] = Raw(_json(own))
            changed = changed or own != text
    return changed


def _with_numbers(fields: dict[str, Raw], names: tuple[str, ...]) -> bool:
    changed = False
    for name in names:
        if JSON_NUMBER.fullmatch(text := _written(fields, name).strip()):
            fields[name] = Raw(text)
            changed = True
    return changed


def _with_parts(fields: dict[str, Raw]) -> bool:
    """The numbers of steps and resources."""
    changed = False
    if b'"' in bytes(fields.get("steps", b"")):
        steps = _list(fields["steps"])
        if sum(_with_numbers(step, ("duration_s",)) for step in steps):
            fields["steps"], changed = Raw(_json(steps)), True
    if b'"' in bytes(fields.get("resources", b"")):
        resources = _groups(fields["resources"])
        if sum(_with_numbers(each, ("used", "limit")) for each in resources.values()):
            fields["resources"], changed = Raw(_json(resources)), True
    return changed


def _written(fields: dict[str, Any], name: str) -> str:
    """The field's text; empty where it is absent or no text."""
    raw = bytes(fields.get(name, b""))
    return _text(raw) if raw[:1] == b'"' else ""
