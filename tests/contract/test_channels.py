"""One suite for every channel, against real servers: what the contract of `Channel` promises, and no secret told."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream_detector.notify.channels.channel import Channel
from stream_detector.notify.configure import connect_channels
from stream_detector.notify.message import Delivered, Delivery, Message, Refused, Result, RetryAfter
from stream_detector.notify.signing import is_genuine
from stream_detector.notify.stages.deliver import Deliverer
from stream_detector.settings import Settings
from tests.servers.hook import HookServer
from tests.servers.slack import BOT_CHANNEL, BOT_TOKEN, TOKEN, SlackServer
from tests.servers.smtp import PASSWORD, USER, MailServer

HOOK_SECRET = "very-secret-signing-key-of-32-bytes"
HOSTILE = "Bcc: all@example.org\u2028<!channel> <@U1> & ≠ 😀 \u202e"


@dataclass
class Provider:
    """A channel with the server that it talks to, and how to make that server misbehave."""

    name: str
    channel: Channel
    secrets: tuple[str, ...]
    count: Callable[[], int]
    busy: Callable[[], None]
    refuse: Callable[[], None]
    hang: Callable[[], None]
    hanging: asyncio.Event
    stop: Callable[[], Any]
    wait_s: float = 0.0
    """The wait that it asks for when it is busy."""
    refuses: bool = True
    """Whether one can tell from it that a message will never be taken."""

    def message(self, number: int = 1) -> Message:
        blocks = [{"type": "section", "text": {"type": "plain_text", "text": "x"}}] if "slack" in self.name else []
        return Message(
            id=f"6f1f7d3e-52c2-5f0a-9a41-{number:012}",
            channel=self.name,
            severity="critical",
            title=f"Title {HOSTILE}",
            text=f"Text {HOSTILE}",
            html="<p>Text</p>" if self.name == "email" else "",
            blocks=blocks,
            link="http://127.0.0.1:8080/anomalies/1",
        )


def of_slack(server: SlackServer) -> Provider:
    return Provider(
        name="slack",
        channel=connect_channels(Settings(slack_webhook_url=server.url))["slack"],
        secrets=(TOKEN, TOKEN.split("/")[-1]),
        count=lambda: len(server.accepted),
        busy=lambda: server.answer_next(429, "rate_limited", {"Retry-After": "7"}),
        refuse=lambda: server.answer_next(400, "invalid_payload"),
        hang=server.hang_next,
        hanging=server.hanging,
        stop=server.stop,
        wait_s=7.0,
    )


def of_bot(server: SlackServer) -> Provider:
    settings = Settings(slack_bot_token=BOT_TOKEN, slack_bot_channel=BOT_CHANNEL, slack_api_url=server.api_url)
    return Provider(
        name="slack_bot",
        channel=connect_channels(settings)["slack_bot"],
        secrets=(BOT_TOKEN,),
        count=lambda: len(server.messages),
        busy=lambda: server.answer_next(429, '{"ok":false,"error":"ratelimited"}', {"Retry-After": "7"}),
        refuse=lambda: server.answer_next(200, '{"ok":false,"error":"not_in_channel"}'),
        hang=server.hang_next,
        hanging=server.hanging,
        stop=server.stop,
        wait_s=7.0,
    )


def of_hook(server: HookServer) -> Provider:
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
    )


def of_apprise(server: HookServer) -> Provider:
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


def of_mail(server: MailServer) -> Provider:
    login = f"{USER}:{PASSWORD.replace('/', '%2F').replace('?', '%3F').replace('#', '%23')}@"
    settings = Settings(
        smtp_url=server.url.replace("//", f"//{login}"),
        smtp_ca_file=server.ca_file if server.encrypts else "",
        email_from="Alerts <alerts@example.org>",
        email_to="a@example.org, b@example.org",
    )
    return Provider(
        name="email",
        channel=connect_channels(settings)["email"],
        secrets=(PASSWORD,),
        count=lambda: len(server.mails),
        busy=lambda: server.answer_next("451 4.7.1 later"),
        refuse=lambda: server.answer_next("550 5.7.1 spam"),
        hang=server.hang_next,
        hanging=server.hanging,
        stop=server.stop,
    )


@pytest.fixture(params=["slack", "slack bot", "webhook", "apprise", "mail with STARTTLS", "mail with TLS"])
async def provider(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Provider]:
    """The test runs against each channel."""
    server: SlackServer | MailServer | HookServer
    if request.param in ("slack", "slack bot"):
        server = await SlackServer().start()
        made = of_slack(server) if request.param == "slack" else of_bot(server)
    elif request.param in ("webhook", "apprise"):
        server = await HookServer().start()
        made = of_hook(server) if request.param == "webhook" else of_apprise(server)
    else:
        tls = request.param == "mail with TLS"
        server = await MailServer(folder=tmp_path, tls=tls, starttls=not tls, login=True).start()
        made = of_mail(server)
    yield made
    await made.channel.close()
    await server.stop()


async def test_delivers_and_says_what_the_provider_answered(provider: Provider) -> None:
    result = await provider.channel.deliver(provider.message())
    assert isinstance(result, Delivered), result
    assert "answered" in result.detail
    assert provider.count() == 1


async def test_a_busy_provider_is_asked_again_later(provider: Provider) -> None:
    provider.busy()
    result = await provider.channel.deliver(provider.message())
    assert isinstance(result, RetryAfter), result
    assert result.after_s == provider.wait_s
    assert provider.count() == 0
    assert isinstance(await provider.channel.deliver(provider.message()), Delivered)


async def test_a_refused_message_is_refused_with_the_providers_words(provider: Provider) -> None:
    provider.refuse()
    result = await provider.channel.deliver(provider.message())
    assert isinstance(result, Refused if provider.refuses else RetryAfter), result
    assert "answered" in result.reason


async def test_a_provider_that_is_away_is_asked_again_later(provider: Provider) -> None:
    await provider.stop()
    result = await provider.channel.deliver(provider.message())
    assert isinstance(result, RetryAfter), result
    assert "cannot be reached" in result.reason


async def test_a_silent_provider_is_asked_again_later(provider: Provider) -> None:
    provider.hang()
    provider.channel._timeout_s = 0.3  # type: ignore[attr-defined]
    result = await provider.channel.deliver(provider.message())
    assert isinstance(result, RetryAfter), result
    assert "no answer within 0.3 s" in result.reason


async def test_a_delivery_may_be_cancelled_and_the_channel_goes_on(provider: Provider) -> None:
    provider.hang()
    task = asyncio.create_task(provider.channel.deliver(provider.message()))
    await asyncio.wait_for(provider.hanging.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await provider.channel.deliver(provider.message(2)), Delivered)


async def test_no_secret_in_reasons_or_logs(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = [await provider.channel.deliver(provider.message())]
    for misbehave in (provider.busy, provider.refuse):
        misbehave()
        said.append(await provider.channel.deliver(provider.message()))
    await provider.stop()
    said.append(await provider.channel.deliver(provider.message()))
    told = [str(one) for one in said] + [f"{r.name} {r.getMessage()}" for r in caplog.records if r.name != "asyncio"]
    ours = [line for line in told if not line.startswith("mail.log")]  # the test's own server logs what it reads
    for secret in provider.secrets:
        assert not [line for line in ours if secret in line]


async def test_w31_a_dead_channel_delays_no_other(provider: Provider) -> None:
    answers: list[tuple[str, Result]] = []
    arrived = asyncio.Event()

    class Dead:
        async def deliver(self, message: Message) -> Result:
            await asyncio.Event().wait()
            raise AssertionError

        async def close(self) -> None: ...

    def on_result(delivery: Delivery, result: Result) -> None:
        answers.append((delivery.message.channel, result))
        if len(answers) == 5:
            arrived.set()

    deliverer = Deliverer({"dead": Dead(), provider.name: provider.channel}, on_result)
    await deliverer.start()
    dead = Message(id="d", channel="dead", severity="warning", title="t", text="t")
    assert deliverer.submit(Delivery(message=dead))
    assert all(deliverer.submit(Delivery(message=provider.message(number))) for number in range(5))
    assert not deliverer.submit(Delivery(message=provider.message(4))), "it is on its way already"
    await asyncio.wait_for(arrived.wait(), 20)
    assert [name for name, _ in answers] == [provider.name] * 5
    assert all(isinstance(result, Delivered) for _, result in answers)
    assert deliverer.under_way == {"due:d:dead"}
    await deliverer.stop(within_s=0.1)
    assert len(answers) == 5


# What one channel alone promises


async def test_bot_changes_its_message_and_says_what_is_new_in_the_thread(slack: SlackServer) -> None:
    made = of_bot(slack)
    first = await made.channel.deliver(made.message())
    assert isinstance(first, Delivered) and first.reference
    changed = msgspec.structs.replace(made.message(2), text="changed", note="Acknowledged by <!ann>")
    again = await made.channel.deliver(msgspec.structs.replace(changed, reference=first.reference))
    assert again == Delivered("Slack changed the message", first.reference)
    (stamp,) = slack.messages
    assert slack.messages[stamp]["text"] == "changed"
    assert [reply["text"] for reply in slack.replies[stamp]] == ["Acknowledged by &lt;!ann&gt;"]
    assert not slack.replies[stamp][0]["reply_broadcast"]
    await made.channel.close()


async def test_bot_a_message_that_is_gone_is_written_anew(slack: SlackServer) -> None:
    made = of_bot(slack)
    lost = msgspec.structs.replace(made.message(), reference=f"{BOT_CHANNEL} 1.2")
    result = await made.channel.deliver(lost)
    assert isinstance(result, Delivered) and result.reference != lost.reference
    assert len(slack.messages) == 1
    await made.channel.close()


async def test_bot_a_reply_that_fails_does_not_change_the_message_twice(slack: SlackServer) -> None:
    made = of_bot(slack)
    first = await made.channel.deliver(made.message())
    assert isinstance(first, Delivered)
    slack.answer_next(200, f'{{"ok":true,"channel":"{BOT_CHANNEL}","ts":"{first.reference.split()[1]}"}}')
    slack.answer_next(500, "")
    again = await made.channel.deliver(msgspec.structs.replace(made.message(), reference=first.reference))
    assert isinstance(again, Delivered) and "no reply" in again.detail
    await made.channel.close()


async def test_bot_what_got_critical_is_shown_to_the_whole_channel(slack: SlackServer) -> None:
    made = of_bot(slack)
    first = await made.channel.deliver(made.message())
    assert isinstance(first, Delivered)
    worse = msgspec.structs.replace(made.message(), reference=first.reference, state="ongoing", severity="critical")
    await made.channel.deliver(worse)
    (replies,) = slack.replies.values()
    assert replies[0]["reply_broadcast"]
    await made.channel.close()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, '{"ok":false,"error":"invalid_auth"}', Refused),
        (200, '{"ok":false,"error":"fatal_error"}', RetryAfter),
        (200, "<html>please log in</html>", RetryAfter),
        (404, "nothing here", Refused),
        (502, "bad gateway", RetryAfter),
    ],
)
async def test_bot_answers_are_told_apart(slack: SlackServer, status: int, body: str, kind: type) -> None:
    made = of_bot(slack)
    slack.answer_next(status, body)
    result = await made.channel.deliver(made.message())
    assert isinstance(result, kind), result
    if "invalid_auth" in body:
        assert result == Refused("Slack answered invalid_auth: the token is wrong or was revoked; set SLACK_BOT_TOKEN")
    await made.channel.close()


async def test_webhook_is_signed_and_follows_no_redirect() -> None:
    server = await HookServer().start()
    made = of_hook(server)
    assert isinstance(await made.channel.deliver(made.message()), Delivered)
    body, headers = server.requests[0]
    secret, stamp = HOOK_SECRET.encode(), headers["X-Stream-Detector-Timestamp"]
    given = headers["X-Stream-Detector-Signature"]
    assert is_genuine(secret, stamp, body, given, float(stamp))
    assert not is_genuine(secret, stamp, body + b" ", given, float(stamp))
    assert not is_genuine(secret, stamp, body, given, float(stamp) + 301)
    assert not is_genuine(b"another", stamp, body, given, float(stamp))
    assert not is_genuine(secret, "soon", body, given, float(stamp))
    told = json.loads(body)
    assert told["id"] == headers["Idempotency-Key"] == made.message().id
    assert told["severity"] == "critical" and told["title"].startswith("Title Bcc")
    server.answer_next(307, "", {"Location": f"http://127.0.0.1:{server.port}/elsewhere"})
    assert isinstance(await made.channel.deliver(made.message()), Refused)
    assert len(server.requests) == 1
    await made.channel.close()
    await server.stop()


async def test_apprise_gets_title_text_and_how_bad_it_is() -> None:
    server = await HookServer().start()
    made = of_apprise(server)
    assert isinstance(await made.channel.deliver(made.message()), Delivered)
    told = json.loads(server.requests[0][0])
    assert told["type"] == "failure" and told["title"].startswith("Title") and told["message"].startswith("Text")
    await server.stop()


@pytest.mark.parametrize("answer", ["invalid_token", "no_service", "channel_is_archived"])
async def test_slack_says_what_to_do_when_the_webhook_is_gone(slack: SlackServer, answer: str) -> None:
    channel = of_slack(slack).channel
    slack.answer_next(403, answer)
    result = await channel.deliver(of_slack(slack).message())
    assert isinstance(result, Refused)
    assert answer in result.reason and ": " in result.reason
    await channel.close()


async def test_slack_revoked_token_is_refused_by_the_server_itself(slack: SlackServer) -> None:
    slack.url += "x"
    made = of_slack(slack)
    result = await made.channel.deliver(made.message())
    assert result == Refused(
        "Slack answered 403 invalid_token: the webhook was revoked; make a new one and set SLACK_WEBHOOK_URL"
    )
    await made.channel.close()


@pytest.mark.parametrize(("header", "wait_s"), [("30", 30.0), ("soon", 0.0), ("", 0.0)])
async def test_slack_retry_after_is_read(slack: SlackServer, header: str, wait_s: float) -> None:
    made = of_slack(slack)
    slack.answer_next(503, "", {"Retry-After": header})
    assert await made.channel.deliver(made.message()) == RetryAfter(wait_s, "Slack answered 503")
    await made.channel.close()


async def test_slack_an_answer_that_is_not_ok_is_not_a_delivery(slack: SlackServer) -> None:
    made = of_slack(slack)
    slack.answer_next(200, "<html>please log in</html>")
    assert isinstance(await made.channel.deliver(made.message()), Refused)
    await made.channel.close()


async def test_mail_headers_cannot_be_forged_and_the_id_is_the_same_each_time(mail_server: MailServer) -> None:
    made = of_plain_mail(mail_server)
    for _ in range(2):
        assert isinstance(await made.deliver(mail_for(mail_server)), Delivered)
    first, second = mail_server.mails
    assert first["Message-ID"] == second["Message-ID"] == "<6f1f7d3e-52c2-5f0a-9a41-000000000001@example.org>"
    assert first["Bcc"] is None
    assert first["Subject"] == "Title Bcc: all@example.org <!channel> <@U1> & ≠ 😀"
    assert mail_server.envelopes[0] == ("alerts@example.org", ["a@example.org"])
    assert first["Auto-Submitted"] == "auto-generated"
    text, html = first.get_body(("plain",)), first.get_body(("html",))
    assert text is not None and text.get_content().splitlines()[0].startswith("Text Bcc")
    assert html is not None and html.get_content().strip() == "<p>Text</p>"


async def test_mail_password_is_not_sent_in_the_clear_to_another_machine(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = of_mail(mail_server)
    monkeypatch.setattr("stream_detector.notify.channels.email.client.MailServer.local", False)
    result = await made.channel.deliver(made.message())
    assert result == Refused("mail server offers no encryption, so the password was not sent to it")
    assert not mail_server.mails


async def test_mail_with_starttls_is_encrypted(tmp_path: Path) -> None:
    server = await MailServer(folder=tmp_path, starttls=True, login=True).start()
    made = of_mail(server)
    assert isinstance(await made.channel.deliver(made.message()), Delivered)
    assert server.encrypted == [True]
    await server.stop()


async def test_mail_a_wrong_password_is_refused_and_says_what_to_check(tmp_path: Path) -> None:
    server = await MailServer(folder=tmp_path, starttls=True, login=True).start()
    url = f"smtp://{USER}:wrong-one@127.0.0.1:{server.port}"
    settings = Settings(smtp_url=url, smtp_ca_file=server.ca_file, email_from="a@example.org", email_to="b@example.org")
    result = await connect_channels(settings)["email"].deliver(mail_for(server))
    assert isinstance(result, Refused)
    assert "535" in result.reason and "SMTP_URL" in result.reason and "wrong-one" not in result.reason
    await server.stop()


async def test_mail_an_unknown_certificate_is_not_trusted(tmp_path: Path) -> None:
    server = await MailServer(folder=tmp_path, starttls=True).start()
    settings = Settings(smtp_url=server.url, email_from="a@example.org", email_to="b@example.org")
    result = await connect_channels(settings)["email"].deliver(mail_for(server))
    assert isinstance(result, RetryAfter), result
    assert "certificate" in result.reason.lower()
    assert not server.mails
    await server.stop()


async def test_mail_one_refused_recipient_is_named_and_the_others_have_it(mail_server: MailServer) -> None:
    mail_server.refuse_next_recipient("550 nobody here")
    settings = Settings(smtp_url=mail_server.url, email_from="a@example.org", email_to="b@example.org,c@example.org")
    result = await connect_channels(settings)["email"].deliver(mail_for(mail_server))
    assert isinstance(result, Delivered) and "b@example.org" in result.detail
    assert mail_server.envelopes == [("a@example.org", ["c@example.org"])]


@pytest.mark.parametrize(("answer", "kind"), [("450 full", RetryAfter), ("550 nobody", Refused)])
async def test_mail_no_recipient_left(mail_server: MailServer, answer: str, kind: type) -> None:
    mail_server.refuse_next_recipient(answer)
    assert isinstance(await of_plain_mail(mail_server).deliver(mail_for(mail_server)), kind)


def of_plain_mail(server: MailServer) -> Channel:
    settings = Settings(smtp_url=server.url, email_from="Alerts <alerts@example.org>", email_to="a@example.org")
    return connect_channels(settings)["email"]


def mail_for(server: MailServer) -> Message:
    return of_mail(server).message()
