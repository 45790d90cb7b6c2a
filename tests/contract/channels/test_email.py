"""Mail."""

from pathlib import Path

import msgspec
import pytest

from stream_detector.notify.channels.channel import Channel
from stream_detector.notify.configure import connect_channels
from stream_detector.notify.message import Delivered, Message, Refused, RetryAfter
from stream_detector.settings import Settings
from tests.contract.channels.provider import Provider
from tests.servers.smtp import PASSWORD, USER, MailServer


def mail_provider(server: MailServer) -> Provider:
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


@pytest.mark.parametrize("title", ["=?utf-8?b?QmNjOiBhQGIuYw==?=", "GVS → =?utf-8?q?=0D=0ABcc:_a=40b?= fell"])
async def test_mail_a_subject_that_looks_encoded_arrives_as_it_is(mail_server: MailServer, title: str) -> None:
    message = msgspec.structs.replace(mail_for(mail_server), title=title)
    assert isinstance(await of_plain_mail(mail_server).deliver(message), Delivered)
    (mail,) = mail_server.mails
    assert mail["Subject"] == title and mail["Bcc"] is None


async def test_mail_password_is_not_sent_in_the_clear_to_another_machine(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = mail_provider(mail_server)
    monkeypatch.setattr("stream_detector.notify.channels.email.client.MailServer.local", False)
    result = await made.channel.deliver(made.message())
    assert result == Refused("mail server offers no encryption, so the password was not sent")
    assert not mail_server.mails


async def test_mail_with_starttls_is_encrypted(tmp_path: Path) -> None:
    server = await MailServer(folder=tmp_path, starttls=True, login=True).start()
    made = mail_provider(server)
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
    return mail_provider(server).message()
