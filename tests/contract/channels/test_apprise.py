"""Apprise."""

import json

from stream_detector.notify.configure import connect_channels
from stream_detector.notify.message import Delivered
from stream_detector.settings import Settings
from tests.contract.channels.provider import Provider
from tests.servers.hook import HookServer


def apprise_provider(server: HookServer) -> Provider:
    url = f"json://user:very-secret-password@127.0.0.1:{server.port}/very-secret-path"
    return Provider(
        name="apprise",
        channel=connect_channels(Settings(apprise_urls=url))["apprise"],
        secrets=("very-secret-path", "very-secret-password"),
        count=lambda: len(server.requests),
        busy=lambda: server.answer_next(503),
        refuse=lambda: server.answer_next(400),
        hang=server.hang_next,
        hanging=server.hanging,
        stop=server.stop,
        refuses=False,
    )


async def test_apprise_gets_title_text_and_how_bad_it_is() -> None:
    server = await HookServer().start()
    made = apprise_provider(server)
    assert isinstance(await made.channel.deliver(made.message()), Delivered)
    payload = json.loads(server.requests[0][0])
    assert (
        payload["type"] == "failure" and payload["title"].startswith("Title") and payload["message"].startswith("Text")
    )
    await server.stop()
