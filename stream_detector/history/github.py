"""GitHub Actions: the runs of a repository, newest first, 100 a request.

Source: the REST API's "List workflow runs for a repository". Two things of it shape this file:

- A listing with `created` ends after 1,000 runs, whatever `total_count` is. So it is followed for as long as it goes,
  and then begun again, ending with the creation of the oldest run that was seen.
- While it is read, runs are deleted, and those behind them move to a page that was read already. That shows in
  `total_count`, and the listing is begun again in the same way, before what the changed page may have lost.

A run that comes twice thereby has the same id. What is created while it is read lies behind the end of the window.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from stream_detector.history.api_client import ApiClient
from stream_detector.history.errors import HistoryImportError
from stream_detector.history.provider import Page, Provider, Wanted

PER_PAGE = 100
MOST_LISTED = 1_000
_PLACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}", re.ASCII)
_RIGHTS = "a fine-grained token needs the repository permission Actions: Read-only, a classic one the scope repo"
_ATTEMPTS = "attempts"
_AGAIN_FROM = timedelta(seconds=1)


def check_place(place: str) -> None:
    """OWNER/REPO. Raises `HistoryImportError`."""
    if not _PLACE.fullmatch(place):
        raise HistoryImportError(f"{place!r} is not a repository: use OWNER/REPO, for example octocat/hello-world")


async def pages(client: ApiClient, wanted: Wanted) -> AsyncIterator[Page]:
    """The runs that were created in the span. The cursor is the creation of the oldest run so far."""
    repository = quote(wanted.place, safe="/")
    known = (await client.get(f"/repos/{repository}")).document
    branch = known.get("default_branch") if isinstance(known, dict) else None
    walk = _Walk(client, f"/repos/{repository}/actions/runs", wanted)
    async for runs, cursor, of in walk.pages():
        found = [_with_default_branch(run, branch) for run in runs]
        again = [run for run in found if _attempt(run) > 1]
        notes = []
        if again and _ATTEMPTS in wanted.options:
            found += [_with_default_branch(run, branch) for run in await _earlier(client, repository, again)]
        elif again:
            notes.append("of runs that were started again, only the last attempt (--attempts fetches the others)")
        yield Page(found, cursor, of, notes)


class _Walk:
    """From the newest run to the oldest, in as many listings as it takes."""

    def __init__(self, client: ApiClient, path: str, wanted: Wanted) -> None:
        self._client, self._path = client, path
        self._since = wanted.since
        self._until = _read(wanted.cursor) or wanted.until + timedelta(seconds=client.skew_s)
        self._seen: set[int] = set()
        self._of: int | None = None

    async def pages(self) -> AsyncIterator[tuple[Sequence[dict[str, Any]], str, int | None]]:
        """(the runs of a page, the cursor after it, how many runs there are about)."""
        while True:
            ended = True
            async for runs, is_last in self._listing():
                new = [run for run in runs if run["id"] not in self._seen]
                self._seen.update(run["id"] for run in new)
                ended = is_last
                yield new, _written(self._oldest(runs)), self._of
            if ended or self._until < self._since:
                return

    async def _listing(self) -> AsyncIterator[tuple[list[dict[str, Any]], bool]]:
        """(the runs of each page, whether the walk ends with it). `_until` is where the next listing begins."""
        until, total, listed, url = self._until, None, 0, ""
        while True:
            span = f"{_written(self._since)}..{_written(until)}"
            params: dict[str, str | int] = {"created": span, "per_page": PER_PAGE}
            found = await self._client.get(url) if url else await self._client.get(self._path, params)
            runs, now_total = _runs_of(found.document)
            if self._of is None:
                self._of = now_total
            moved = total is not None and now_total != total
            if moved:
                return  # begun again from `_until`, before what this page may have lost
            total, listed, url = now_total, listed + len(runs), found.next_url
            goes_on = bool(url and runs)
            is_cut = bool(runs) and not goes_on and (listed >= MOST_LISTED or (now_total or 0) > listed)
            self._until = self._next_until(runs, until, is_cut)
            yield runs, not goes_on and not is_cut
            if not goes_on:
                return

    def _next_until(self, runs: Sequence[Mapping[str, Any]], until: datetime, is_cut: bool) -> datetime:
        """Inclusive, since more runs may have been created in that second."""
        oldest = min(self._until, self._oldest(runs))
        # A listing that is cut off within one second would begin with the same one for ever.
        return oldest - _AGAIN_FROM if is_cut and oldest >= until else oldest

    def _oldest(self, runs: Sequence[Mapping[str, Any]]) -> datetime:
        times = [at for run in runs if (at := _read(run.get("created_at")))]
        return min([*times, self._until])


async def _earlier(client: ApiClient, repository: str, runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The attempts before the last one, each by its own request; what has been deleted is left out."""
    found = []
    for run in runs:
        for number in range(1, _attempt(run)):
            path = f"/repos/{repository}/actions/runs/{run['id']}/attempts/{number}"
            try:
                attempt = (await client.get(path)).document
            except HistoryImportError as error:
                if error.status == 404:
                    continue
                raise
            if isinstance(attempt, dict) and attempt.get("id") == run["id"]:
                found.append(attempt)
    return found


def _runs_of(document: Any) -> tuple[list[dict[str, Any]], int | None]:
    runs = document.get("workflow_runs") if isinstance(document, dict) else None
    if not isinstance(runs, list):
        raise HistoryImportError(
            "GitHub Actions: the answer has no workflow_runs: is --url the API's address? Of GitHub Enterprise Server "
            "it is https://HOST/api/v3"
        )
    total = document.get("total_count")
    return [run for run in runs if isinstance(run, dict) and isinstance(run.get("id"), int)], (
        total if isinstance(total, int) else None
    )


def _with_default_branch(run: dict[str, Any], branch: Any) -> dict[str, Any]:
    """As a webhook's delivery has it: without it, pushes to the default branch have no variant."""
    repository = run.get("repository")
    if isinstance(branch, str) and isinstance(repository, dict):
        return run | {"repository": repository | {"default_branch": branch}}
    return run


def _attempt(run: Mapping[str, Any]) -> int:
    given = run.get("run_attempt")
    return given if isinstance(given, int) and given <= 1_000 else 1


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def _headers(token: str) -> Mapping[str, str]:
    fixed = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    return fixed | {"Authorization": f"Bearer {token}"} if token else fixed


PROVIDER = Provider(
    name="github",
    title="GitHub Actions",
    place="OWNER/REPO",
    check_place=check_place,
    url="https://api.github.com",
    token_variables=("GITHUB_TOKEN", "GH_TOKEN"),
    headers=_headers,
    pages=pages,
    needs_token=False,  # public repositories can be read without, 60 requests an hour
    refusals={
        401: "The token is wrong or has expired: make a new one under Settings, Developer settings",
        403: f"The token may not read this repository's runs: {_RIGHTS}; an organization with single sign-on has to "
        "authorize it",
        404: f"There is no such repository, or it is private and the token may not see it: {_RIGHTS}",
    },
    extras={_ATTEMPTS: "Also the earlier attempts of runs that were started again: one request each"},
)
