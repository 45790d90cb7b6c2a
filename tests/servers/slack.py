"""An HTTP server that takes what Slack's incoming webhooks and its Web API take, and refuses what they refuse."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

TOKEN = "T000/B000/very-secret-token"
BOT_TOKEN, BOT_CHANNEL = "xoxb-very-secret-bot-token", "C0123456789"


class SlackServer:
    """`url` is the webhook; `accepted` every payload that it took. `answer_next` changes what it says."""

    def __init__(self) -> None:
        self.url = ""
        self.accepted: list[dict[str, Any]] = []
        self.messages: dict[str, dict[str, Any]] = {}
        """What stands in the bot's channel: timestamp -> the message, as it was changed last."""
        self.replies: dict[str, list[dict[str, Any]]] = {}
        """Timestamp -> what was said in its thread."""
        self.requests = 0
        self._next: deque[tuple[int, str, dict[str, str]] | None] = deque()
        self._slow_by_s: deque[float] = deque()
        self._port = 0
        self.hanging = asyncio.Event()
        """Set once somebody waits for an answer that does not come."""
        self._released = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def api_url(self) -> str:
        """Where the Web API is."""
        return self.url.partition("/services/")[0] + "/api/"

    def answer_next(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        """Answer one request so, before looking at it."""
        self._next.append((status, body, headers or {}))

    def hang_next(self) -> None:
        """Leave one request without an answer until the server stops."""
        self._next.append(None)

    def slow_next(self, after_s: float) -> None:
        """Take one payload, and say so only after a while."""
        self._slow_by_s.append(after_s)

    @property
    def planned(self) -> int:
        """How many answers that were planned have not been given."""
        return len(self._next) + len(self._slow_by_s)

    def forget_plans(self) -> None:
        """Answer as usual from now on; who waits already goes on waiting."""
        self._next.clear()

    async def start(self) -> "SlackServer":
        """Listen; after a `stop` on the same port again."""
        self._released.clear()
        app = web.Application(client_max_size=4 * 2**20)
        app.router.add_post("/services/{token:.+}", self._post)
        app.router.add_post("/api/{method}", self._call)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}/services/{TOKEN}"
        return self

    async def stop(self) -> None:
        self._released.set()
        if self._runner:
            await self._runner.cleanup()

    async def _planned(self) -> web.Response | None:
        self.requests += 1
        if not self._next:
            return None
        planned = self._next.popleft()
        if planned is None:
            self.hanging.set()
            await self._released.wait()
            return web.Response(status=500)
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
        await asyncio.sleep(self._slow_by_s.popleft() if self._slow_by_s else 0.0)
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
