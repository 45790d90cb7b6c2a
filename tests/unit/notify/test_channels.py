"""What channels know without a server."""

import pytest

from stream_detector.notify.channels.email_smtp import MailServer
from stream_detector.notify.channels.slack_webhook import SlackWebhook


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("mail.example.org", False), ("10.0.0.1", False)],
)
def test_a_password_may_go_unencrypted_to_this_machine_alone(host: str, local: bool) -> None:
    assert MailServer(host=host, port=25).local is local


@pytest.mark.parametrize(("host", "proxy"), [("localhost", None), ("slack.example.org", "http://proxy.example.org:1")])
async def test_a_proxy_is_used_for_other_machines_alone(
    host: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org:1")
    channel = SlackWebhook(f"http://{host}/services/x")
    assert channel._client().proxy == proxy
    await channel.close()
