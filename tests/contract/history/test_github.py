"""GitHub's history against a server that lists runs as GitHub's API does.

Situations that would lose a run or count one twice: a listing that ends after 1,000, runs that are deleted or come in
while it is read, a limit or an error in the middle, a process that is killed between two pages, a wrong clock.
"""

import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from stream_detector.history.errors import HistoryImportError
from stream_detector.history.github import PROVIDER, check_place
from tests.contract.history.fetching import Fetched, fetch
from tests.servers.github_api import TOKEN, GitHubServer
from tests.servers.github_runs import NOW, REPOSITORY, github_run, history

Fetch = Callable[..., Any]


@pytest.fixture
async def github() -> AsyncIterator[GitHubServer]:
    server = await GitHubServer(history(250, NOW)).start()
    yield server
    await server.stop()


@pytest.fixture
def fetched(github: GitHubServer, tmp_path: Any) -> Fetch:
    async def call(**changes: Any) -> Fetched:
        return await fetch(PROVIDER, github.url, tmp_path, **{"place": REPOSITORY, "token": TOKEN, **changes})

    return call


def ids(runs: list[dict[str, Any]]) -> set[str]:
    return {f"github:{run['id']}" for run in runs}


async def test_x22_each_page_is_read_and_each_run_is_an_execution(github: GitHubServer, fetched: Fetch) -> None:
    found = await fetched()
    assert found.ids == ids(github.runs) and len(found.events) == 250
    assert found.progress.is_fetched and found.progress.of == 250
    listings = [request for request in github.requests if "/runs" in request]
    assert len(listings) == 3 and all("per_page=100" in request and "created=" in request for request in listings)


async def test_x22_the_default_branch_gives_the_variants_that_a_webhook_gives(
    github: GitHubServer, fetched: Fetch
) -> None:
    found = await fetched()
    assert {event.variant for event in found.events} == {"default branch", "branch"}


async def test_x22_more_runs_than_a_listing_has_are_read_in_several(github: GitHubServer, fetched: Fetch) -> None:
    github.runs = history(3_210, NOW)
    found = await fetched()
    assert found.ids == ids(github.runs)
    assert len(found.events) == 3_210, "none twice"


async def test_x22_a_second_with_many_runs_at_the_end_of_a_listing_loses_none(
    github: GitHubServer, fetched: Fetch
) -> None:
    older, at = history(950, NOW), NOW - timedelta(days=100)
    burst = [github_run(10_000 + number, at) for number in range(180)]
    before = [github_run(20_000 + number, at - timedelta(hours=number + 1)) for number in range(30)]
    github.runs = [*older, *burst[::-1], *before]
    found = await fetched()
    assert found.ids == ids(github.runs)


@pytest.mark.parametrize("deleted", [1, 7, 120])
async def test_x22_runs_that_are_deleted_while_it_is_read_lose_no_other(
    github: GitHubServer, fetched: Fetch, deleted: int
) -> None:
    github.runs = history(650, NOW)
    kept = github.runs[deleted:]

    def delete(number: int) -> None:
        if number == 2:
            github.runs = kept

    github.before = delete
    found = await fetched()
    assert ids(kept) <= found.ids
    assert len(found.events) == len(found.ids)


async def test_x22_runs_that_come_in_while_it_is_read_shift_nothing(github: GitHubServer, fetched: Fetch) -> None:
    known = list(github.runs)

    def come_in(number: int) -> None:
        github.runs.insert(0, github_run(50_000 + number, NOW + timedelta(seconds=30)))

    github.before = come_in
    found = await fetched()
    assert found.ids == ids(known) and len(found.events) == 250


async def test_x22_runs_that_have_not_ended_are_counted_and_left_out(github: GitHubServer, fetched: Fetch) -> None:
    github.runs.insert(0, github_run(60_000, NOW - timedelta(seconds=10), conclusion=None))
    found = await fetched()
    assert found.progress.unfinished == 1 and len(found.events) == 250


async def test_x22_the_primary_limit_is_waited_for_before_it_refuses(github: GitHubServer, fetched: Fetch) -> None:
    github.remaining = 2
    github.before = lambda number: setattr(github, "remaining", 5_000) if number == 1 else None
    refill(github)
    found = await fetched()
    assert found.ids == ids(github.runs)
    assert len(found.waits) == 1 and 25 <= found.waits[0] <= 32
    assert "rate limit; continues at" in found.notes[0]


def refill(github: GitHubServer) -> None:
    """The limit is reset once it was reached."""
    answer = github._answer

    def answered(*arguments: Any) -> Any:
        found = answer(*arguments)
        github.remaining = github.remaining or 5_000
        return found

    github._answer = answered  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("status", "headers", "body", "wait_s"),
    [
        (403, {"Retry-After": "47"}, {"message": "You have exceeded a secondary rate limit."}, 48),
        (403, {"X-RateLimit-Remaining": "4321"}, {"message": "You have exceeded a secondary rate limit."}, 60),
        (429, {"Retry-After": "30"}, {}, 31),
        (429, {}, {}, 60),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "+90"}, {"message": "API rate limit exceeded"}, 91),
    ],
)
async def test_x22_a_limit_in_the_middle_is_kept(
    github: GitHubServer, fetched: Fetch, status: int, headers: dict[str, str], body: dict[str, str], wait_s: float
) -> None:
    if (reset := headers.get("X-RateLimit-Reset", "")).startswith("+"):
        headers = headers | {"X-RateLimit-Reset": str(int(time.time()) + int(reset))}
    github.answer_next(status, json.dumps(body), headers)
    found = await fetched()
    assert found.ids == ids(github.runs)
    assert found.waits == [pytest.approx(wait_s, abs=2.5)]


