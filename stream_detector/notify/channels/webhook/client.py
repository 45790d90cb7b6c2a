"""A generic webhook: JSON, signed. Its address may hold a token, so it stands in no reason, no error and no log."""

import json
import time

import aiohttp

from stream_detector.notify.channels.channel import ANSWER_WITHIN_S
from stream_detector.notify.channels.http import asked_wait_s, is_local, why
from stream_detector.notify.message import Delivered, Message, Refused, Result, RetryAfter
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, signature

ANSWER_BYTES = 1_000


class Webhook:
    """Posts every message to one address. Follows no redirect: what is signed for one receiver goes to no other."""

    def __init__(self, url: str, secret: bytes, *, timeout_s: float = ANSWER_WITHIN_S) -> None:
        self._url, self._secret, self.timeout_s = url, secret, timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, message: Message) -> Result:
        """Post it once. 2xx is taken; 408, 425, 429 and 5xx are tried again; anything else is refused."""
        body = payload(message)
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.id,
            TIMESTAMP_HEADER: timestamp,
            SIGNATURE_HEADER: signature(self._secret, timestamp, body),
        }
        timeout = aiohttp.ClientTimeout(total=self.timeout_s)
        try:
            async with self._open().post(
                self._url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                answered = (await answer.content.read(ANSWER_BYTES)).decode("utf-8", "replace")
        except TimeoutError:
            return RetryAfter(0.0, f"webhook did not respond within {self.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return RetryAfter(0.0, f"webhook cannot be reached ({why(error)})")
        words = f"webhook answered {answer.status} {self._hidden(one_line(answered, 100))}".strip()
        if 200 <= answer.status < 300:
            return Delivered(words)
        if answer.status in (408, 425, 429) or answer.status >= 500:
            return RetryAfter(asked_wait_s(answer.headers, answered), words)
        return Refused(words)

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()
        self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(trust_env=not is_local(self._url))
        return self._session

    def _hidden(self, words: str) -> str:
        secret = self._secret.decode("utf-8", "replace")
        return words.replace(self._url, "(hidden)").replace(secret, "(hidden)")


def payload(message: Message) -> bytes:
    """The body: the message as text, and what it is about. Fields may be added, none changes its meaning."""
    fields = {
        "schema_version": 1,
        "id": message.id,
        "state": message.state,
        "severity": message.severity,
        "title": message.title,
        "text": message.text,
        "note": message.note,
        "link": message.link,
        "incident_id": message.incident_id,
        "anomaly_id": message.anomaly_id,
        "run_id": message.run_id,
    }
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")
