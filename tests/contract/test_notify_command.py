"""`notify test` and `notify preview`, as a person runs them, against real servers."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from tests.servers.slack import TOKEN, SlackServer
from tests.servers.smtp import MailServer
from tests.unit.notify.subjects import BALANCER, LIDO, run_of, slow


async def run(*words: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    command = [sys.executable, "-c", "from stream_detector.cli import run; run()", "notify", *words]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STREAM_DETECTOR_")}
    ours = {f"STREAM_DETECTOR_{name}": value for name, value in environment.items()}
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, env=clean | ours)
    return done.returncode, done.stdout, done.stderr


async def test_w25_slack_is_really_called(slack: SlackServer) -> None:
    code, out, _ = await run("test", "slack", SLACK_WEBHOOK_URL=slack.url)
    assert (code, out) == (0, "slack: delivered. Slack answered ok\n")
    assert "This is a test message" in slack.accepted[0]["text"]


async def test_w26_mail_is_really_sent(mail_server: MailServer) -> None:
    code, out, _ = await run(
        "test", "email", "--json", SMTP_URL=mail_server.url, EMAIL_FROM="a@example.org", EMAIL_TO="b@example.org"
    )
    assert code == 0
    assert json.loads(out) == {"channel": "email", "delivered": True, "answer": "mail server answered taken"}
    assert mail_server.mails[0]["Subject"] == "GVS: Info: Performance degradation in test-workflow"


async def test_a_failure_is_told_without_the_secret(slack: SlackServer) -> None:
    slack.answer_next(404, "no_service")
    code, out, err = await run("test", "slack", SLACK_WEBHOOK_URL=slack.url)
    assert code == 1
    assert "not delivered. Slack answered 404 no_service: the webhook was removed" in out
    assert TOKEN not in out + err


@pytest.mark.parametrize(
    ("channel", "environment", "words"),
    [
        ("slack", {}, "set SLACK_WEBHOOK_URL"),
        ("slack", {"SLACK_WEBHOOK_URL": "http://h/x", "SLACK_ENABLED": "false"}, "SLACK_ENABLED is false"),
        ("email", {"SMTP_URL": "smtp://h"}, "STREAM_DETECTOR_EMAIL_FROM=(not set): must be set together"),
        ("fax", {}, "is not one of"),
    ],
)
async def test_a_channel_that_is_not_set_is_wrong_usage(channel: str, environment: dict[str, str], words: str) -> None:
    code, _, err = await run("test", channel, **environment)
    assert code == 2
    assert words in err


async def test_preview_of_a_file_with_an_alert_and_a_run(tmp_path: Path) -> None:
    file = tmp_path / "alerts.jsonl"
    file.write_bytes(msgspec.json.encode(slow()) + b"\n" + msgspec.json.encode(run_of(LIDO, BALANCER)) + b"\n")
    code, out, _ = await run("preview", str(file), "--channel", "email", BASE_URL="https://b.example.org")
    assert code == 0
    assert "GVS: Critical: Performance degradation in Nightly" in out
    assert "• Lido: 7.5 → 5.8 (-1.7) ⬇️\n• Balancer: 5.0 → 5.8 (+0.8) ⬆️" in out
    assert "Dashboard: https://b.example.org/anomalies?run=2026-01-22" in out


async def test_preview_as_html_and_as_json(tmp_path: Path) -> None:
    file = tmp_path / "alert.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(slow())))
    assert (await run("preview", str(file), "--html"))[1].startswith("<!doctype html>")
    message = json.loads((await run("preview", str(file), "--json"))[1])
    assert message["blocks"][0]["type"] == "header"


async def test_preview_of_an_id_asks_the_api(tmp_path: Path) -> None:
    alert = slow()

    async def answer(request: web.Request) -> web.Response:
        known = request.match_info["id"] == alert.id and request.headers["Authorization"] == "Bearer t"
        return web.Response(body=msgspec.json.encode(alert)) if known else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/api/v1/ai/anomalies/{id}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = str(runner.addresses[0][1])
    code, out, _ = await run("preview", alert.id, API_PORT=port, API_TOKEN="t")
    assert code == 0 and out.startswith("Critical: Performance degradation in Nightly")
    code, _, err = await run("preview", "unknown", API_PORT=port, API_TOKEN="t")
    assert code == 1 and "there is neither a file nor an anomaly unknown" in err
    await runner.cleanup()
    code, _, err = await run("preview", alert.id, API_PORT=port)
    assert code == 1 and "does not answer" in err


async def test_preview_of_something_else_says_so(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"a": 1}')
    code, _, err = await run("preview", str(file))
    assert code == 1
    assert "neither an anomaly (v1) nor a run summary (v1)" in err


async def test_validate_lists_the_routes_and_shows_the_way_of_an_anomaly(tmp_path: Path) -> None:
    routes, alerts = tmp_path / "routes.toml", tmp_path / "alerts.jsonl"
    routes.write_text(
        '[[route]]\nname = "night"\nmatch = { workflow = "night*" }\nchannels = ["email"]\ncontinue = true'
    )
    alerts.write_bytes(msgspec.json.encode(slow()) + b"\n" + msgspec.json.encode(run_of(LIDO)) + b"\n")
    code, out, _ = await run("validate", str(routes), "--for", str(alerts))
    assert code == 0
    assert out.splitlines() == [
        f"{routes}: valid, 1 route",
        "  night: workflow night* from warning on -> email, and on",
        f"  {slow().id}: night, (the settings)",
        "  run 2026-01-22: (the settings)",
    ]
    code, out, _ = await run("validate", str(routes), "--json")
    assert (code, json.loads(out)) == (0, {"valid": True, "routes": ["night"], "ways": []})


async def test_validate_says_what_is_wrong_and_where(tmp_path: Path) -> None:
    routes = tmp_path / "routes.toml"
    routes.write_text('[[route]]\nname = "a"\nchannels = ["fax"]')
    code, out, _ = await run("validate", str(routes))
    assert code == 1 and "route 1 (a): channels: unknown channel 'fax'; known: slack" in out
    code, out, _ = await run("validate", str(routes), "--json")
    assert code == 1 and json.loads(out)["valid"] is False