async def test_x22_a_limit_is_measured_by_the_clock_of_the_server(github: GitHubServer, fetched: Fetch) -> None:
    github.clock_ahead_s = 7_200.0
    reset = str(int(time.time() + 7_200.0) + 90)
    github.answer_next(403, "{}", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
    found = await fetched()
    assert found.waits == [pytest.approx(91, abs=2.5)]
    assert any("clock is 7,200 s behind" in note or "clock is 7,199 s behind" in note for note in found.notes)


async def test_x22_a_reset_that_is_hours_away_ends_the_import_with_when_to_continue(
    github: GitHubServer, fetched: Fetch
) -> None:
    reset = str(int(time.time()) + 4 * 3600)
    github.answer_next(429, "{}", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
    with pytest.raises(HistoryImportError, match=r"no request until .* UTC. Run the same command then: it continues"):
        await fetched()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_x22_what_passes_is_tried_again(github: GitHubServer, fetched: Fetch, status: int) -> None:
    for _ in range(3):
        github.answer_next(status, "<html>Unicorn!</html>")
    found = await fetched()
    assert found.ids == ids(github.runs) and found.waits == [1.0, 2.0, 4.0]


async def test_x22_what_does_not_pass_ends_it_and_the_same_call_continues(github: GitHubServer, fetched: Fetch) -> None:
    def break_off(number: int) -> None:
        if number == 1:
            for _ in range(7):
                github.answer_next(502, "")

    github.before = break_off
    with pytest.raises(HistoryImportError, match="status 502, 7 times in a row"):
        await fetched()
    github.before = lambda number: None
    github.requests.clear()
    found = await fetched()
    assert found.ids == ids(github.runs)
    assert len([request for request in github.requests if "/runs" in request]) == 1, "two pages are not read again"


@pytest.mark.parametrize(
    ("token", "place", "private", "words"),
    [
        ("ghp_wrong", REPOSITORY, False, ["status 401", "Bad credentials", "wrong or has expired"]),
        ("", REPOSITORY, True, ["status 404", "no token is set (GITHUB_TOKEN or GH_TOKEN)", "Actions: Read-only"]),
        (TOKEN, "octo/hidden", True, ["status 404", "private and the token may not see it", "Actions: Read-only"]),
    ],
)
async def test_x22_a_refusal_names_the_right_that_is_missing(
    github: GitHubServer, fetched: Fetch, token: str, place: str, private: bool, words: list[str]
) -> None:
    github.private = private
    with pytest.raises(HistoryImportError) as caught:
        await fetched(token=token, place=place)
    assert [word for word in words if word not in str(caught.value)] == []
    assert not token or token not in str(caught.value)


async def test_x22_a_403_that_is_no_limit_names_the_right(github: GitHubServer, fetched: Fetch) -> None:
    github.answer_next(403, json.dumps({"message": f"Resource not accessible by {TOKEN}"}))
    with pytest.raises(HistoryImportError, match="may not read this repository's runs") as caught:
        await fetched()
    assert TOKEN not in str(caught.value)


async def test_x22_the_token_goes_to_no_other_host(github: GitHubServer, fetched: Fetch) -> None:
    github.answer_next(302, "", {"Location": "http://localhost:1/repos"})
    with pytest.raises(HistoryImportError, match=r"refers to another host, localhost:1, to which no token is sent"):
        await fetched()
    github.answer_next(301, "", {"Location": f"/repos/{REPOSITORY}"})
    assert (await fetched()).ids == ids(github.runs)


async def test_x22_an_answer_that_is_no_json_names_the_address(github: GitHubServer, fetched: Fetch) -> None:
    github.answer_next(200, "<html>Sign in</html>")
    with pytest.raises(HistoryImportError, match=r"is this the API.s address \(--url\)"):
        await fetched()


async def test_x22_earlier_attempts_are_fetched_if_that_is_asked_for(github: GitHubServer, fetched: Fetch) -> None:
    at = NOW - timedelta(days=1)
    last = github_run(70_000, at, attempt=3)
    github.runs.insert(0, last)
    github.attempts[last["id"], 1] = github_run(70_000, at, attempt=1, conclusion="failure")
    github.attempts[last["id"], 2] = github_run(70_000, at, attempt=2, conclusion="failure")
    found = await fetched(options=frozenset({"attempts"}))
    own = [(event.attempt, event.status) for event in found.events if event.execution_id == f"github:{last['id']}"]
    assert sorted(own) == [(1, "failure"), (2, "failure"), (3, "success")]


async def test_x22_an_attempt_that_was_deleted_is_left_out(github: GitHubServer, fetched: Fetch) -> None:
    github.runs.insert(0, github_run(70_000, NOW - timedelta(days=1), attempt=2))
    found = await fetched(options=frozenset({"attempts"}))
    assert found.ids == ids(github.runs)


async def test_x22_without_it_the_report_has_what_is_missing(github: GitHubServer, fetched: Fetch) -> None:
    github.runs.insert(0, github_run(70_000, NOW - timedelta(days=1), attempt=3))
    found = await fetched()
    assert found.progress.notes == [
        "of runs that were started again, only the last attempt (--attempts fetches the others)"
    ]


@pytest.mark.parametrize("place", ["shop", "octo/shop/x", "https://github.com/octo/shop", "octo/../x", "o c/shop", ""])
def test_x22_what_is_no_repository_is_refused_with_an_example(place: str) -> None:
    with pytest.raises(HistoryImportError, match="use OWNER/REPO, for example"):
        check_place(place)
