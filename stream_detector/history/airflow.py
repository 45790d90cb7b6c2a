"""Apache Airflow: the runs of one DAG or of all, in order of their end.

Source: Airflow's stable REST API, `GET /dags/{dag_id}/dagRuns`, of version 1 (Airflow 2) and 2 (Airflow 3), which
differ here in their path and their authentication. Offsets count from the beginning of the list, and a run that is
cleared leaves it; so each request asks for what ended no earlier than the last run that was read.
"""

import re
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote

from stream_detector.events.sources.details import parse_instant
from stream_detector.history.api_client import ApiClient
from stream_detector.history.basic import basic
from stream_detector.history.errors import HistoryImportError
from stream_detector.history.provider import Page, Provider, Wanted
from stream_detector.history.walk import SKEW, count, entries, is_in_span, walk_from, written

PER_PAGE = 100
"""The most that Airflow gives at its defaults (`maximum_page_limit`)."""
ALL = "~"
_PLACE = re.compile(r"~|[\w.-]{1,250}")
_VERSIONS = ("/api/v2", "/api/v1")
_RIGHTS = "the user needs the role Viewer, or one that may read DAG Runs of these DAGs"
_NOT_AIRFLOW = "Apache Airflow: the answer has no dag_runs: is --url the address of Airflow's web server or API server?"


def check_place(place: str) -> None:
    """DAG id, or `~`. Raises `HistoryImportError`."""
    if not _PLACE.fullmatch(place):
        raise HistoryImportError(
            f"{place!r} is not the id of a DAG. For all DAGs use '~', in quotes: the shell makes a folder of it without"
        )


async def pages(client: ApiClient, wanted: Wanted) -> AsyncIterator[Page]:
    """The runs that ended in the span. The cursor is the end of the last one."""
    path = f"{await _version(client)}/dags/{quote(wanted.place, safe='~')}/dagRuns"
    walk = walk_from(wanted.since, wanted.cursor)
    of: int | None = None
    while True:
        params: dict[str, str | int] = {"limit": PER_PAGE, "offset": walk.skip, "order_by": "end_date"}
        params |= {"end_date_gte": written(walk.after), "end_date_lte": written(wanted.until + SKEW)}
        document = (await client.get(path, params)).document
        runs = entries(document, "dag_runs", _NOT_AIRFLOW)
        left = count(document.get("total_entries")) or 0
        of = left if of is None else of
        new = [run for run in runs if walk.is_new((run.get("dag_id"), run.get("dag_run_id"), run.get("end_date")))]
        is_last = not runs or left <= walk.skip + len(runs)
        walk.advance([parse_instant(run.get("end_date")) for run in runs])
        asked_for = [run for run in new if is_in_span(parse_instant(run.get("end_date")), wanted, client)]
        yield Page(asked_for, walk.cursor, of)
        if is_last:
            return


async def _version(client: ApiClient) -> str:
    """The path of the newest version of the API that this server has."""
    for path in _VERSIONS:
        try:
            await client.get(f"{path}/version")
        except HistoryImportError as error:
            if error.status != 404:
                raise
        else:
            return path
    raise HistoryImportError(
        "Apache Airflow: there is no stable REST API (/api/v2, /api/v1) below --url: give the address of the web "
        "server or API server, with its base path and without /api"
    )


def _headers(token: str) -> Mapping[str, str]:
    if ":" in token:
        return basic(token)
    return {"Authorization": f"Bearer {token}"} if token else {}


PROVIDER = Provider(
    name="airflow",
    title="Apache Airflow",
    place="DAG_ID",
    check_place=check_place,
    url="",
    token_variables=("AIRFLOW_TOKEN",),
    advice="It is a token from POST /auth/token (Airflow 3), or USER:PASSWORD (Airflow 2). '~' in quotes is all DAGs.",
    headers=_headers,
    pages=pages,
    needs_token=False,  # a server of one's own may be open
    refusals={
        401: "AIRFLOW_TOKEN is wrong or has expired. Airflow 3: a token from POST /auth/token; Airflow 2: "
        "USER:PASSWORD, where basic_auth is one of the auth_backends",
        403: f"The token may not read these runs: {_RIGHTS}",
        404: f"There is no such DAG, or the token may not see it: {_RIGHTS}",
    },
)
