"""Who is answered, and how wrong requests end."""

from typing import Any

import asyncpg
import pytest

from stream_detector.serve.authentication import SIGNED
from stream_detector.serve.routes import ROUTES
from tests.integration.serve.asking import Client, path_of
from tests.integration.serve.conftest import Serve

CHECK = "/api/v1/ai/check-anomalies"
NEEDED = {
    "/api/v1/series": {"entity": "workflow:a"},
    "/api/v1/executions": {"workflow": "a"},
    "/api/v1/why": {"execution": "a"},
}
"""What a question cannot be asked without."""


async def test_every_route_demands_a_token(serve: Serve) -> None:
    client = await serve(api_token="a secret token", signed_in=False)
    for route in ROUTES:
        if route.roles is SIGNED:
            continue
        client.session.cookie_jar.clear()  # POST /session has set one
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Basic a secret token"},
            {"Authorization": "Bearer ☃"},
        ):
            answer = await client.request(route.method, path_of(route.path), headers=headers)
            assert (answer.status, answer.content_type) == (401, "application/problem+json")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        headers = {"Authorization": "Bearer a secret token"}
        async with client.request(route.method, path_of(route.path), headers=headers) as answer:
            assert answer.status != 401


async def test_no_route_answers_to_another_host(client: Client) -> None:
    for route in ROUTES:
        for host in ("evil.example", "127.0.0.1.evil.example:8080", "[", "", "localhost@evil.example:1"):
            answer = await client.request(route.method, path_of(route.path), headers={"Host": host})
            assert answer.status in (400, 403), (route.path, host)


async def test_loopback_names_and_added_names_are_answered_to(serve: Serve) -> None:
    client = await serve(api_allowed_hosts="watch.example, other.example", base_url="https://base.example/x")
    for host in (
        "localhost",
        "localhost:8080",
        "127.0.0.1:1",
        "[::1]:8080",
        "WATCH.example",
        "other.example:443",
        "base.example",
    ):
        assert (await client.get("/api/v1/health", headers={"Host": host})).status == 200, host


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        ({"Origin": "http://own"}, 404),
        ({"Sec-Fetch-Site": "same-origin"}, 404),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
async def test_a_changing_request_from_another_sites_page_is_403(
    client: Client, headers: dict[str, str], status: int
) -> None:
    own = f"http://{client.host}:{client.port}"
    sent = {name: value.replace("http://own", own) for name, value in headers.items()}
    answer = await client.post(CHECK, json={"workflow_execution_id": "unknown"}, headers=sent)
    assert answer.status == status


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"{}", {}, 400),
        (b'{"workflow_execution_id": 1}', {}, 400),
        (b'{"workflow_execution_id": ""}', {}, 400),
        (b'{"workflow_execution_id": "' + b"x" * 257 + b'"}', {}, 400),
        (b'{"workflow_execution_id": "a\\u0000b"}', {}, 400),
        (b'{"workflow_execution_id": "a\x00b"}', {}, 400),
        (b'{"workflow_execution_id": "\xff"}', {}, 400),
        (b'{"workflow_execution_id": "\\ud800"}', {}, 400),
        (b'{"workflow_execution_id": "a", "attempt": 0}', {}, 400),
        (b'{"workflow_execution_id": "a", "more": 1}', {}, 400),
        (b'{"workflow_execution_id": ' + b"[" * 30_000, {}, 400),
        (b'{"x": ' * 10_000, {}, 400),
        (b"x" * 100_000, {}, 413),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, None),
        (b'{"workflow_execution_id": "unknown"}', {}, 404),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
async def test_w39_malformed_is_400_and_never_a_trace(
    client: Client, body: bytes, headers: dict[str, str], status: int | None
) -> None:
    answer = await client.post(CHECK, data=body, headers={"Content-Type": "application/json"} | headers)
    text = await answer.text()
    assert answer.status == status if status else 400 <= answer.status < 500
    assert "Traceback" not in text and ".py" not in text
    if status:
        assert answer.content_type == "application/problem+json"
        assert (await answer.json())["status"] == status


async def test_an_unknown_path_and_method_are_problems(client: Client) -> None:
    answer = await client.get("/api/v1/nothing")
    assert (answer.status, answer.content_type) == (404, "application/problem+json")
    answer = await client.delete("/api/v1/health")
    assert (answer.status, answer.content_type) == (405, "application/problem+json")
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/nothing", "/anomalies"])
async def test_every_answer_carries_the_headers_that_keep_a_browser_safe(client: Client, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "aiohttp" not in headers["Server"]


async def test_while_the_database_is_away_it_is_503_with_the_reason_and_reads_go_on_afterwards(
    serve: Serve, client: Client, pool: asyncpg.Pool, tmp_path: Any
) -> None:
    away = await serve(database_url=f"postgresql:///none?host={tmp_path}&user=nobody")
    for route in ROUTES:
        if route.database and route.method == "GET":
            answer = await away.get(
                path_of(route.path),
                params=NEEDED.get(route.path, {}),
            )
            problem = await answer.json()
            assert (answer.status, answer.content_type) == (503, "application/problem+json"), route.path
            assert "database" in problem["detail"]
            assert int(answer.headers["Retry-After"]) > 0
    health = await (await away.get("/api/v1/health")).json()
    assert (health["status"], health["database"]) == ("degraded", "away")
    assert (await client.get("/api/v1/runs")).status == 200
    await pool.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    for _ in range(10):
        assert (await client.get("/api/v1/runs")).status == 200
    assert (await (await client.get("/api/v1/health")).json())["status"] == "ok"
