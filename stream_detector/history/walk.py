"""What providers share: a list that is followed by time while it moves, and answers that are held to their form."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from stream_detector.events.sources.details import parse_instant
from stream_detector.history.api_client import ApiClient
from stream_detector.history.errors import HistoryImportError
from stream_detector.history.provider import Wanted

SKEW = timedelta(days=1)
"""So much later than `until` a request asks for, which is held to it afterwards."""
LONGEST_RUN = timedelta(days=1)
"""Lists in order of start are followed so far back beyond the span: what began before it may have ended within."""
ENDED = "end"
"""The cursor after the last page of a list that is followed by the server's own tokens."""


class TimeWalk:
    """A list in order of a time, oldest first, of which each request asks for what is not older than the last entry.

    Nothing is counted from the beginning of the list, so no entry is missed when others leave it, or move to its end.
    What has the time of the last entry comes again.

    Args:
        since: from here on.

    Attributes:
        after: what the next request asks for, inclusive.
        skip: how many entries of that to leave out; above 0 where more of them than fit a page have the same time.
    """

    def __init__(self, since: datetime) -> None:
        self.after, self.skip = since, 0
        self._seen: set[str] = set()

    def advance(self, times: Sequence[datetime | None]) -> None:
        """Continue after a page whose entries have these times."""
        newest = max((at for at in times if at), default=self.after)
        self.after, self.skip = (newest, 0) if newest > self.after else (self.after, self.skip + len(times))

    def is_new(self, entry: object) -> bool:
        """Whether an entry, as what identifies it and its end, has not come before."""
        key = repr(entry)  # an odd answer may have a list where an id is expected
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    @property
    def cursor(self) -> str:
        """For `walk_from`."""
        return written(self.after)


def walk_from(since: datetime, cursor: str) -> TimeWalk:
    """The walk that begins at `since`, or continues at the cursor of another one."""
    return TimeWalk(max(parse_instant(cursor) or since, since))


def is_in_span(at: datetime | None, wanted: Wanted, client: ApiClient) -> bool:
    """Whether what ended then is asked for; also what has not ended.

    `until` is of this machine's clock; a request names a later end, since before the first answer the server's clock
    is not known.
    """
    return at is None or wanted.since <= at <= wanted.until + timedelta(seconds=client.skew_s)


def entries(document: Any, name: str, what: str) -> list[dict[str, Any]]:
    """The objects of a list in an answer.

    Args:
        name: the list's; empty where the answer itself is the list.
        what: for a person, where it is none: which API was expected, and what to change.

    Raises `HistoryImportError`.
    """
    found = document
    if name:
        found = document.get(name) if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise HistoryImportError(what)
    return [entry for entry in found if isinstance(entry, dict)]


def count(value: Any) -> int | None:
    """How many there are, as a number or digits; None where it is neither."""
    try:
        found = int(value)
    except (TypeError, ValueError):
        return None
    return found if found >= 0 else None


def text(document: Any, name: str) -> str:
    """A text of an answer; empty where it is none."""
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""


def written(at: datetime) -> str:
    """In UTC with all its decimals, as all of these APIs read it.

    >>> written(datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC))
    '2026-03-01T12:00:00.000005Z'
    """
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
