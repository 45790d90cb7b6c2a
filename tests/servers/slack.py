"""An HTTP server that takes what Slack's incoming webhooks and its Web API take, and refuses what they refuse."""

from collections.abc import AsyncIterator
from typing import Any, Self

import pytest
from aiohttp import web

from tests.servers.planned import PlannedServer

TOKEN = "T000/B000/very-secret-token"
BOT_TOKEN, BOT_CHANNEL = "xoxb-very-secret-bot-token", "C0123456789"


class SlackServer(PlannedServer):
    """`accepted` holds every payload that it took."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted: list[dict[str, Any]] = []
        self.messages: dict[str, dict[str, Any]] = {}
        """What stands in the bot's channel: timestamp -> the message, as it was changed last."""
        self.replies: dict[str, list[dict[str, Any]]] = {}
        """Timestamp -> what was said in its thread."""
        self.requests = 0

    @property
    def url(self) -> str:
        """The webhook."""
        return f"http://127.0.0.1:{self.port}/services/{TOKEN}"

    @property
    def api_url(self) -> str:
        """Where the Web API is."""
        return f"http://127.0.0.1:{self.port}/api/"

    async def start(self) -> Self:
        """Listen."""
        await self.listen(web.post("/services/{token:.+}", self._post), web.post("/api/{method}", self._call))
        return self

    async def _planned(self) -> web.Response | None:
        self.requests += 1
        planned = await self.next_answer()
        if planned is None:
            return None
        status, body, headers = planned
        kind = "application/json" if body.startswith("{") else "text/plain"
        return web.Response(status=status, text=body, headers=headers, content_type=kind)

    async def _call(self, request: web.Request) -> web.Response:
        """`chat.postMessage` and `chat.update` of the Web API."""
        planned = await self._planned()
        if planned:
            return planned
        if request.headers.get("Authorization") != f"Bearer {BOT_TOKEN}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        payload = await request.json()
        if payload.get("channel") != BOT_CHANNEL:
            return web.json_response({"ok": False, "error": "channel_not_found"})
        problem = problem_with(payload)
        if problem:
            return web.json_response({"ok": False, "error": problem})
        method = request.match_info["method"]
        stamp = payload.get("ts") or payload.get("thread_ts")
        if stamp is not None and stamp not in self.messages:
            return web.json_response({"ok": False, "error": "message_not_found"})
        if method == "chat.update":
            self.messages[payload["ts"]] = payload
        elif method == "chat.postMessage" and stamp:
            self.replies.setdefault(stamp, []).append(payload)
        elif method == "chat.postMessage":
            stamp = f"1769083200.{len(self.messages):06}"
            self.messages[stamp] = payload
        else:
            return web.json_response({"ok": False, "error": "unknown_method"})
        self.accepted.append(payload)
        return web.json_response({"ok": True, "channel": BOT_CHANNEL, "ts": stamp})

    async def _post(self, request: web.Request) -> web.Response:
        planned = await self._planned()
        if planned:
            return planned
        if request.match_info["token"] != TOKEN:
            return web.Response(status=403, text="invalid_token")
        try:
            payload = await request.json()
        except ValueError:
            return web.Response(status=400, text="invalid_payload")
        problem = problem_with(payload)
        if problem:
            return web.Response(status=400, text=problem)
        self.accepted.append(payload)
        await self.be_slow()
        return web.Response(text="ok")


def problem_with(payload: Any) -> str:
    """What Slack would refuse the payload for, or nothing. Limits: docs.slack.dev, Block Kit reference."""
    if not isinstance(payload, dict):
        return "invalid_payload"
    text, blocks = payload.get("text", ""), payload.get("blocks", [])
    if not text and not blocks:
        return "no_text"
    if len(text) > 40_000:
        return "msg_too_long"
    if not isinstance(blocks, list) or len(blocks) > 50:
        return "invalid_blocks"
    return "" if all(_block_is_fine(block) for block in blocks) else "invalid_blocks"


def _block_is_fine(block: dict[str, Any]) -> bool:
    match block.get("type"):
        case "header":
            return block["text"]["type"] == "plain_text" and _text_is_fine(block["text"], 150)
        case "section":
            fields = block.get("fields", [])
            whole = "text" not in block or _text_is_fine(block["text"], 3_000)
            return bool("text" in block or fields) and whole and len(fields) <= 10 and _all_fine(fields, 2_000)
        case "context":
            return 1 <= len(block["elements"]) <= 10 and _all_fine(block["elements"], 3_000)
        case "divider":
            return True
    return False


def _all_fine(texts: list[dict[str, Any]], limit: int) -> bool:
    return all(_text_is_fine(text, limit) for text in texts)


def _text_is_fine(text: dict[str, Any], limit: int) -> bool:
    allowed = {"plain_text": {"type", "text", "emoji"}, "mrkdwn": {"type", "text", "verbatim"}}
    return set(text) <= allowed.get(text["type"], set()) and 1 <= len(text["text"]) <= limit


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    """Running for the test."""
    server = await SlackServer().start()
    yield server
    await server.stop()
