"""From a value to the JSON of its contract: compact, fields that hold their default left out."""

from collections.abc import Callable

from msgspec import Struct
from msgspec.json import Encoder

from stream_detector.events.anomaly import Anomaly
from stream_detector.events.score import Score

_plain = Encoder().encode
_with_numbers = Encoder(decimal_format="number").encode

encode_anomaly: Callable[[Anomaly], bytes] = _plain
"""What `encode` does with an anomaly."""


def encode(event: Struct) -> bytes:
    """JSON in UTF-8. A score's decimals are numbers with the digits they have; elsewhere decimals are text.

    >>> from datetime import UTC, datetime
    >>> from decimal import Decimal
    >>> at = datetime(2026, 1, 22, 0, 5, tzinfo=UTC)
    >>> encode(Score(entity_id="lido", entity_name="Lido", score=Decimal("5.80"), scored_at=at))
    b'{"entity_id":"lido","entity_name":"Lido","score":5.80,"scored_at":"2026-01-22T00:05:00Z"}'
    """
    return _with_numbers(event) if type(event) is Score else _plain(event)
