"""What channels know without a server."""

from email import message_from_bytes
from email.headerregistry import Address
from email.policy import default

import pytest

from stream_detector.notify.channels.email.client import EmailSmtp, MailServer
from stream_detector.notify.channels.slack.client import SlackWebhook
from stream_detector.notify.stages.render import message_about
from stream_detector.notify.subject import Run
from tests.unit.notify.subjects import CONFIG, ENDED, change, slow


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


@pytest.mark.parametrize("text", ["x" * 10_000, "é" * 10_000, "=" * 10_000, ".\r\n" * 3_000, "word " * 2_000])
def test_no_line_of_a_mail_is_too_long_and_none_of_a_run_is_lost(text: str) -> None:
    """RFC 5321: 998 characters and the line's end. Quoted-printable keeps to 76 without losing any."""
    channel = EmailSmtp(MailServer(host="h", port=25), Address("Alerts", "a", "example.org"), [Address("", "b", "c.d")])
    long = slow(entity_name=text[:512], description=text, investigation_steps=[text] * 5)
    names = [f"Entity {number:04} {text[:40]}" for number in range(2_000)]
    run = Run(run_id="r", ended_at=ENDED, anomalies=tuple(change(name, "7.5", "5.8") for name in names))
    for subject in (long, run):
        message = message_about("email", subject, CONFIG, "m1")
        raw = channel.compose(message).as_bytes()
        assert max(map(len, raw.split(b"\r\n"))) <= 78 and b"\n" not in raw.replace(b"\r\n", b"")
        mail = message_from_bytes(raw, policy=default)
        plain, html = mail.get_body(("plain",)), mail.get_body(("html",))  # type: ignore[attr-defined]
        assert plain.get_content().rstrip("\n").splitlines() == message.text.splitlines()
        assert html.get_content().split() == message.html.split()
        assert len(mail["Subject"]) <= 200 and "\n" not in mail["Subject"]
