"""The headers of a Kafka record, and of an HTTP request where it carries an event."""

from collections.abc import Sequence

Headers = Sequence[tuple[str, bytes | None]]
"""Names and values in their order; a name may come twice."""


def header_text(headers: Headers, name: str) -> str:
    """The first value with this name, in any case of letters; empty where there is none."""
    return next((shown(value) for each, value in headers if each.lower() == name), "")


RESTORED = ("mode", b"restored")
"""Of a record that was made from what the database has, since the broker that had it is gone."""


def is_restored(headers: Headers) -> bool:
    """Whether the record has the header `mode: restored`."""
    return RESTORED in headers


def shown(value: bytes | None) -> str:
    """A value as text: what is not UTF-8 is replaced."""
    return (value or b"").decode("utf-8", "replace")
