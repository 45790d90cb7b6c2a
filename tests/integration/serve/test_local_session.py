"""The person at this machine: a page load opens a session, nothing else does, and nobody else's does."""

import os
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient

from stream_detector.serve import local_session
from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.routes import ROUTES, SIGNED
from tests.integration.serve.conftest import Serve
from tests.integration.serve.test_access import path_of

Client = TestClient[Any, Any]
PAGE = {"Accept": "text/html,application/xhtml+xml;q=0.9"}
BROWSER = PAGE | {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
WHO = "/api/v1/session"


@pytest.fixture
async def client(serve: Serve) -> Client:
    """The API as `up` runs it, asked without a token."""
    return await serve(api_local_session="on", signed_in=False)


async def cookie_of(client: Client, path: str = "/anomalies", **headers: str) -> str:
    """The Set-Cookie of a page load; empty where there is none."""
    async with client.get(path, headers=headers) as answer:
        client.session.cookie_jar.clear()
        return answer.headers.get("Set-Cookie", "")


@pytest.mark.parametrize("local", ["on", "off", "auto"])
async def test_every_route_is_401_without_token_or_session_on_loopback_too(serve: Serve, local: str) -> None:
    client = await serve(api_local_session=local, api_token="", signed_in=False)
    for route in ROUTES:
        if route.roles is SIGNED and "/webhooks/" in route.path:
            continue  # switched off; proves itself by its signature
        for headers in ({}, BROWSER, {"Origin": f"http://127.0.0.1:{client.port}"}):
            async with client.request(route.method, path_of(route.path), headers=headers) as answer:
                assert answer.status == 401, (route.path, headers)
                assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("headers", [BROWSER, PAGE], ids=["says where it comes from", "an old browser"])
async def test_a_page_load_by_our_own_user_opens_an_operators_session(client: Client, headers: dict[str, str]) -> None:
    cookie = await cookie_of(client, **headers)
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
    carried = {"Cookie": cookie.split(";")[0]}
    async with client.get(WHO, headers=carried) as answer:
        told = await answer.json()
    assert (told["name"], told["role"], told["by"]) == (local_session.person(), "operator", "session")
    assert await cookie_of(client, **headers, **carried) == ""  # one is enough
    async with client.post("/api/v1/actions", json={}, headers=carried) as answer:
        assert answer.status == 403  # what changes something must come from our own page all the same


async def test_a_persons_click_on_a_link_of_another_site_opens_one(client: Client) -> None:
    clicked = BROWSER | {"Sec-Fetch-Site": "cross-site"}
    assert await cookie_of(client, **clicked) == ""
    assert await cookie_of(client, **clicked, **{"Sec-Fetch-User": "?1"})


@pytest.mark.parametrize(
    "changed",
    [
        {"Accept": "*/*"},
        {"Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"X-Forwarded-Host": "watch.example"},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Via": "1.1 proxy"},
        {"Host": "watch.example"},
        {"Host": "rebound.example"},
        {"Host": "["},
        {"Host": "evil@127.0.0.1"},
    ],
    ids=repr,
)
async def test_what_is_no_page_load_of_this_machine_opens_none(serve: Serve, changed: dict[str, str]) -> None:
    client = await serve(api_local_session="on", api_allowed_hosts="watch.example", signed_in=False)
    assert await cookie_of(client, **BROWSER | changed) == ""


@pytest.mark.parametrize(
    "ahead", [{"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}, {"X-Moz": "prefetch"}], ids=repr
)
async def test_a_page_that_is_prefetched_opens_none_and_the_visit_does(client: Client, ahead: dict[str, str]) -> None:
    async with client.get("/anomalies", headers=BROWSER | ahead) as answer:
        # Not 200: the browser would show the page without a session when the person comes.
        assert (answer.status, "Set-Cookie" in answer.headers) == (503, False)
        assert answer.headers["Cache-Control"] == "no-store"
    cookie = await cookie_of(client, **BROWSER)
    async with client.get("/anomalies", headers=BROWSER | ahead | {"Cookie": cookie.split(";")[0]}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", ["/favicon.svg", "/assets/nothing.js", "/nothing", "/open/used"])
async def test_only_a_page_of_the_dashboard_opens_one(client: Client, path: str) -> None:
    headers = BROWSER | ({"Accept": "image/svg+xml"} if path.endswith("svg") else {})
    assert await cookie_of(client, path, **headers) == ""


async def test_another_user_of_this_machine_gets_none(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    another = os.getuid() + 1
    monkeypatch.setattr(local_session.os, "getuid", lambda: another)
    assert await cookie_of(client, **BROWSER) == ""


@pytest.mark.parametrize(
    "given",
    [
        {"api_local_session": "off"},
        {"api_local_session": "auto"},
        {"api_local_session": "on", "api_behind_proxy": True},
        {"api_local_session": "on", "api_host": "0.0.0.0"},
    ],
    ids=repr,
)
async def test_it_is_switched_off_and_never_on_another_address(serve: Serve, given: dict[str, Any]) -> None:
    client = await serve(**given, signed_in=False)
    assert await cookie_of(client, **BROWSER) == ""


async def test_while_the_database_is_away_the_page_loads_without(client: Client, pool: asyncpg.Pool) -> None:
    held, client.app[DATABASE].pool = client.app[DATABASE].pool, None
    try:
        async with client.get("/anomalies", headers=BROWSER) as answer:
            assert answer.status == 200 and "Set-Cookie" not in answer.headers
    finally:
        client.app[DATABASE].pool = held
    assert await cookie_of(client, **BROWSER)
