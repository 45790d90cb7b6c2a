"""Settings become channels, or the start stops with the setting's name."""

import sys
from typing import Any

import pytest

from stream_detector.notify.channels.email.client import EmailSmtp
from stream_detector.notify.channels.email.settings import mail_server
from stream_detector.notify.channels.slack.client import SlackWebhook
from stream_detector.notify.configure import connect_channels, notify_config
from stream_detector.notify.shared_facets import GROUP_BY
from stream_detector.settings import Settings, SettingsError, load

MAIL = {"smtp_url": "smtp://u:p%2Fw@mail.example.org", "email_from": "a@example.org", "email_to": "b@example.org"}


def test_nothing_set_is_the_inbox_alone() -> None:
    assert connect_channels(Settings()) == {}
    assert notify_config(Settings()).channels == {"inbox": True}


def test_a_first_message_needs_nothing_but_an_address() -> None:
    made = connect_channels(Settings(slack_webhook_url="https://hooks.slack.com/services/x", **MAIL))
    assert [type(one) for one in made.values()] == [SlackWebhook, EmailSmtp]
    config = notify_config(Settings(slack_webhook_url="https://hooks.slack.com/services/x", **MAIL))
    assert config.channels == {"inbox": True, "slack": True, "email": True}


def test_w30_a_channel_that_is_switched_off_is_known_as_off() -> None:
    settings = Settings(slack_webhook_url="https://h/x", slack_enabled=False, email_enabled=False, **MAIL)
    assert connect_channels(settings) == {}
    assert notify_config(settings).channels == {"inbox": True, "slack": False, "email": False}


def test_w28_w29_s21_settings_reach_the_policy() -> None:
    settings = Settings(
        notify_severity="critical",
        rate_limit_count=7,
        rate_limit_window_s=60.0,
        product_name="P",
        entity_word="E",
        base_url="http://b/",
    )
    config = notify_config(settings)
    assert (config.severity, config.rate_limit_count, config.rate_limit_window_s) == ("critical", 7, 60.0)
    assert (config.product_name, config.entity_word, config.base_url) == ("P", "E", "http://b")


def test_what_opens_together_is_sent_together_unless_the_settings_say_none() -> None:
    fallback = notify_config(Settings()).fallback
    assert (fallback.group_by, fallback.group_wait_s, fallback.group_interval_s) == (GROUP_BY, 2.0, 60.0)
    alone = notify_config(Settings(group_by="none", group_wait_s=0.0, group_interval_s=0.0)).fallback
    assert not alone.has_group_wait
    with pytest.raises(SettingsError, match="GROUP_BY='build,,step'"):
        load({"STREAM_DETECTOR_GROUP_BY": "build,,step"})


@pytest.mark.parametrize("missing", list(MAIL))
def test_mail_that_is_set_in_part_stops_the_start(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"STREAM_DETECTOR_{missing.upper()}=.*must be set together"):
        connect_channels(Settings(**(MAIL | {missing: ""})))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"smtp_url": "smtp://u:pa/ss@host"}, "SMTP_URL=.hidden."),
        ({"smtp_url": "smtp://u:secret@host:99999"}, "SMTP_URL=.hidden."),
        ({"smtp_url": "smtp://:25"}, "SMTP_URL=.hidden."),
        ({"email_from": "nobody"}, "EMAIL_FROM='nobody'"),
        ({"email_from": "a@example.org, b@example.org"}, "must be one address"),
        ({"email_to": "a@example.org\r\nBcc: x@example.org"}, "EMAIL_TO"),
        ({"email_to": "a@example.org, @"}, "EMAIL_TO"),
        ({"email_to": "ä@example.org"}, "EMAIL_TO"),
        ({"smtp_ca_file": "/nowhere.pem"}, "SMTP_CA_FILE='/nowhere.pem'"),
    ],
)
def test_an_address_that_cannot_be_used_stops_the_start(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        connect_channels(Settings(**(MAIL | change)))
    assert "secret" not in str(caught.value) and "pa/ss" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("smtp://mail.example.org", "mail.example.org", 587, False),
        ("smtps://mail.example.org", "mail.example.org", 465, True),
        ("smtp://[::1]:25", "::1", 25, False),
    ],
)
def test_ports_and_encryption_follow_from_the_url(url: str, host: str, port: int, tls: bool) -> None:
    server = mail_server(Settings(**(MAIL | {"smtp_url": url})))
    assert (server.host, server.port, server.tls) == (host, port, tls)


def test_the_password_is_decoded() -> None:
    assert mail_server(Settings(**MAIL)).password == "p/w"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"slack_bot_token": "xoxb-secret"}, "SLACK_BOT_CHANNEL=.not set.: must be set together"),
        ({"slack_bot_channel": "C1"}, "SLACK_BOT_TOKEN=.not set.: must be set together"),
        ({"webhook_url": "https://h.example.org/secret"}, "WEBHOOK_SECRET=.not set.: must be set together"),
        (
            {"apprise_urls": "json://localhost nothing://secret"},
            "APPRISE_URLS=.hidden.: Apprise does not support URL number 2",
        ),
    ],
)
def test_a_channel_that_is_set_in_part_stops_the_start(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        connect_channels(Settings(**given))
    assert "secret" not in str(caught.value).lower().replace("webhook_secret", "")


def test_apprise_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(SettingsError, match=r"install stream-detector\[apprise\]"):
        connect_channels(Settings(apprise_urls="json://localhost"))


def test_w30_every_channel_has_its_switch() -> None:
    on = {
        "slack_bot_token": "t",
        "slack_bot_channel": "C1",
        "webhook_url": "http://h/x",
        "webhook_secret": "s" * 32,
        "apprise_urls": "json://localhost",
    }
    assert set(connect_channels(Settings(**on))) == {"slack_bot", "webhook", "apprise"}
    off = Settings(**on, slack_bot_enabled=False, webhook_enabled=False, apprise_enabled=False)
    assert connect_channels(off) == {}
    assert notify_config(off).channels == {"inbox": True, "slack_bot": False, "webhook": False, "apprise": False}
