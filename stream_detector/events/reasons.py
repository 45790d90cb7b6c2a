"""From an error of the JSON decoder to a `RefusedError`: a bounded reason, the place, and what to do about it.

The message never repeats a value of the event: it goes into logs and headers, the payload may hold secrets.
"""

import codecs
import json
import re
from typing import get_args

import msgspec

from stream_detector.events.completion import Status
from stream_detector.events.inputs import INPUTS
from stream_detector.events.refused import Reason, RefusedError
from stream_detector.events.score_run import RunStatus

_NUMBER = r"Expected `(?:int|float)(?: \| null)?`"
_RULES: tuple[tuple[str, Reason, str], ...] = (
    (r"missing required field `(\w+)`", "missing_field", "the field {0} is missing; send it"),
    (r"of length >= 1\b", "missing_field", "the text is empty; send a value"),
    (r"of length <= (\d+)", "too_long", "more than {0} characters or entries; shorten it"),
    (r"matching regex", "bad_url", "not an http or https URL; send one or omit the field"),
    (r"with a timezone component", "no_zone", "the time has no zone; add Z or an offset such as +02:00"),
    (
        r"Invalid RFC3339",
        "bad_time",
        "not an RFC 3339 time; send for example 2026-01-22T00:05:00Z, or name unit, format or zone in a mapping",
    ),
    (r"Invalid enum value", "unknown_value", "{values}"),
    (
        r"Expected `datetime(?: \| null)?`, got `(?:int|float)`",
        "wrong_type",
        "a number where a time is expected; send for example 2026-01-22T00:05:00Z, or name its unit in a mapping",
    ),
    (_NUMBER + r", got `str`", "bad_number", "the text is not a number; send it as, for example, 7.5"),
    (
        r"Expected `str(?: \| null)?`, got `(?:int|float)`",
        "wrong_type",
        "a number where text is expected; send it in quotes",
    ),
    (_NUMBER + r" [<>]|out of range", "out_of_range", "the number is out of range; send {bound}"),
    (
        r"Expected `([^`]+)`, got `([^`]+)`",
        "wrong_type",
        "expected {0}, got {1}; correct it, or omit an optional field",
    ),
)
_VALUES: dict[tuple[str, str], tuple[str, ...]] = {
    (INPUTS["completion"].cloudevents_type, "status"): get_args(Status),
    (INPUTS["score_run"].cloudevents_type, "status"): get_args(RunStatus),
}
"""By the event's type and the field's name."""
_BOUND = re.compile(r"([<>]=? -?[\d.]+(?:e[+-]?\d+)?)")
_NEEDED = {
    entry.cloudevents_type: tuple(field.name for field in msgspec.structs.fields(entry.event_type) if field.required)
    for entry in INPUTS.values()
}
_LOW_BYTES = re.compile(rb"[^\0]\0[^\0]\0")
_PACKED = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))
_whole = msgspec.json.Decoder(msgspec.Raw).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_PLACE = re.compile(r" - at (.+)$", re.DOTALL)


def refusal_for(error: Exception, value: bytes, own_type: str = "") -> RefusedError:
    """What to tell about a value that could not be decoded into its type.

    Args:
        own_type: the CloudEvents type of the event that was expected, for the values that a field may have.
    """
    if isinstance(error, RecursionError):
        return RefusedError("decode", "too_deep", "nested too deeply; send only the fields of the contract")
    if isinstance(error, UnicodeDecodeError):
        return _packed(value) or not_utf8()
    if isinstance(error, msgspec.ValidationError) and (fields := _fields_of(value)) is not None:
        return _foreign(fields, own_type) or _invalid(str(error), own_type)
    return _packed(value) or _not_json(value)


def _fields_of(value: bytes) -> dict[str, msgspec.Raw] | None:
    """The object's fields, none of what is no object; None of what is no JSON from its beginning to its end."""
    try:
        whole = bytes(_whole(value))
        return _object(value) if whole[:1] == b"{" else {}
    except RecursionError:
        return {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _foreign(fields: dict[str, msgspec.Raw], own_type: str) -> RefusedError | None:
    """Of an object of something else, which no advice about single fields makes an event."""
    needed = _NEEDED.get(own_type, ())
    if not fields or not needed or len(fields.keys() & set(needed)) > 1:
        return None
    for entry in INPUTS.values():
        if fields.keys() >= set(_NEEDED[entry.cloudevents_type]):
            return RefusedError(
                "validate", "missing_field", f"$: an event of another topic; publish it to {entry.topic}"
            )
    names = ", ".join(needed)
    else_what = "a payload of a system that docs/sources.md lists, or name a mapping for it in the record header source"
    return RefusedError("validate", "missing_field", f"$: no event with {names}; publish one, {else_what}")


def _packed(value: bytes) -> RefusedError | None:
    """Of what has text inside that is not read here."""
    for magic, name in _PACKED:
        if value.startswith(magic):
            message = f"compressed with {name}; publish the JSON, and let the producer compress (compression.type)"
            return RefusedError("decode", "unsupported_format", message)
    if value[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or _LOW_BYTES.match(value):
        return RefusedError("decode", "not_utf8", "UTF-16; encode the event as UTF-8")
    return None


def not_utf8() -> RefusedError:
    """Bytes, or an escaped unpaired surrogate, that are not text."""
    return RefusedError("decode", "not_utf8", "not UTF-8 text; encode the event as UTF-8")


def _values_of(where: str, own_type: str) -> str:
    """The values that a field may have, where one event alone has such a field."""
    name = where.rpartition(".")[2]
    values = _VALUES.get((own_type, name), ())
    if not values:
        return "not one of the values of the contract; see its schema"
    mapped = "; in a file with other words, give each its value by a mapping (--map)" if name == "status" else ""
    return f"not one of {', '.join(values)}{mapped}"


def _invalid(text: str, own_type: str) -> RefusedError:
    place = _PLACE.search(text)
    said = text[: place.start()] if place else text
    where = place.group(1).replace("`", "") if place else "$"
    for pattern, reason, advice in _RULES:
        found = re.search(pattern, said)
        if found:
            limit = _BOUND.search(said)
            bound = f"a value {limit.group(1)}" if limit else "one within 1e12"
            values = _values_of(where, own_type) if reason == "unknown_value" else ""
            message = f"{where}: {advice.format(*found.groups(), bound=bound, values=values)}"
            return RefusedError("validate", reason, message)
    return RefusedError("validate", "wrong_type", f"{where}: does not fit the contract; see its schema")


def _not_json(value: bytes) -> RefusedError:
    """Python's own parser accepts what JSON does not (NaN, unpaired surrogates), and so names them."""
    constants: list[str] = []
    try:
        json.loads(value, parse_constant=constants.append)
    except RecursionError:
        return RefusedError("decode", "too_deep", "nested too deeply; send only the fields of the contract")
    except UnicodeDecodeError:
        return not_utf8()
    except ValueError:
        return RefusedError("decode", "not_json", "not JSON; send one JSON object as the record's value")
    if constants:
        return RefusedError("decode", "bad_number", f"{constants[0]} is not a JSON number; omit the field")
    return not_utf8()
