"""Jenkins: the builds of a job, or of all jobs below a folder or a multibranch project, job by job, newest first.

Source: Jenkins' "Remote access API": `tree` with a range, and `allBuilds` of a job, of which `builds` are the newest
100. A range counts from the newest build, so builds that begin or are deleted meanwhile shift it: each range begins
with the last build that was read, and where that is not in it, goes back until there is one that is not older.

A job is named by its path below the address that was given, not by the URL in the answer: Jenkins makes that from a
setting which another host may stand in.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from stream_detector.events.sources.details import parse_epoch_ms
from stream_detector.history.api_client import ApiClient
from stream_detector.history.basic import basic
from stream_detector.history.errors import HistoryImportError
from stream_detector.history.provider import Page, Provider, Wanted
from stream_detector.history.walk import LONGEST_RUN, entries, is_in_span, text

PER_PAGE = 100
ALL = "all"
_JOBS = "jobs[name,jobs[name]{0,1}]"
_BUILD = "number,result,timestamp,duration,building,url,actions[causes[_class],lastBuiltRevision[SHA1,branch[name]]]"
_NOT_JENKINS = "Jenkins: the answer is not a job's or a folder's: is --url the address of Jenkins?"
_MOST_DEEP = 20
_MOST_MS = 10**12
"""Thirty years."""


class _Cursor(msgspec.Struct):
    """After which build to continue: those of earlier jobs, in order of their paths, have been read."""

    job: str
    at: int
    """Place of the last build in the job's list as it was."""
    number: int


_cursor = msgspec.json.Decoder(_Cursor).decode
_encode = msgspec.json.Encoder().encode


def check_place(place: str) -> None:
    """Full name of a job or folder, or `all`. Raises `HistoryImportError`."""
    if not place or "://" in place or "\0" in place or place.startswith("/") or "//" in place:
        raise HistoryImportError(
            f"{place!r} is not a job: use its full name, such as FOLDER/JOB, the name of a folder or a multibranch "
            "project for all jobs below it, or `all`; the server is named with --url"
        )


async def pages(client: ApiClient, wanted: Wanted) -> AsyncIterator[Page]:
    """The builds that started in the span or up to a day before it. The cursor names job and build."""
    cursor = _read_cursor(wanted.cursor)
    top = "" if wanted.place == ALL else _path_of(wanted.place.strip("/").split("/"))
    for job in sorted([job async for job in _jobs_below(client, top)]):
        if job < cursor.job:
            continue
        begin = cursor if job == cursor.job else _Cursor(job, 0, 0)
        async for page in _builds_of(client, begin, wanted):
            yield page


async def _jobs_below(client: ApiClient, top: str) -> AsyncIterator[str]:
    """The paths of all jobs below a path; the path itself where it is a job."""
    folders = [(top, 0)]
    while folders:
        path, depth = folders.pop()
        try:
            item = (await client.get(f"{path}/api/json", {"tree": _JOBS})).document
        except HistoryImportError as error:
            if path == top or error.status not in (403, 404):
                raise
            continue  # a folder that has been deleted since, or that the user may see and not read
        if not isinstance(item, dict) or "_class" not in item:
            raise HistoryImportError(_NOT_JENKINS)
        if "jobs" not in item:
            yield path
            continue
        for inner in entries(item, "jobs", _NOT_JENKINS):
            below = path + _path_of([text(inner, "name")])
            if "jobs" not in inner:
                yield below
            elif inner["jobs"] and depth < _MOST_DEEP:
                folders.append((below, depth + 1))


async def _builds_of(client: ApiClient, begin: _Cursor, wanted: Wanted) -> AsyncIterator[Page]:
    at, last = begin.at, begin.number
    while True:
        from_ = max(0, at - 1) if last else at
        tree = f"_class,allBuilds[{_BUILD}]{{{from_},{from_ + PER_PAGE}}}"
        try:
            item = (await client.get(f"{begin.job}/api/json", {"tree": tree})).document
        except HistoryImportError as error:
            if error.status != 404:
                raise
            return  # deleted since the jobs were listed
        if not isinstance(item, dict):
            raise HistoryImportError(_NOT_JENKINS)
        found = entries(item.get("allBuilds", []), "", _NOT_JENKINS)  # a job without a build may lack it
        if last and from_ and (not found or _number(found[0]) < last):
            at = max(0, from_ - PER_PAGE // 2)  # builds before this place were deleted
            continue
        new = [build for build in found if not last or _number(build) < last]
        at = from_ + len(found)
        last = min((number for build in new if (number := _number(build))), default=last)
        asked_for = [build for build in new if is_in_span(_ended_at(build), wanted, client)]
        yield Page(asked_for, _encode(_Cursor(begin.job, at, last)).decode())
        if len(found) < PER_PAGE or _are_older(new, wanted):
            return


def _ended_at(build: Mapping[str, Any]) -> datetime | None:
    """When it did; None while it runs."""
    started_at, took_ms = parse_epoch_ms(build.get("timestamp")), build.get("duration")
    if started_at is None or build.get("building") is True or not isinstance(took_ms, int):
        return None
    return started_at + timedelta(milliseconds=min(max(took_ms, 0), _MOST_MS))


def _are_older(builds: list[dict[str, Any]], wanted: Wanted) -> bool:
    times = [at for build in builds if (at := parse_epoch_ms(build.get("timestamp")))]
    return bool(times) and max(times) < wanted.since - LONGEST_RUN


def _number(build: Mapping[str, Any]) -> int:
    found = build.get("number")
    return found if isinstance(found, int) else 0


def _path_of(names: list[str]) -> str:
    """A branch `feature/x` of a multibranch project is the job `feature%2Fx`, whose `%` is quoted again."""
    return "".join(f"/job/{quote(name, safe='')}" for name in names)


def _read_cursor(cursor: str) -> _Cursor:
    try:
        return _cursor(cursor.encode()) if cursor else _Cursor("", 0, 0)
    except msgspec.DecodeError:
        return _Cursor("", 0, 0)


def _headers(token: str) -> Mapping[str, str]:
    if token and ":" not in token:
        raise HistoryImportError(
            "Jenkins: JENKINS_TOKEN is USER:TOKEN, the name of the user and, after a colon, an API token of that user "
            "(its page, Security, API Token)"
        )
    return basic(token)


PROVIDER = Provider(
    name="jenkins",
    title="Jenkins",
    place="JOB",
    check_place=check_place,
    url="",
    token_variables=("JENKINS_TOKEN",),
    advice="It is USER:TOKEN, with an API token of that user. JOB is the full name of a job, or of a folder or "
    "multibranch project for all jobs below it; `all` is every job of the server.",
    headers=_headers,
    pages=pages,
    needs_token=False,  # a server may be open to everybody
    refusals={
        401: "JENKINS_TOKEN is USER:TOKEN with an API token of that user: its page, Security, API Token",
        403: "The user may not read this job: it needs the permissions Overall/Read and Job/Read",
        404: "There is no such job or folder, or the user may not see it: it needs the permissions Overall/Read and "
        "Job/Read; --url is the address of Jenkins itself, with its context path",
    },
)
