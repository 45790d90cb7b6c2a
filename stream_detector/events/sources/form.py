"""A web form whose field `payload` is the JSON: GitHub's default content type for a webhook.

Source: GitHub's "Creating webhooks", `application/x-www-form-urlencoded`. JSON never begins with a letter `p`.
"""

from urllib.parse import parse_qs

from stream_detector.events.headers import Headers
from stream_detector.events.refused import RefusedError
from stream_detector.events.sources.source import Envelope

_FIELD = b"payload="


def is_form(value: bytes) -> bool:
    """Whether the value begins as such a form does."""
    return value.startswith(_FIELD)


def form_payload(value: bytes) -> bytes:
    """The JSON within. Raises `RefusedError` where the form is malformed.

    >>> form_payload(b"payload=%7B%22zen%22%3A+1%7D")
    b'{"zen": 1}'
    """
    try:
        fields = parse_qs(value.decode("ascii"), encoding="utf-8", errors="strict", max_num_fields=10)
        return fields["payload"][0].encode()
    except (ValueError, KeyError):
        raise RefusedError("decode", "not_json", "not a form with the field payload; choose JSON instead") from None


def _open(value: bytes, headers: Headers, own_type: str) -> bytes:
    return form_payload(value)


ENVELOPE = Envelope(title="web form", recognises=is_form, open=_open)
