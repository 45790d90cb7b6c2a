"""The field types that several events share, with their limits.

The limits are part of the contract (`schemas/`): an id has 1 to 256 characters, a name at most 512, a number lies
within 1e12 either way, an instant carries its zone.
"""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from stream_detector.events.variant import MAX_KEY

_LINK = r"^https?://\S+(?![\s\S])"
"""To the very end: `$` alone would let a final line break pass in Python and not in JSON Schema's dialect."""

Id = Annotated[str, Meta(min_length=1, max_length=256, description="Opaque identifier, 1 to 256 characters.")]
StateKey = Annotated[
    str,
    Meta(
        max_length=MAX_KEY,
        description="`workflow:`, `workflow/<variant>:` or `score:` and an id; may be empty.",
    ),
]
Name = Annotated[str, Meta(max_length=512, description="Human-readable name, at most 512 characters.")]
Excerpt = Annotated[
    str,
    Meta(
        max_length=10_000,
        description="The last lines that the run printed, at most 10,000 characters. Common secrets are masked.",
    ),
]
Text = Annotated[str, Meta(max_length=10_000)]
Url = Annotated[str, Meta(max_length=2048, pattern=_LINK, description="http or https link without spaces.")]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 instant with its zone.")]
Seconds = Annotated[float, Meta(ge=0, le=1e12, description="Duration in seconds.")]
Number = Annotated[float, Meta(ge=-1e12, le=1e12)]
SourceName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="The system that the event comes from: the name of a source (docs/sources.md) or mapping; set by "
        "whoever reads its payload. Absent: `kafka`, an event that was published to the topic as it is.",
    ),
]
Labels = Annotated[
    dict[Annotated[str, Meta(max_length=256)], Annotated[str, Meta(max_length=512)]], Meta(max_length=64)
]
