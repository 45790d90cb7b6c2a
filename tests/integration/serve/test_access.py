"""Tokens, sessions and roles: every route and every role."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import CookieJar

from stream_detector.devstack.tansu import Tansu
from stream_detector.kafka.create_topics import make_topics
from stream_detector.serve import authentication
from stream_detector.serve.app_keys import BROKER, DATABASE
from stream_detector.serve.authentication import SIGNED
from stream_detector.serve.resources import live_stream
from stream_detector.serve.routes import ROUTES
from stream_detector.store import credentials
from tests.integration.serve.asking import Client, path_of
from tests.integration.serve.conftest import Serve
from tests.servers.installation import wait_until

ROLES = ("viewer", "operator", "producer")
WHO = "/api/v1/session"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def token_of(pool: asyncpg.Pool, role: str, **given: Any) -> tuple[str, str]:
    """(the token, its id)"""
    token, stored = await credentials.create_token(pool, name=f"a {role}", role=role, **({"expires_at": None} | given))  # type: ignore[arg-type]
    return token, stored.id


async def test_every_route_answers_to_its_roles_and_to_nobody_else(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(signed_in=False)
    tokens = {role: (await token_of(pool, role))[0] for role in ROLES}
    session = f"stream_detector_session_{client.port}"
    for route in ROUTES:
        if route.roles is SIGNED:
            continue
        client.session.cookie_jar.clear()  # POST /session has set one
        path = path_of(route.path)
        for headers in ({}, bearer("wrong"), bearer("sd_wrong"), {"Cookie": f"{session}=x"}):
            async with client.request(route.method, path, headers=headers) as answer:
                assert answer.status == 401, (route.path, headers)
        for role, token in tokens.items():
            async with client.request(route.method, path, headers=bearer(token)) as answer:
                client.session.cookie_jar.clear()
                refused = answer.status == 403 and f"role {role}" in (await answer.json())["detail"]
                assert refused == (role not in route.roles), (route.path, role, answer.status)
                assert answer.status != 401, (route.path, role)


def test_what_changes_something_is_the_operators_and_what_publishes_the_producers() -> None:
    harmless = {"/api/v1/ai/check-anomalies", "/api/v1/session", "/api/v1/inbox/{id}/read", "/api/v1/inbox/read"}
    for route in ROUTES:
        if route.method != "GET" and route.path not in harmless:
            assert "viewer" not in route.roles, route.path
        assert "operator" in route.roles or route.roles is SIGNED


async def test_an_unknown_path_of_the_api_is_401_before_it_is_404(serve: Serve) -> None:
    client = await serve(signed_in=False)
    assert (await client.get("/api/v1/nothing")).status == 401
    assert (await client.get("/anomalies")).status != 401


async def test_a_token_is_stored_hashed_and_says_who_it_is(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(signed_in=False)
    token, token_id = await token_of(pool, "viewer")
    answer = await client.get(WHO, headers=bearer(token))
    assert await answer.json() == {"name": "a viewer", "role": "viewer", "by": "token", "expires_at": None}
    row = dict(await pool.fetchrow("SELECT * FROM tokens WHERE id = $1", UUID(token_id)))
    assert token not in repr(row) and row["token_hash"] == credentials.token_digest(token)
    assert row["used_at"] is not None


async def test_a_token_that_is_over_or_revoked_opens_nothing_from_the_next_request_on(
    serve: Serve, pool: asyncpg.Pool
) -> None:
    client = await serve(signed_in=False)
    over, _ = await token_of(pool, "viewer", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert (await client.get(WHO, headers=bearer(over))).status == 401
    token, token_id = await token_of(pool, "viewer", expires_at=datetime.now(UTC) + timedelta(days=1))
    assert (await client.get(WHO, headers=bearer(token))).status == 200
    assert await credentials.revoke_token(pool, UUID(token_id)) == 0
    assert (await client.get(WHO, headers=bearer(token))).status == 401
    assert [each.revoked_at is not None for each in await credentials.tokens(pool) if each.id == token_id] == [True]
    assert await credentials.revoke_token(pool, UUID(int=0)) is None


async def test_a_one_time_link_opens_one_session_with_a_cookie_no_script_can_read(
    serve: Serve, pool: asyncpg.Pool
) -> None:
    client = await serve(signed_in=False)
    client.session._cookie_jar = CookieJar(unsafe=True)  # the test server's name is an address
    code = await credentials.make_link(pool, name="ann", role="operator")
    assert (await client.head(f"/open/{code}", allow_redirects=False)).status != 303  # a preview uses nothing up
    for ahead in ({"Sec-Purpose": "prefetch"}, {"Purpose": "prefetch"}, {"X-Purpose": "preview"}):
        answer = await client.get(f"/open/{code}", headers=ahead, allow_redirects=False)
        assert answer.status == 503 and "Set-Cookie" not in answer.headers
    answer = await client.get(f"/open/{code}", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/anomalies")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
    told = await (await client.get(WHO)).json()
    assert (told["name"], told["role"], told["by"]) == ("ann", "operator", "session")
    again = await client.get(f"/open/{code}", allow_redirects=False)
    assert again.status == 410 and "token link" in await again.text()
    secret = cookie.split("=", 1)[1].split(";")[0]
    assert (
        await pool.fetchval("SELECT count(*) FROM sessions WHERE id_hash = $1", credentials.token_digest(secret)) == 1
    )
    assert secret.encode() not in bytes(await pool.fetchval("SELECT id_hash FROM sessions"))


async def test_a_link_that_is_over_opens_nothing(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(signed_in=False)
    code = await credentials.make_link(pool, name="ann", role="operator", lasts=timedelta(seconds=-1))
    for path in (f"/open/{code}", "/open/" + "x" * 5_000, "/open/%00"):
        assert (await client.get(path, allow_redirects=False)).status == 410


async def test_a_session_changes_something_from_our_own_page_alone(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(signed_in=False)
    secret, _ = await credentials.make_session(pool, "ann", "operator", "local")
    carried = {"Cookie": f"stream_detector_session_{client.port}={secret}"}
    own = f"http://{client.host}:{client.port}"
    path, body = "/api/v1/ai/check-anomalies", {"workflow_execution_id": "unknown"}
    for headers, status in (
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": own}, 404),
        ({"Sec-Fetch-Site": "same-origin"}, 404),
    ):
        assert (await client.post(path, json=body, headers=carried | headers)).status == status, headers
    assert (await client.get(WHO, headers=carried)).status == 200


async def test_a_token_opens_a_session_and_the_session_ends(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(signed_in=False)
    token, _ = await token_of(pool, "viewer")
    answer = await client.post(WHO, headers=bearer(token))
    told = await answer.json()
    assert (told["role"], told["by"]) == ("viewer", "session")
    secret = answer.headers["Set-Cookie"].split("=", 1)[1].split(";")[0]
    carried = {
        "Cookie": f"stream_detector_session_{client.port}={secret}",
        "Origin": f"http://{client.host}:{client.port}",
    }
    assert (await client.post(WHO, headers=carried)).status == 400
    assert (await client.delete(WHO, headers=carried)).status == 204
    assert (await client.get(WHO, headers=carried)).status == 401


async def test_the_token_of_the_settings_is_an_operators(serve: Serve) -> None:
    client = await serve(api_token="open sesame")
    assert (await (await client.get(WHO)).json())["role"] == "operator"


async def test_behind_a_proxy_its_headers_are_believed_only_when_told_to(serve: Serve, pool: asyncpg.Pool) -> None:
    headers = {"X-Forwarded-Host": "watch.example", "X-Forwarded-Proto": "https", "Origin": "https://watch.example"}
    plain = await serve()
    assert (await plain.post(WHO, headers=headers)).status == 403
    proxied = await serve(api_behind_proxy=True, api_allowed_hosts="watch.example")
    answer = await proxied.post(WHO, headers=headers)
    assert answer.status == 200 and "Secure" in answer.headers["Set-Cookie"]
    assert (await proxied.get(WHO, headers={"X-Forwarded-Host": "evil.example"})).status == 403


async def test_who_was_known_stays_known_while_the_database_is_away(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(signed_in=False)
    token, _ = await token_of(pool, "operator")
    assert (await client.get(WHO, headers=bearer(token))).status == 200
    held, client.app[DATABASE].pool = client.app[DATABASE].pool, None
    try:
        assert (await client.get(WHO, headers=bearer(token))).status == 200
        assert (await client.get(WHO, headers=bearer("sd_unknown"))).status == 503
    finally:
        client.app[DATABASE].pool = held


async def opened_with(client: Any, token: str) -> dict[str, str]:
    """The cookie of a session that was opened with the token."""
    answer = await client.post(WHO, headers=bearer(token))
    assert answer.status == 200, await answer.text()
    secret = answer.headers["Set-Cookie"].split("=", 1)[1].split(";")[0]
    client.session.cookie_jar.clear()
    return {"Cookie": f"stream_detector_session_{client.port}={secret}"}


async def test_x15_a_session_ends_with_the_revocation_of_its_token(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(signed_in=False)
    token, token_id = await token_of(pool, "operator")
    other, _ = await token_of(pool, "operator")
    ours, theirs = await opened_with(client, token), await opened_with(client, other)
    assert (await client.get(WHO, headers=ours)).status == 200
    assert {each.token_id for each in await credentials.sessions(pool)} >= {token_id}
    assert await credentials.revoke_token(pool, UUID(token_id)) == 1
    for path in (WHO, "/api/v1/ai/anomalies", "/api/v1/incidents"):
        assert (await client.get(path, headers=ours)).status == 401, path
    assert (await client.post(WHO, headers=bearer(token))).status == 401
    assert (await client.get(WHO, headers=theirs)).status == 200, "that of another token"


async def test_x15_revoked_beside_a_former_version_or_by_hand_it_ends_too(serve: Serve, pool: asyncpg.Pool) -> None:
    """`token revoke` of a former version only marks the token; somebody may have deleted its row."""
    client = await serve(signed_in=False)
    for statement in ("UPDATE tokens SET revoked_at = now() WHERE id = $1", "DELETE FROM tokens WHERE id = $1"):
        token, token_id = await token_of(pool, "viewer")
        cookie = await opened_with(client, token)
        await pool.execute(statement, UUID(token_id))
        assert (await client.get(WHO, headers=cookie)).status == 401, statement
        assert token_id not in {each.token_id for each in await credentials.sessions(pool)}


async def test_x15_a_session_ends_when_its_token_expires(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(signed_in=False)
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    token, token_id = await token_of(pool, "viewer", expires_at=soon)
    cookie = await opened_with(client, token)
    told = await (await client.get(WHO, headers=cookie)).json()
    assert datetime.fromisoformat(told["expires_at"]) == soon, "not the 7 days of a session"
    await pool.execute("UPDATE tokens SET expires_at = now() WHERE id = $1", UUID(token_id))
    assert (await client.get(WHO, headers=cookie)).status == 401


async def sessions_listed_by(client: Client, pool: asyncpg.Pool) -> list[str]:
    """What opened each session that the API lists."""
    token, _ = await credentials.create_token(pool, name="o", role="operator", expires_at=None)
    async with client.get("/api/v1/sessions", headers={"Authorization": f"Bearer {token}"}) as answer:
        return [each["opened_by"] for each in (await answer.json())["items"]]


async def test_x15_a_session_of_api_token_ends_when_that_is_changed(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(signed_in=False, api_token="open sesame")
    cookie = await opened_with(client, "open sesame")
    assert (await client.get(WHO, headers=cookie)).status == 200
    row = await pool.fetchrow("SELECT opened_by, setting_hash FROM sessions WHERE setting_hash IS NOT NULL")
    assert row["opened_by"] == "setting" and credentials.token_digest("open sesame") != row["setting_hash"]
    for changed in ("open barley", ""):
        again = await serve(signed_in=False, api_token=changed)
        name = f"stream_detector_session_{again.port}"
        moved = {"Cookie": f"{name}={cookie['Cookie'].split('=', 1)[1]}"}
        assert (await again.get(WHO, headers=moved)).status == 401, changed
        assert (await sessions_listed_by(again, pool)) == [], changed
    same = await serve(signed_in=False, api_token="open sesame")
    assert await sessions_listed_by(same, pool) == ["setting"]
    moved = {"Cookie": f"stream_detector_session_{same.port}={cookie['Cookie'].split('=', 1)[1]}"}
    assert (await same.get(WHO, headers=moved)).status == 200


async def test_x15_a_session_of_a_former_version_is_valid_until_it_expires_or_is_ended(
    serve: Serve, pool: asyncpg.Pool
) -> None:
    client = await serve(signed_in=False)
    await pool.execute(
        "INSERT INTO sessions (id_hash, name, role, expires_at) VALUES ($1, 'ann', 'operator', now() + interval '1 d')",
        credentials.token_digest("former"),
    )
    cookie = {"Cookie": f"stream_detector_session_{client.port}=former"}
    assert (await client.get(WHO, headers=cookie)).status == 200
    (session,) = [each for each in await credentials.sessions(pool) if each.opened_by is None]
    assert (session.name, session.token_id) == ("ann", None)
    assert await credentials.end_session_of_id(pool, UUID(session.id))
    assert (await client.get(WHO, headers=cookie)).status == 401
    assert not await credentials.end_session_of_id(pool, UUID(session.id))


async def test_x15_what_opened_a_session_is_known(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(signed_in=False)
    code = await credentials.make_link(pool, name="ann", role="operator")
    assert (await client.get(f"/open/{code}", allow_redirects=False)).status == 303
    await credentials.make_session(pool, "bob", "operator", "local")
    token, token_id = await token_of(pool, "viewer")
    await opened_with(client, token)
    assert {(each.opened_by, each.token_id) for each in await credentials.sessions(pool)} >= {
        ("link", None), ("local", None), ("token", token_id),
    }  # fmt: skip


async def test_x15_a_live_stream_ends_with_its_token(
    serve: Serve, pool: asyncpg.Pool, tansu: Tansu, make_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "HEARTBEAT_S", 0.2)
    await make_topics(make_settings(broker=tansu.address))
    client = await serve(signed_in=False, broker=tansu.address)
    token, token_id = await token_of(pool, "viewer")
    await wait_until(lambda: client.app[BROKER].state == "ok", "the API has its broker")

    async def connected() -> Any:
        while True:
            answer = await client.get("/api/v1/stream", headers=bearer(token))
            if answer.status == 200:
                return answer
            await asyncio.sleep(0.1)

    async with asyncio.timeout(30):
        stream = await connected()
        assert b"ready" in await stream.content.readuntil(b"\n\n")
        assert b"still here" in await stream.content.readuntil(b"\n\n"), "valid: it goes on"
        await credentials.revoke_token(pool, UUID(token_id))
        await stream.content.read()
    assert stream.content.at_eof()


async def test_x15_an_operator_ends_a_session_by_its_id(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(signed_in=False)
    operator, viewer = (await token_of(pool, "operator"))[0], (await token_of(pool, "viewer"))[0]
    cookie = await opened_with(client, viewer)
    listed = await (await client.get("/api/v1/sessions", headers=bearer(operator))).json()
    (session,) = [each for each in listed["items"] if each["name"] == "a viewer"]
    assert session["opened_by"] == "token" and not {"id_hash", "setting_hash"} & set(session)
    path = f"/api/v1/sessions/{session['id']}"
    assert (await client.delete(path, headers=bearer(viewer))).status == 403
    assert (await client.get(WHO, headers=cookie)).status == 200
    assert (await client.delete(path, headers=bearer(operator))).status == 204
    assert (await client.get(WHO, headers=cookie)).status == 401
    for gone in (path, "/api/v1/sessions/x"):
        assert (await client.delete(gone, headers=bearer(operator))).status == 404


async def test_made_up_tokens_cost_the_database_few_look_ups_and_known_ones_stay_valid(
    serve: Serve, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "NEW_PER_S", 1.0)
    client = await serve(signed_in=False)
    asked, real, began_s = list[bytes](), credentials.identity_of_token, time.monotonic()

    async def counted(pool: asyncpg.Pool, digest: bytes) -> Any:
        asked.append(digest)
        return await real(pool, digest)

    monkeypatch.setattr(credentials, "identity_of_token", counted)
    token, token_id = await token_of(pool, "viewer")
    assert (await client.get(WHO, headers=bearer(token))).status == 200
    for _ in range(5):
        assert (await client.get(WHO, headers=bearer("sd_same"))).status == 401
    assert len(asked) == 2, "what is unknown is not looked up again at once"
    for number in range(60):
        assert (await client.get(WHO, headers=bearer(f"sd_{number}"))).status == 401
    assert len(asked) <= 2 + 10 + (time.monotonic() - began_s), "ten at once, then one a second from one address"
    assert (await client.get(WHO, headers=bearer(token))).status == 200, "one that was valid is looked up each time"
    await credentials.revoke_token(pool, UUID(token_id))
    assert (await client.get(WHO, headers=bearer(token))).status == 401
