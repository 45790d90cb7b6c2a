"""In which order the lines of a combined message are shown."""

from collections.abc import Sequence

from stream_detector.events.anomaly_types import TYPES
from stream_detector.notify.state.state_models import Line
from stream_detector.notify.subject import NEW_NORMAL, RESOLVED

_TYPES = {name: place for place, name in enumerate(TYPES)}
NEW_NORMAL_KIND = "new normal"
ENDS = RESOLVED, NEW_NORMAL_KIND
"""The kinds that are no severities."""
ENDED = RESOLVED, NEW_NORMAL
"""The states of a line whose incident has ended."""
_ORDER = {"critical": 0, "warning": 1, "info": 2, NEW_NORMAL_KIND: 3, RESOLVED: 4}
"""A severity of a later version stands before all."""


def line_kind(line: Line) -> str:
    """Its severity, `resolved`, or `new normal`."""
    if line.state == NEW_NORMAL:
        return NEW_NORMAL_KIND
    return RESOLVED if line.state == RESOLVED else line.severity


def kind_rank(line: Line) -> int:
    """The place of its kind among the others, the most severe first."""
    return _ORDER.get(line_kind(line), -1)


def reading_rank(line: Line) -> tuple[int, int]:
    """Of one reading, the place of a type: the more severe first, then that which comes first in the glossary."""
    return kind_rank(line), _TYPES.get(line.anomaly_type, len(_TYPES))


def most_severe_first(lines: Sequence[Line]) -> list[Line]:
    """The lines, the most severe first, ends last; equal ones by time."""
    return sorted(lines, key=lambda line: (kind_rank(line), line.at_s))
