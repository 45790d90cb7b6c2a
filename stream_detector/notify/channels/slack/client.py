"""Slack's incoming webhook. Its URL is the secret: it stands in no reason, no error and no log."""

import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.webhook.async_client import AsyncWebhookClient

from stream_detector.notify.channels.channel import ANSWER_WITHIN_S
from stream_detector.notify.channels.http import BoundedResponse, asked_wait_s, is_local, why
from stream_detector.notify.message import Delivered, Message, Refused, Result, RetryAfter
from stream_detector.notify.rendering.escape import one_line

WHAT_TO_DO = {
    "invalid_token": "the webhook was revoked; create a new one and set SLACK_WEBHOOK_URL",
    "no_service": "the webhook was removed; create a new one and set SLACK_WEBHOOK_URL",
    "no_active_hooks": "the webhook was disabled in Slack",
    "channel_not_found": "the webhook's Slack channel was deleted",
    "channel_is_archived": "the webhook's Slack channel was archived",
    "action_prohibited": "a workspace administrator does not allow it",
}
"""What Slack answers when it will never take it, and what to do about it."""


class SlackWebhook:
    """Posts to one webhook. Tries once: the policy's state holds the retries, so the client's own are off."""

    def __init__(self, url: str, *, timeout_s: float = ANSWER_WITHIN_S) -> None:
        self._url, self.timeout_s = url, timeout_s
        # The client logs the URL at debug level; a logger of its own, shared with nobody, swallows that.
        self._log = logging.Logger("slack webhook", level=logging.CRITICAL)
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, message: Message) -> Result:
        """Post it once."""
        body = {"text": message.text, "mrkdwn": False, "blocks": message.blocks}
        try:
            answer = await self._client().send_dict({k: v for k, v in body.items() if v != []})
        except TimeoutError:
            return RetryAfter(0.0, f"Slack did not respond within {self.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return RetryAfter(0.0, f"Slack cannot be reached ({why(error)})")
        return self._read(answer.status_code, str(answer.body or ""), answer.headers)

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()
        self._session = None

    def _client(self) -> AsyncWebhookClient:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self.timeout_s), response_class=BoundedResponse
            )
        client = AsyncWebhookClient(self._url, session=self._session, logger=self._log, retry_handlers=[])
        if is_local(self._url):
            client.proxy = None  # the client takes HTTPS_PROXY for every host, also for this one
        return client

    def _read(self, status: int, body: str, headers: Mapping[str, str]) -> Result:
        answer_text = one_line(body.replace(self._url, "(hidden)").replace(urlsplit(self._url).path, "(hidden)"), 200)
        if status == 200 and answer_text == "ok":
            return Delivered("Slack answered ok")
        if status == 429 or status == 408 or status >= 500:
            return RetryAfter(asked_wait_s(headers, body), f"Slack answered {status} {answer_text}".strip())
        hint = WHAT_TO_DO.get(answer_text)
        return Refused(f"Slack answered {status} {answer_text}".strip() + (f": {hint}" if hint else ""))
