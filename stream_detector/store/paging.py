"""Pages of a list: a cursor names the last item seen, so pages stay right while rows are added."""

import binascii
from base64 import b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_YEAR_9999_US = 253_402_300_799_999_999


class CursorError(ValueError):
    """The text is no cursor that we gave out."""


class Cursor(NamedTuple):
    """The last item of a page: its time and its id."""

    at: datetime
    id: str

    def text(self) -> str:
        """For a URL.

        >>> Cursor(datetime(2026, 1, 22, tzinfo=UTC), "a").text()
        'WzE3NjkwNDAwMDAwMDAwMDAsImEiXQ'
        """
        packed = msgspec.json.encode([(self.at - _EPOCH) // _MICROSECOND, self.id])
        return urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The reverse. Raises `CursorError`."""
        try:
            if len(text) > 2_000:
                raise ValueError("too long")
            packed = b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
            at_us, id_ = msgspec.json.decode(packed, type=tuple[int, str])
            if not -_YEAR_9999_US // 4 < at_us <= _YEAR_9999_US or "\x00" in id_:
                raise ValueError("out of range")
        except (ValueError, binascii.Error, msgspec.MsgspecError, RecursionError) as error:
            raise CursorError("not a cursor of this list") from error
        return cls(_EPOCH + at_us * _MICROSECOND, id_)


class Page(NamedTuple):
    """Some items, and the cursor of the next page, None on the last one."""

    items: list[bytes]
    """JSON objects, ready to be joined."""
    next: str | None
