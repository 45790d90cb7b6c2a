"""CircleCI: the workflows of a project's pipelines, newest pipeline first.

Source: CircleCI's API v2, "Get all pipelines" of a project and "Get a pipeline's workflows". Insights have the same
workflows with less: neither trigger nor commit, and of 90 days. A workflow gets its pipeline as a member, as webhooks
have it, so both lead to the same execution. Pages are named by the server's tokens, which the list may move under.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from stream_detector.events.sources.details import parse_instant
from stream_detector.history.api_client import ApiClient
from stream_detector.history.errors import HistoryImportError
from stream_detector.history.provider import Page, Provider, Wanted
from stream_detector.history.walk import ENDED, LONGEST_RUN, entries, is_in_span, text

_PLACE = re.compile(r"(?:gh|github|bb|bitbucket|circleci|gl|gitlab)/[\w.-]+/[\w.-]+")
_OF_A_PIPELINE = ("id", "number", "created_at", "trigger", "trigger_parameters", "vcs")
_NOT_CIRCLECI = "CircleCI: the answer is not that of the API v2: is --url the address of CircleCI?"


def check_place(place: str) -> None:
    """A project's slug. Raises `HistoryImportError`."""
    if not _PLACE.fullmatch(place):
        raise HistoryImportError(
            f"{place!r} is not a project: use its slug, gh/ORG/REPO, bb/ORG/REPO, or circleci/ORG-ID/PROJECT-ID; it is "
            "in Project Settings, Overview"
        )


async def pages(client: ApiClient, wanted: Wanted) -> AsyncIterator[Page]:
    """The workflows of pipelines that were created in the span or up to a day before. The cursor is a page token."""
    path, token = f"/project/{quote(wanted.place, safe='/')}/pipeline", wanted.cursor
    while token != ENDED:
        listed = await _page(client, path, token)
        pipelines = entries(listed, "items", _NOT_CIRCLECI)
        following = text(listed, "next_page_token") or ENDED
        if following == token:
            raise HistoryImportError("CircleCI: a page of pipelines names itself as its next page")
        token = following
        dated = [(each, parse_instant(each.get("created_at"))) for each in pipelines]
        since = wanted.since - LONGEST_RUN
        within = [each for each, at in dated if at is None or at >= since]
        if pipelines and all(at is not None and at < since for _, at in dated):
            token = ENDED
        found = await _workflows(client, within)
        ends = [parse_instant(each.get("stopped_at")) for each in found]
        yield Page([each for each, at in zip(found, ends, strict=True) if is_in_span(at, wanted, client)], token)


async def _page(client: ApiClient, path: str, token: str) -> Any:
    try:
        return (await client.get(path, {"page-token": token} if token else None)).document
    except HistoryImportError as error:
        if not token or error.status not in (400, 404):
            raise
        return (
            await client.get(path)
        ).document  # the token has expired: from the newest again, what comes twice is one


async def _workflows(client: ApiClient, pipelines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The workflows of each pipeline, with what webhooks have of the pipeline."""
    paths = [f"/pipeline/{quote(text(each, 'id'), safe='')}/workflow" for each in pipelines]
    found: list[dict[str, Any]] = []
    for pipeline, path, answer in zip(pipelines, paths, await client.get_each(paths), strict=True):
        kept = {name: pipeline[name] for name in _OF_A_PIPELINE if name in pipeline}
        token = ""
        while answer:  # none for a pipeline that has been deleted since
            document, before = answer.document, token
            found += [{**workflow, "pipeline": kept} for workflow in entries(document, "items", _NOT_CIRCLECI)]
            token = text(document, "next_page_token")
            following = [f"{path}?page-token={quote(token, safe='')}"] if token not in ("", before) else []
            answer = next(iter(await client.get_each(following)), None)
    return found


def _headers(token: str) -> Mapping[str, str]:
    return {"Circle-Token": token} if token else {}


PROVIDER = Provider(
    name="circleci",
    title="CircleCI",
    place="gh/ORG/REPO",
    check_place=check_place,
    url="https://circleci.com",
    api_path="/api/v2",
    token_variables=("CIRCLECI_TOKEN", "CIRCLE_TOKEN"),
    advice="It is a personal one. The slug of a project is in Project Settings, Overview.",
    headers=_headers,
    pages=pages,
    at_once=6,
    refusals={
        401: "The token is wrong: make a personal one under User Settings, Personal API Tokens; tokens of a project do "
        "not work here",
        403: "The token's user may not read this project: it has to be a member of the organization",
        404: "There is no such project, or the token's user may not see it: the slug is in Project Settings, Overview",
    },
)
