"""An HTTP server that takes what Slack's incoming webhooks take, and refuses what they refuse."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

TOKEN = "T000/B000/very-secret-token"


class SlackServer:
    """`url` is the webhook; `accepted` every payload that it took. `answer_next` changes what it says."""

    def __init__(self) -> None:
        self.url = ""
        self.accepted: list[dict[str, Any]] = []
        self.requests = 0
        self._next: deque[tuple[int, str, dict[str, str]] | None] = deque()
        self.hanging = asyncio.Event()
        """Set once somebody waits for an answer that does not come."""
        self._released = asyncio.Event()
        self._runner: web.AppRunner | None = None

    def answer_next(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        """Answer one request so, before looking at it."""
        self._next.append((status, body, headers or {}))

    def hang_next(self) -> None:
        """Leave one request without an answer until the server stops."""
        self._next.append(None)

    async def start(self) -> "SlackServer":
        app = web.Application(client_max_size=4 * 2**20)
        app.router.add_post("/services/{token:.+}", self._post)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/services/{TOKEN}"
        return self

    async def stop(self) -> None:
        self._released.set()
        if self._runner:
            await self._runner.cleanup()

    async def _post(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self._next:
            planned = self._next.popleft()
            if planned is None:
                self.hanging.set()
                await self._released.wait()
                return web.Response(status=500)
            status, body, headers = planned
            return web.Response(status=status, text=body, headers=headers)
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
