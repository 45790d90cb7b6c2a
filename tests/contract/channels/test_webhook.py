"""The signed webhook."""

import json

from stream_detector.notify.configure import connect_channels
from stream_detector.notify.message import Delivered, Refused
from stream_detector.notify.signing import is_genuine
from stream_detector.settings import Settings
from tests.contract.channels.provider import Provider
from tests.servers.hook import HookServer

HOOK_SECRET = "very-secret-signing-key-of-32-bytes"


def webhook_provider(server: HookServer) -> Provider:
    url = f"http://127.0.0.1:{server.port}/hooks/very-secret-path"
    settings = Settings(webhook_url=url, webhook_secret=HOOK_SECRET)
    return Provider(
        name="webhook",
        channel=connect_channels(settings)["webhook"],
        secrets=("very-secret-path", HOOK_SECRET),
        count=lambda: len(server.requests),
        busy=lambda: server.answer_next(503, f"not now, {url} {HOOK_SECRET}", {"Retry-After": "7"}),
        refuse=lambda: server.answer_next(410, f"gone: {url}"),
        hang=server.hang_next,
        hanging=server.hanging,
        stop=server.stop,
        wait_s=7.0,
        ask_to_wait=lambda headers, body: server.answer_next(429, body, headers),
    )


async def test_webhook_is_signed_and_follows_no_redirect() -> None:
    server = await HookServer().start()
    made = webhook_provider(server)
    assert isinstance(await made.channel.deliver(made.message()), Delivered)
    body, headers = server.requests[0]
    secret, stamp = HOOK_SECRET.encode(), headers["X-Stream-Detector-Timestamp"]
    given = headers["X-Stream-Detector-Signature"]
    assert is_genuine(secret, stamp, body, given, float(stamp))
    assert not is_genuine(secret, stamp, body + b" ", given, float(stamp))
    assert not is_genuine(secret, stamp, body, given, float(stamp) + 301)
    assert not is_genuine(b"another", stamp, body, given, float(stamp))
    assert not is_genuine(secret, "soon", body, given, float(stamp))
    payload = json.loads(body)
    assert payload["id"] == headers["Idempotency-Key"] == made.message().id
    assert payload["severity"] == "critical" and payload["title"].startswith("Title Bcc")
    server.answer_next(307, "", {"Location": f"http://127.0.0.1:{server.port}/elsewhere"})
    assert isinstance(await made.channel.deliver(made.message()), Refused)
    assert len(server.requests) == 1
    await made.channel.close()
    await server.stop()
