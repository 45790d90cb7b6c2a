"""`token` against a real database."""

import asyncio
import json
import re
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner

from stream_detector.cli import main
from stream_detector.cli.api_client import use_running_stack
from stream_detector.devstack.folder import DataFolder
from stream_detector.settings import load
from stream_detector.store import credentials
from stream_detector.store.connect import open_pool


def call(url: str, *words: str, code: int = 0, command: str = "token") -> str:
    result = CliRunner().invoke(main, [command, *words], env={"STREAM_DETECTOR_DATABASE_URL": url})
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


def test_a_token_is_shown_once_listed_without_it_and_revoked(postgres_url: str) -> None:
    made = json.loads(call(postgres_url, "create", "--role", "producer", "--name", "ci", "--json"))
    assert made["token"].startswith("sd_") and made["role"] == "producer"
    assert call(postgres_url, "create", "--role", "viewer").startswith("sd_")
    text = call(postgres_url, "list")
    assert "ci" in text and "producer" in text and "never used" in text and "sd_" not in text
    call(postgres_url, "revoke", made["id"])
    assert re.search(rf"{made['id']}  producer  revoked", call(postgres_url, "list"))
    listed = json.loads(call(postgres_url, "list", "--json"))
    assert {each["name"] for each in listed} == {"ci", "viewer"}


def test_x24_a_ping_key_is_created_with_its_url_and_listed_with_its_workflow(postgres_url: str) -> None:
    result = CliRunner().invoke(
        main,
        ["token", "create", "--role", "producer", "--workflow", "nightly-backup"],
        env={"STREAM_DETECTOR_DATABASE_URL": postgres_url, "STREAM_DETECTOR_BASE_URL": "https://watch.example.org/"},
    )
    key = result.stdout.strip()
    assert key.startswith("sd_ping_") and f"https://watch.example.org/ping/{key}/start" in result.stderr
    assert "ping key of nightly-backup" in call(postgres_url, "list")
    (stored,) = json.loads(call(postgres_url, "list", "--json"))
    assert (stored["workflow_id"], stored["role"], stored["name"]) == ("nightly-backup", "producer", "nightly-backup")
    for role, workflow in (
        ("operator", "nightly"),
        ("viewer", "nightly"),
        ("producer", "n" * 257),
        ("producer", "a\nb"),
        ("producer", ""),
    ):
        assert "--workflow" in call(postgres_url, "create", "--role", role, "--workflow", workflow, code=2)


def open_session(url: str, token: str) -> str:
    """Its id. The API opens it, with the token that a browser sends."""

    async def go() -> None:
        pool = await open_pool(url, name="test", size=1)
        try:
            assert await credentials.make_session_of_token(pool, credentials.token_digest(token))
        finally:
            await pool.close()

    before = {each["id"] for each in json.loads(call(url, "list", "--json", command="session"))}
    asyncio.run(go())
    (new,) = {each["id"] for each in json.loads(call(url, "list", "--json", command="session"))} - before
    return str(new)


def test_x15_the_sessions_of_a_token_are_listed_with_it_and_end_with_it(postgres_url: str) -> None:
    made = json.loads(call(postgres_url, "create", "--role", "operator", "--name", "ann", "--json"))
    first, second = (open_session(postgres_url, made["token"]) for _ in range(2))
    text = call(postgres_url, "list")
    lines = text[text.index(made["id"]) :].splitlines()
    assert {lines[1].split()[1], lines[2].split()[1]} == {first, second} and "by token" in lines[1]
    (listed,) = [each for each in json.loads(call(postgres_url, "list", "--json")) if each["id"] == made["id"]]
    assert {each["id"] for each in listed["sessions"]} == {first, second}
    assert call(postgres_url, "end", first, command="session") == f"session {first} has ended\n"
    assert first not in call(postgres_url, "list", command="session")
    assert "no valid session" in call(postgres_url, "end", first, code=1, command="session")
    assert "not the id of a session" in call(postgres_url, "end", "x", code=2, command="session")
    assert call(postgres_url, "revoke", made["id"]) == f"{made['id']} is revoked; browser sessions ended: 1\n"
    assert second not in call(postgres_url, "list") + call(postgres_url, "list", command="session")


async def test_x15_a_session_of_a_former_api_token_is_not_listed_where_the_present_one_is_known(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = credentials.setting_hash_of("open sesame")
    assert former is not None
    await asyncio.to_thread(call, postgres_url, "list")  # makes the tables
    async with await asyncpg.create_pool(postgres_url, min_size=1, max_size=1) as pool:
        await credentials.make_session_of_setting(pool, "API_TOKEN", "operator", former)
    for token, listed in (("", 1), ("open sesame", 1), ("open barley", 0), ("sd_a-token-of-a-client", 1)):
        monkeypatch.setenv("STREAM_DETECTOR_API_TOKEN", token)
        shown = await asyncio.to_thread(call, postgres_url, "list", "--json", command="session")
        assert len(json.loads(shown)) == listed, token


def test_what_cannot_be_revoked_says_so(postgres_url: str) -> None:
    assert "not the id of a token" in call(postgres_url, "revoke", "x", code=2)
    assert "no token" in call(postgres_url, "revoke", "00000000-0000-0000-0000-000000000000", code=1)
    assert "Missing option" in call(postgres_url, "create", code=2)


def test_a_link_leads_to_where_people_reach_the_page(postgres_url: str) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:8080/open/[\w-]{43}\n", call(postgres_url, "link"))
    named = call(postgres_url, "link", "--base-url", "https://watch.example/", "--json")
    assert json.loads(named)["link"].startswith("https://watch.example/open/")


def test_without_a_database_it_is_2(tmp_path: Path) -> None:
    assert "DATABASE_URL" in call("", "list", "--data-dir", str(tmp_path), code=2)


@pytest.mark.parametrize("below", ["", "demo"])
def test_the_running_up_of_this_user_is_found_and_not_mixed_into_what_is_named(tmp_path: Path, below: str) -> None:
    folder = DataFolder(tmp_path / below)
    running = {
        "broker": "b:1",
        "database_url": "postgresql:///x",
        "api_token": "t",
        "topic_prefix": "",
        "api_port": "7",
    }
    folder.write_running(running)
    try:
        assert (folder.path / "running.json").stat().st_mode & 0o777 == 0o600
        found = use_running_stack(load({}, flags={"data_dir": str(tmp_path)}))
        assert (found.broker, found.database_url, found.api_token, found.api_port) == ("b:1", "postgresql:///x", "t", 7)
        named = use_running_stack(load({}, flags={"data_dir": str(tmp_path), "broker": "mine:1"}))
        assert (named.broker, named.database_url, named.api_token) == ("mine:1", "", "")
    finally:
        folder.close()
    assert use_running_stack(load({}, flags={"data_dir": str(tmp_path)})).broker == ""
