"""GitLab CI: the pipelines of a project, in order of their last change, each with its durations.

Source: GitLab's REST API, "Pipelines API" and "Projects API". The list has neither duration nor end, so each pipeline
that has ended is fetched by itself, several at once. The list is asked for what has changed since the last pipeline, so
a pipeline that is deleted or retried while it is read moves no other one out of sight.
"""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from stream_detector.events.sources import gitlab
from stream_detector.events.sources.details import parse_instant
from stream_detector.history.api_client import ApiClient
from stream_detector.history.errors import HistoryImportError
from stream_detector.history.provider import Page, Provider, Wanted
from stream_detector.history.walk import TimeWalk, count, entries, is_in_span, text, walk_from, written

PER_PAGE = 100
_PLACE = re.compile(r"[\w.-]+(?:/[\w.-]+)+")
_TICK = timedelta(milliseconds=1)
"""GitLab shows milliseconds of a time that has more."""
_RIGHTS = "it needs the scope read_api and, in the project, the role Reporter"
_CHILDREN = "parent_pipeline"
"""The source of child pipelines, which the list leaves out unless it is asked for them."""
_OF_LIST = "@"
_JOBS = f"include_retried=true&per_page={PER_PAGE}"
_NO_STEPS = "the jobs of a pipeline are not fetched, so executions have no steps"


def check_place(place: str) -> None:
    """GROUP/PROJECT, with any number of sub-groups. Raises `HistoryImportError`."""
    if not _PLACE.fullmatch(place):
        raise HistoryImportError(
            f"{place!r} is not the path of a project: use GROUP/PROJECT or GROUP/SUBGROUP/PROJECT, as in the address "
            "of its page, for example gitlab-org/gitlab-runner; another server is named with --url"
        )


async def pages(client: ApiClient, wanted: Wanted) -> AsyncIterator[Page]:
    """The pipelines that have changed since, then child pipelines, which are a list of their own.

    The cursor names the list and the time of the last change in it that was read.
    """
    found = (await client.get(f"/projects/{quote(wanted.place, safe='')}")).document
    project = _project(found)
    path = f"/projects/{count(found.get('id'))}"  # one that was moved is found by its old path
    of_list, _, cursor = wanted.cursor.rpartition(_OF_LIST)
    if of_list != _CHILDREN:
        async for page in _listed(client, wanted, path, project, "", walk_from(wanted.since, cursor)):
            yield page
        cursor = ""
    async for page in _listed(client, wanted, path, project, _CHILDREN, walk_from(wanted.since, cursor)):
        yield page


async def _listed(
    client: ApiClient, wanted: Wanted, path: str, project: Mapping[str, str], source: str, walk: TimeWalk
) -> AsyncIterator[Page]:
    of: int | None = None
    while True:
        params: dict[str, str | int] = {"order_by": "updated_at", "sort": "asc", "per_page": PER_PAGE}
        params |= {"updated_after": written(walk.after - _TICK), "page": walk.skip // PER_PAGE + 1}
        answer = await client.get(f"{path}/pipelines", params | ({"source": source} if source else {}))
        listed = entries(answer.document, "", "GitLab CI: the answer has no pipelines: is --url the address of GitLab?")
        of = of or count(answer.headers.get("x-total"))
        new = [each for each in listed if walk.is_new((each.get("id"), each.get("updated_at")))]
        new = [each for each in new if (each.get("source") == _CHILDREN) == bool(source)]
        ended = [each for each in new if text(each, "status") in gitlab.STATUS]
        whole = await client.get_each([f"{path}/pipelines/{quote(str(each.get('id')), safe='')}" for each in ended])
        walk.advance([parse_instant(each.get("updated_at")) for each in listed])
        found = [each for each in new if each not in ended]
        found += [each.document for each in whole if each and isinstance(each.document, dict)]
        if source:
            found = await _with_stages(client, path, found)
        found = [each for each in found if is_in_span(parse_instant(each.get("finished_at")), wanted, client)]
        payloads = [{**each, "project": project} for each in found]
        yield Page(payloads, f"{source}{_OF_LIST}{walk.cursor}", None if source else of, (_NO_STEPS,))
        if not answer.next_url or not listed:
            return


async def _with_stages(client: ApiClient, path: str, pipelines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Child pipelines without a name with their stages, by which the webhook's payload tells them apart.

    Jobs are numbered in the order of their stages; one that is retried has a later number, and the first has not.
    """
    unnamed = [each for each in pipelines if not each.get("name")]
    paths = [f"{path}/pipelines/{quote(str(each.get('id')), safe='')}/jobs?{_JOBS}" for each in unnamed]
    found = [each for each in pipelines if each.get("name")]
    for pipeline, jobs, first in zip(unnamed, paths, await client.get_each(paths), strict=True):
        answer, numbered, page = first, list[tuple[int, str]](), 1
        while answer:
            listed = entries(answer.document, "", "GitLab CI: the answer has no jobs: is --url the address of GitLab?")
            numbered += [(count(job.get("id")) or 0, text(job, "stage")) for job in listed]
            page += 1  # not the URL in the answer: GitLab makes it of its own name, which may not be the one asked
            answer = (await client.get_each([f"{jobs}&page={page}"]))[0] if answer.next_url else None
        found.append(pipeline | {"stages": list(dict.fromkeys(stage for _, stage in sorted(numbered) if stage))})
    return found


def _project(document: Any) -> Mapping[str, str]:
    """What the webhook's payload has of it: path and default branch."""
    if not text(document, "path_with_namespace") or count(document.get("id")) is None:
        raise HistoryImportError("GitLab CI: the answer is not a project: is --url the address of GitLab?")
    return {name: text(document, name) for name in ("path_with_namespace", "default_branch")}


def _headers(token: str) -> Mapping[str, str]:
    return {"PRIVATE-TOKEN": token} if token else {}


PROVIDER = Provider(
    name="gitlab",
    title="GitLab CI",
    place="GROUP/PROJECT",
    check_place=check_place,
    url="https://gitlab.com",
    api_path="/api/v4",
    token_variables=("GITLAB_TOKEN",),
    advice="It needs the scope read_api; a public project needs none.",
    headers=_headers,
    pages=pages,
    needs_token=False,  # a public project with public pipelines can be read without
    at_once=6,
    refusals={
        401: f"The token is wrong or has expired: make a new one under Preferences, Access tokens; {_RIGHTS}",
        403: f"The token may not read this project's pipelines: {_RIGHTS}",
        404: f"There is no such project, or it is private and the token may not see it: {_RIGHTS}",
    },
)
