"""JSON with its numbers as they are written: ids beyond 2^53 and decimals lose nothing."""

import json
from decimal import Decimal
from typing import Any, NoReturn

import msgspec

from stream_detector.events.refused import RefusedError


def read_exactly(value: bytes) -> Any:
    """The document. Raises `RefusedError`."""
    try:
        if b"\\ud" in value or b"\\uD" in value:
            msgspec.json.decode(value)  # Python's own parser accepts half a pair of surrogates, which is no text
        return json.loads(value, parse_float=Decimal, parse_constant=_no_number)
    except RefusedError:
        raise
    except RecursionError:
        raise RefusedError("decode", "too_deep", "nested too deeply; send only what the mapping names") from None
    except UnicodeDecodeError:
        raise RefusedError("decode", "not_utf8", "not UTF-8 text; encode the payload as UTF-8") from None
    except msgspec.DecodeError:
        raise RefusedError("decode", "not_utf8", "text with an unpaired surrogate; send valid Unicode") from None
    except json.JSONDecodeError:
        raise RefusedError("decode", "not_json", "not JSON; send one JSON object") from None
    except ValueError:
        raise RefusedError("decode", "out_of_range", "a whole number of thousands of digits; omit it") from None


def _no_number(text: str) -> NoReturn:
    raise RefusedError("decode", "bad_number", f"{text} is not a JSON number; omit the field")
