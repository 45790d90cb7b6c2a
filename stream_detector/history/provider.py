"""What an API that has history is, and what one page of it is. `registry` lists them, one file each."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stream_detector.history.api_client import Access, ApiClient


@dataclass(frozen=True)
class Page:
    """What one or a few requests gave. The command keeps it, then the cursor, before it asks for the next page."""

    payloads: Sequence[Mapping[str, Any] | bytes]
    """Each in a form that the provider's source recognises; runs that have not ended included. A run may come twice."""
    cursor: str
    """Where to continue after this page, in the provider's own form; never empty."""
    of: int | None = None
    """How many runs there will be about, as far as is known."""
    notes: Sequence[str] = ()
    """What the history does not have and why, for the report; the same text counts once."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for."""

    place: str
    """As the person wrote it, for example OWNER/REPO."""
    since: datetime
    until: datetime
    """Both in UTC; `until` is not in the future."""
    cursor: str = ""
    """The last page's, to continue after it; empty at the beginning."""
    options: frozenset[str] = frozenset()
    """Names of the provider's `extras` that are switched on."""


Pages = Callable[[ApiClient, Wanted], AsyncIterator[Page]]


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One API. Its payloads are read by the source of the same name."""

    name: str
    """On the command line, and the name of the source in `events.sources`."""
    title: str
    place: str
    """What names the history on the command line, such as OWNER/REPO."""
    check_place: Callable[[str], None]
    """Raises `HistoryImportError` where the text cannot be a place: with its form and an example."""
    url: str
    """Of the API, without a slash at its end; empty where every installation has its own, so --url is needed."""
    api_path: str = ""
    """Below that address; --url may end with it or not."""
    token_variables: tuple[str, ...]
    """Environment variables that may hold the token; the first that is set counts."""
    advice: str = ""
    """For the help: what the token is, and what else a person has to know of the place."""
    headers: Callable[[str], Mapping[str, str]]
    """The headers of every request, by the token; the token is empty where none is set."""
    pages: Pages
    """The pages in any order; an iterator that is begun with a page's cursor continues after that page."""
    needs_token: bool = True
    at_once: int = 1
    """How many requests `ApiClient.get_each` may send at the same time."""
    refusals: Mapping[int, str] = field(default_factory=dict)
    """Status 401, 403, 404 -> what to change: which right the token needs, what else is missing."""
    extras: Mapping[str, str] = field(default_factory=dict)
    """Switch without dashes, such as `attempts` -> its help; each costs more requests."""

    def access(self, url: str, token: str, ca_file: str = "") -> Access:
        """For `ApiClient`. Args: `url` is empty for the provider's own."""
        address = (url or self.url).rstrip("/").removesuffix(self.api_path)
        return Access(
            title=self.title,
            url=address + self.api_path,
            at_once=self.at_once,
            token=token,
            token_variables=self.token_variables,
            headers=self.headers(token),
            refusals=self.refusals,
            ca_file=ca_file,
        )
