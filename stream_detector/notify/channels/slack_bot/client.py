"""Slack by a bot's token: one message per incident, changed as it goes on, with what is new in its thread."""

import logging
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from stream_detector.notify.channels.channel import ANSWER_WITHIN_S
from stream_detector.notify.channels.http import BoundedResponse, asked_wait_s, is_local, why
from stream_detector.notify.message import Delivered, Message, Refused, Result, RetryAfter
from stream_detector.notify.rendering.escape import for_slack, one_line

LATER = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
"""Slack's errors that pass by themselves."""

GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"})
"""The message cannot be changed any more: a new one takes its place."""

WHAT_TO_DO = {
    "invalid_auth": "the token is wrong or was revoked; set SLACK_BOT_TOKEN",
    "not_authed": "the token is missing; set SLACK_BOT_TOKEN",
    "token_revoked": "the token was revoked; create a new one and set SLACK_BOT_TOKEN",
    "account_inactive": "the bot was disabled in Slack",
    "missing_scope": "give the bot the scope chat:write and install it again",
    "not_in_channel": "invite the bot into the channel",
    "channel_not_found": "there is no such channel, or the bot is not in it; set SLACK_BOT_CHANNEL",
    "is_archived": "the channel was archived",
}


class SlackBot:
    """Posts to one channel. Tries once: the policy's state holds the retries, so the client's own are off."""

    def __init__(
        self, token: str, channel: str, *, api_url: str = "https://slack.com/api/", timeout_s: float = ANSWER_WITHIN_S
    ) -> None:
        self._token, self._channel, self._api_url, self.timeout_s = token, channel, api_url, timeout_s
        # The client logs what it sends at debug level; a logger of its own, shared with nobody, swallows that.
        self._log = logging.Logger("slack bot", level=logging.CRITICAL)
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, message: Message) -> Result:
        """Post it, or change the message that it names and say in its thread what is new."""
        try:
            if message.reference:
                return await self._change(message)
            return await self._post(message)
        except SlackApiError as error:
            return self._refused(error)
        except TimeoutError:
            return RetryAfter(0.0, f"Slack did not respond within {self.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return RetryAfter(0.0, f"Slack cannot be reached ({why(error)})")
        except (SlackClientError, ValueError, AttributeError) as error:
            # An answer that is no JSON, such as a proxy's page: the client asks plain text for its `get`.
            return RetryAfter(0.0, f"Slack's response is invalid ({type(error).__name__})")

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()
        self._session = None

    async def _post(self, message: Message, **more: Any) -> Result:
        answer = await self._client().chat_postMessage(channel=self._channel, **_content(message), **more)
        return Delivered("Slack answered ok", reference=f"{answer.get('channel', '')} {answer.get('ts', '')}")

    async def _change(self, message: Message) -> Result:
        channel, _, stamp = message.reference.partition(" ")
        try:
            await self._client().chat_update(channel=channel, ts=stamp, **_content(message))
        except SlackApiError as error:
            if _error_of(error) not in GONE:
                raise
            return await self._post(message)
        try:
            await self._client().chat_postMessage(
                channel=channel,
                thread_ts=stamp,
                text=for_slack(message.note or message.title),
                mrkdwn=False,
                # A change notifies nobody, a reply only who is in the thread: what got critical everybody must see.
                reply_broadcast=message.state == "ongoing" and message.severity == "critical",
            )
        except (SlackClientError, aiohttp.ClientError, OSError, TimeoutError, ValueError, AttributeError):
            # It is delivered: the message has changed. Failing now would change it again, and write the reply twice.
            return Delivered("Slack updated the message but rejected the reply in its thread", message.reference)
        return Delivered("Slack updated the message", message.reference)

    def _client(self) -> AsyncWebClient:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self.timeout_s), response_class=BoundedResponse
            )
        client = AsyncWebClient(
            self._token, base_url=self._api_url, session=self._session, logger=self._log, retry_handlers=[]
        )
        if is_local(self._api_url):
            client.proxy = None  # the client takes HTTPS_PROXY for every host, also for this one
        return client

    def _refused(self, error: SlackApiError) -> Result:
        response = error.response
        status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0) or 0)
        answer_text = one_line(_error_of(error), 100).replace(self._token, "(hidden)")
        headers = getattr(response, "headers", None) or {}
        words = f"Slack answered {answer_text or status}"
        # A page in place of Slack's JSON comes from something that stands between, for a while.
        passes = answer_text in LATER or status in (408, 429) or status >= 500 or (not answer_text and status < 400)
        if passes:
            return RetryAfter(asked_wait_s(headers), words)
        hint = WHAT_TO_DO.get(answer_text)
        return Refused(words + (f": {hint}" if hint else ""))


def _error_of(error: SlackApiError) -> str:
    """Slack's word for what is wrong, empty where it gave none."""
    data = getattr(error.response, "data", None)
    return str(data.get("error") or "") if isinstance(data, dict) else ""


def _content(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {"text": message.text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
    if message.reference:
        found = {"text": message.text}  # what is changed takes no more
    return {**found, "blocks": message.blocks} if message.blocks else found
