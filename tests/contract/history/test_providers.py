"""X22: history of GitLab, Jenkins, CircleCI, Azure DevOps and Airflow, from servers that answer as their APIs do.

What would break it: a list that moves while it is read; a process that dies between two pages; a limit, an error or a
token that expires in the middle; a page to sign in where JSON is expected; more runs at one instant than a page has.
"""

import ssl
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

import pytest
import trustme

from stream_detector.history import api_client
from stream_detector.history.errors import HistoryImportError
from stream_detector.history.registry import PROVIDERS
from tests.contract.history.reading import SERVERS, Fetched, fetch
from tests.servers.airflow import AirflowServer
from tests.servers.api import BEGIN, EVERY, ApiServer, stamp
from tests.servers.azure import AzureServer
from tests.servers.circleci import CircleCiServer
from tests.servers.gitlab import GitLabServer
from tests.servers.jenkins import JOBS, JenkinsServer

RUNS = 100


@pytest.fixture(params=SERVERS, ids=lambda kind: kind.NAME)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[ApiServer]:
    """Each of them, with runs."""
    made = await request.param(RUNS).start()
    yield made
    await made.stop()


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a list has many."""
    for name in ("gitlab", "jenkins", "airflow", "azure"):
        monkeypatch.setattr(f"stream_detector.history.{name}.PER_PAGE", 10)


async def test_x22_every_run_that_ended_comes_once_and_one_that_runs_does_not(server: ApiServer) -> None:
    server.add("running")
    fetched = await fetch(server)
    assert fetched.ends == server.ends[:RUNS]
    assert len(fetched.pages) >= RUNS // 20 and all(page.cursor for page in fetched.pages)
    assert sum(len(page.payloads) for page in fetched.pages) <= RUNS + len(JOBS)
    statuses = {event.status for event in fetched.events.values()}
    assert statuses == {"success", "failure"} and fetched.slept_s == []
    assert all(event.duration_s for event in fetched.events.values())


async def test_x22_only_the_span_is_fetched(server: ApiServer) -> None:
    since, until = BEGIN + 40 * EVERY, BEGIN + 70 * EVERY
    fetched = await fetch(server, since=since, until=until)
    within = [end for end in server.ends if since.timestamp() <= end <= until.timestamp()]
    assert fetched.ends == within
    assert len(server.requests) < 2 * RUNS


async def test_x22_a_clock_of_this_machine_that_is_slow_loses_nothing(server: ApiServer) -> None:
    until = BEGIN + (RUNS - 8) * EVERY
    ahead_s = (server.end() - until).total_seconds()
    server.date = formatdate(time.time() + ahead_s, usegmt=True)
    fetched = await fetch(server, until=until)
    assert fetched.ends == server.ends and any("clock" in note for note in fetched.notes)


async def test_x22_a_process_that_died_after_any_page_continues_there(server: ApiServer) -> None:
    whole = await fetch(server)
    for number in (1, len(whole.pages) // 2, len(whole.pages) - 1):
        fetched = await fetch(server, most=number)
        before = len(server.requests)
        await fetch(server, cursor=fetched.pages[-1].cursor, into=fetched)
        assert fetched.events == whole.events
        assert len(server.requests) - before < 2 * RUNS * (1 - number / len(whole.pages)) + 60
    again = await fetch(server, cursor=whole.pages[-1].cursor)
    assert len(again.events) <= 40


async def test_x22_what_is_added_and_deleted_meanwhile_loses_nothing_else(server: ApiServer) -> None:
    def change(number: int) -> None:
        if number <= 60:
            server.add()
        if number % 3 == 0:
            for at in (number % len(server.runs), len(server.runs) // 2, -15):
                server.remove(server.runs[at])

    first = list(server.runs)
    server.before = change
    fetched = await fetch(server)
    left = {id(run) for run in server.runs}
    stayed = {server.ends[number] for number, run in enumerate(first) if id(run) in left}
    assert 20 < len(stayed) < RUNS and stayed <= set(fetched.ends)
    assert len(set(fetched.ends)) == len(fetched.ends)


async def test_x22_a_limit_is_waited_for_and_an_error_in_between_is_passed(server: ApiServer) -> None:
    def disturb(number: int) -> None:
        if number == 3:
            server.answer_next(429, '{"message": "Rate limit exceeded"}', {"Retry-After": "37"})
        if number == 6:
            server.answer_next(502, "<html>Bad Gateway</html>")
        if number == 9:
            server.answer_next(503, "")

    server.before = disturb
    fetched = await fetch(server)
    assert fetched.ends == server.ends and server.planned == 0
    assert any(37 <= wait_s <= 39 for wait_s in fetched.slept_s)
    assert any("rate limit" in note for note in fetched.notes)


async def test_x22_a_token_that_expires_in_the_middle_ends_it_and_a_new_one_continues(server: ApiServer) -> None:
    def expire(number: int) -> None:
        if number == (30 if PROVIDERS[server.NAME].at_once > 1 else 7):
            server.token = server.TOKEN + "-new"

    fetched = Fetched()
    server.before = expire
    with pytest.raises(HistoryImportError) as refused:
        await fetch(server, into=fetched)
    assert "token" in str(refused.value).lower() and server.TOKEN not in str(refused.value)
    assert 0 < len(fetched.events) < RUNS
    await fetch(server, token=server.token, cursor=fetched.pages[-1].cursor, into=fetched)
    assert fetched.ends == server.ends


async def test_x22_a_wrong_token_and_none_are_named_with_what_is_needed(server: ApiServer) -> None:
    provider = PROVIDERS[server.NAME]
    for token in ("sam:wrong" if ":" in server.TOKEN else "wrong", ""):
        with pytest.raises(HistoryImportError) as refused:
            await fetch(server, token=token)
        text = str(refused.value)
        assert text.startswith(provider.title) and "wrong" not in text.replace("is wrong", "").replace("wrong or", "")
        assert token or provider.token_variables[0] in text, text


@pytest.mark.parametrize("page", ["<html>Sign in</html>", "{}", "[]", '"x"', "null", "{", '{"items": 5, "value": {}}'])
async def test_x22_what_is_no_such_api_is_refused_with_what_to_change(server: ApiServer, page: str) -> None:
    server.before = lambda _: server.answer_next(200, page)
    with pytest.raises(HistoryImportError, match="--url"):
        await fetch(server)


async def test_x22_a_page_to_sign_in_on_another_host_gets_no_token(server: ApiServer) -> None:
    server.answer_next(302, "", {"Location": "https://login.example/oauth?next=/"})
    with pytest.raises(HistoryImportError, match="sign in, the token is missing, wrong or expired"):
        await fetch(server)
    assert len(server.requests) == 1


async def test_x22_a_place_that_is_not_there_and_a_path_that_is_not_the_api_are_named(server: ApiServer) -> None:
    places = {"gitlab": "a/b", "jenkins": "acme/none", "circleci": "gh/a/b", "azure": "a/b", "airflow": "none"}
    with pytest.raises(HistoryImportError, match="404"):
        await fetch(server, place=places[server.NAME])
    with pytest.raises(HistoryImportError, match=r"404|--url"):
        await fetch(server, url=server.url + "/wrong")


async def test_x22_an_answer_that_is_too_large_is_refused(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "MAX_BODY_BYTES", 1_000)
    server.answer_next(200, '{"a": "' + "x" * 5_000 + '"}')
    with pytest.raises(HistoryImportError, match="more than 1,000 bytes"):
        await fetch(server)


async def test_x22_an_address_may_end_with_the_path_of_the_api(server: ApiServer) -> None:
    fetched = await fetch(server, url=f"{server.url}{PROVIDERS[server.NAME].api_path}/", most=1)
    assert fetched.events


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("gitlab", ["shop", "https://gitlab.com/a/b", "a//b", "/a/b", ""], ["a/b", "a/b/c/d-e.f_g"]),
        ("jenkins", ["", "https://ci.example/job/a", "/a", "a//b"], ["all", "a", "a/b", "a/feature%2Fx", "a b/c"]),
        ("circleci", ["acme/shop", "gh/acme", "https://app.circleci.com/x"], ["gh/a/b", "circleci/Org1/Proj1"]),
        ("azure", ["acme", "acme/", "/shop", "https://dev.azure.com/a/b"], ["acme/shop", "acme/the shop"]),
        ("airflow", ["", "/root", "a/b", "a b"], ["~", "orders.hourly-1"]),
    ],
)
def test_x22_a_place_is_checked_before_anything_is_sent(name: str, wrong: list[str], right: list[str]) -> None:
    for place in wrong:
        with pytest.raises(HistoryImportError, match="use "):
            PROVIDERS[name].check_place(place)
    for place in right:
        PROVIDERS[name].check_place(place)


async def test_x22_a_gitlab_pipeline_is_the_execution_of_the_webhook() -> None:
    server = await GitLabServer(6).start()
    try:
        fetched = await fetch(server)
        assert (await fetch(server, place="bakery/stove")).events == fetched.events  # where the project was before
    finally:
        await server.stop()
    variants = [event.variant for event in fetched.events.values()]
    assert variants == ["default branch", "default branch", "branch", "default branch", "schedule", "branch"]
    event = next(iter(fetched.events.values()))
    assert event.workflow_id == "gitlab:bakery/bread/oven" and event.duration_s == 61.0
    assert fetched.pages[0].of == 6


async def test_x22_child_pipelines_of_gitlab_are_asked_for_and_told_apart_as_by_the_webhook() -> None:
    server = await GitLabServer(48).start()
    try:
        fetched = await fetch(server)
    finally:
        await server.stop()
    variants = [event.variant for event in fetched.events.values() if str(event.variant).startswith("child:")]
    assert sorted(variants) == ["child:Pastry"] * 3 + ["child:unnamed (bake, taste)"] * 3  # type: ignore[type-var]
    assert fetched.ends == server.ends


async def test_x22_a_gitlab_pipeline_that_is_retried_meanwhile_comes_with_its_new_end() -> None:
    server = await GitLabServer(60).start()
    server.before = lambda number: server.retry(server.runs[6], server.end()) if number == 12 else None
    try:
        fetched = await fetch(server)
    finally:
        await server.stop()
    assert set(server.ends) - {server.ends[6]} <= set(fetched.ends)
    assert int(server.end().timestamp()) in fetched.ends


@pytest.mark.parametrize("kind", [GitLabServer, AirflowServer])
async def test_x22_more_runs_at_one_instant_than_a_page_has_are_all_read(kind: type[ApiServer]) -> None:
    server = await kind(90).start()
    for run in server.runs[10:75]:
        for name in {"updated_at", "finished_at", "end_date"} & run.keys():
            run[name] = stamp(BEGIN + 74 * EVERY, 6)
    try:
        assert len((await fetch(server)).events) == 90
    finally:
        await server.stop()


async def test_x22_airflow_is_read_by_either_version_and_either_authentication() -> None:
    for version, token in ((1, "admin:secret"), (2, "e30.e30.sig"), (1, "e30.e30.sig")):
        server = await AirflowServer(90, version, most=13).start()
        server.token = token
        server.before = lambda number, server=server: server.clear(server.runs[3]) if number == 4 else None  # type: ignore[misc]
        try:
            fetched = await fetch(server, token=token)
            assert fetched.ends == server.ends and fetched.pages[0].of == 90
            one = await fetch(server, token=token, place="reports.daily")
        finally:
            await server.stop()
        assert {event.workflow_id for event in one.events.values()} == {"airflow:reports.daily"}


async def test_x22_jenkins_reads_one_job_a_folder_and_a_multibranch_project() -> None:
    server = await JenkinsServer(120).start()
    try:
        for place, jobs in (("solo", 1), ("acme/shop", 2), ("acme", 3), ("acme/shop/feature%2Fcart", 1)):
            fetched = await fetch(server, place=place)
            assert len({event.workflow_id for event in fetched.events.values()}) == jobs, place
            assert len(fetched.events) == 30 * jobs
    finally:
        await server.stop()
    with pytest.raises(HistoryImportError, match="USER:TOKEN"):
        PROVIDERS["jenkins"].access(server.url, "token-alone")


async def test_x22_a_page_token_of_circleci_that_has_expired_begins_again() -> None:
    server = await CircleCiServer(50).start()
    try:
        fetched = await fetch(server, cursor="expired")
    finally:
        await server.stop()
    assert fetched.ends == server.ends
    event = next(iter(fetched.events.values()))
    assert event.workflow_id == "circleci:github/acme/shop:build" and event.labels["branch"] == "main"


async def test_x22_an_address_that_does_not_answer_is_named_soon() -> None:
    fetched = Fetched()
    for url in ("http://127.0.0.1:1", "http://no-such-host.invalid"):
        with pytest.raises(HistoryImportError, match=r"--url"):
            await fetch(GitLabServer(), url=url, into=fetched)
    assert sum(fetched.slept_s) < 10


async def test_x22_a_certificate_of_ones_own_needs_its_ca(tmp_path: Path) -> None:
    authority, server, file = trustme.CA(), GitLabServer(3), tmp_path / "ca.pem"
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server.tls)
    authority.cert_pem.write_to_path(file)
    await server.start()
    try:
        with pytest.raises(HistoryImportError, match="--ca-file"):
            await fetch(server)
        assert server.requests == []
        assert (await fetch(server, ca_file=str(file))).ends == server.ends
        with pytest.raises(HistoryImportError, match="no certificates can be read"):
            await fetch(server, ca_file=str(tmp_path / "none.pem"))
    finally:
        await server.stop()


async def test_x22_azure_asks_for_a_wait_with_an_answer_and_gets_it() -> None:
    server = await AzureServer(30).start()
    server.answer_next(200, '{"count": 0, "value": []}', {"Retry-After": "9", "x-ms-continuationtoken": stamp(BEGIN)})
    try:
        fetched = await fetch(server)
    finally:
        await server.stop()
    assert fetched.ends == server.ends and [round(wait_s) for wait_s in fetched.slept_s] == [10]
