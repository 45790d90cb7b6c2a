"""Azure DevOps: the completed builds of a project, in order of their end.

Source: the Build REST API, "Builds - List": `minTime` and `maxTime` are of the time that `queryOrder` names, and the
next page is named by the header `x-ms-continuationtoken`, or there is none. The cursor is the end of the last build, so
an import goes on after a restart whatever has become of that token.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from stream_detector.events.sources.details import parse_instant
from stream_detector.history.api_client import ApiClient
from stream_detector.history.basic import basic
from stream_detector.history.errors import HistoryImportError
from stream_detector.history.provider import Page, Provider, Wanted
from stream_detector.history.walk import SKEW, entries, is_in_span, walk_from, written

PER_PAGE = 500
_RIGHTS = "a personal access token needs the scope Build: Read"
_NOT_BUILDS = "Azure DevOps: the answer has no builds: is --url the address of Azure DevOps, without organization?"


def check_place(place: str) -> None:
    """ORGANIZATION/PROJECT. Raises `HistoryImportError`."""
    organization, slash, project = place.partition("/")
    if not organization or not slash or not project or "/" in project or ":" in place or "\0" in place:
        raise HistoryImportError(
            f"{place!r} is not a project: use ORGANIZATION/PROJECT, as in https://dev.azure.com/ORGANIZATION/PROJECT; "
            "of a server of your own COLLECTION/PROJECT, with --url"
        )


async def pages(client: ApiClient, wanted: Wanted) -> AsyncIterator[Page]:
    """The builds that ended in the span. The cursor is the end of the last one."""
    path = f"/{quote(wanted.place, safe='/')}/_apis/build/builds"
    walk, token = walk_from(wanted.since, wanted.cursor), ""
    params: dict[str, str | int] = {
        "api-version": "6.0",  # the oldest that all supported servers have
        "statusFilter": "completed",
        "queryOrder": "finishTimeAscending",
        "$top": PER_PAGE,
        "minTime": written(walk.after),
        "maxTime": written(wanted.until + SKEW),
    }
    while True:
        answer = await client.get(path, params | ({"continuationToken": token} if token else {}))
        builds = entries(answer.document, "value", _NOT_BUILDS)
        ends = [parse_instant(build.get("finishTime")) for build in builds]
        new = [build for build in builds if walk.is_new((build.get("id"), build.get("finishTime")))]
        walk.advance(ends)
        yield Page([each for each in new if _is_asked_for(each, wanted, client)], walk.cursor)
        token, before = answer.headers.get("x-ms-continuationtoken", ""), token
        if not token:
            return
        if token == before:
            raise HistoryImportError(
                f"Azure DevOps: the builds from {walk.cursor} on name themselves as their next page"
            )


def _is_asked_for(build: Mapping[str, Any], wanted: Wanted, client: ApiClient) -> bool:
    return is_in_span(parse_instant(build.get("finishTime")), wanted, client)


def _headers(token: str) -> Mapping[str, str]:
    return basic(f":{token}") if token else {}


PROVIDER = Provider(
    name="azure",
    title="Azure DevOps",
    place="ORGANIZATION/PROJECT",
    check_place=check_place,
    url="https://dev.azure.com",
    token_variables=("AZURE_DEVOPS_TOKEN", "AZURE_DEVOPS_EXT_PAT"),
    advice="It is a personal access token with the scope Build: Read.",
    headers=_headers,
    pages=pages,
    needs_token=False,  # public projects can be read without
    refusals={
        203: f"That is the page to sign in: the token is wrong or has expired; {_RIGHTS}",
        401: f"The token is wrong or has expired: User settings, Personal access tokens makes a new one; {_RIGHTS}",
        403: f"The token may not read this project's builds: {_RIGHTS}",
        404: f"There is no such organization or project, or the token may not see it: {_RIGHTS}",
    },
)
