"""Settings made into a policy and channels: the one file of this package that knows `Settings`."""

import ssl
from dataclasses import replace
from email.headerregistry import Address
from email.utils import getaddresses
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stream_detector.notify.channels.channel import Channel
from stream_detector.notify.channels.email_smtp import EmailSmtp, MailServer
from stream_detector.notify.channels.slack_bot import SlackBot
from stream_detector.notify.channels.slack_webhook import SlackWebhook
from stream_detector.notify.channels.webhook import Webhook
from stream_detector.notify.config import APPRISE, EMAIL, INBOX, SLACK, SLACK_BOT, WEBHOOK, NotifyConfig, Route
from stream_detector.notify.routes import RoutesError, read_routes
from stream_detector.settings import PREFIX, Settings, SettingsError

_MAIL = ("smtp_url", "email_from", "email_to")


def notify_config(settings: Settings) -> NotifyConfig:
    """The policy in force. A channel without an address is not in it; one that is switched off is, as off.

    Raises:
        SettingsError: the routes file cannot be read or used. The start stops there.
    """
    switches = {INBOX: settings.inbox_enabled}
    if settings.slack_webhook_url:
        switches[SLACK] = settings.slack_enabled
    if settings.slack_bot_token or settings.slack_bot_channel:
        switches[SLACK_BOT] = settings.slack_bot_enabled
    if any(getattr(settings, name) for name in _MAIL):
        switches[EMAIL] = settings.email_enabled
    if settings.webhook_url:
        switches[WEBHOOK] = settings.webhook_enabled
    if settings.apprise_urls:
        switches[APPRISE] = settings.apprise_enabled
    config = NotifyConfig(
        channels=switches,
        severity=settings.notify_severity,  # type: ignore[arg-type]  # its parser allows no other
        rate_limit_count=settings.rate_limit_count,
        rate_limit_window_s=settings.rate_limit_window_s,
        group_by=tuple(settings.group_by.split(",")) if settings.group_by != "none" else (),
        group_wait_s=settings.group_wait_s,
        group_interval_s=settings.group_interval_s,
        quiet_after_s=_quiet_after_s(settings.quiet_after),
        product_name=settings.product_name,
        entity_word=settings.entity_word,
        base_url=settings.base_url.rstrip("/"),
        link_key=settings.secret_key.encode(),
    )
    return replace(config, routes=routes(settings, config.fallback))


def routes(settings: Settings, defaults: Route) -> tuple[Route, ...]:
    """The routes of the file, none where no file is set. Raises `SettingsError`.

    Args:
        defaults: the route of the settings, which stands in for what the file leaves out.
    """
    if not settings.routes_file:
        return ()
    try:
        return read_routes(Path(settings.routes_file).read_text("utf-8"), defaults)
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingsError(PREFIX + "ROUTES_FILE", repr(settings.routes_file), f"cannot be read: {words}") from None
    except RoutesError as error:
        raise SettingsError(PREFIX + "ROUTES_FILE", repr(settings.routes_file), str(error)) from None


def _quiet_after_s(raw: str) -> dict[str, float]:
    pairs = (pair.partition("=") for pair in raw.split(",") if pair.strip())
    return {topic.strip(): float(seconds) for topic, _, seconds in pairs}


def channels(settings: Settings) -> dict[str, Channel]:
    """Every channel that has its settings and is switched on, by its name; connects to nothing yet.

    Raises:
        SettingsError: a channel is set in part only, or an address cannot be used. The start stops there.
    """
    found: dict[str, Channel] = {}
    if settings.slack_webhook_url and settings.slack_enabled:
        found[SLACK] = SlackWebhook(settings.slack_webhook_url)
    if settings.slack_bot_enabled and (settings.slack_bot_token or settings.slack_bot_channel):
        _whole(settings, "slack_bot_token", "slack_bot_channel")
        found[SLACK_BOT] = SlackBot(
            settings.slack_bot_token, settings.slack_bot_channel, api_url=settings.slack_api_url
        )
    if settings.email_enabled and any(getattr(settings, name) for name in _MAIL):
        found[EMAIL] = _email(settings)
    if settings.webhook_url and settings.webhook_enabled:
        _whole(settings, "webhook_secret", "webhook_url")
        found[WEBHOOK] = Webhook(settings.webhook_url, settings.webhook_secret.encode())
    if settings.apprise_urls and settings.apprise_enabled:
        found[APPRISE] = _apprise(settings)
    return found


def _whole(settings: Settings, *names: str) -> None:
    missing = [name for name in names if not getattr(settings, name)]
    if missing:
        rest = " and ".join(PREFIX + name.upper() for name in names if name not in missing)
        raise SettingsError(PREFIX + missing[0].upper(), "(not set)", f"must be set too, since {rest} is; or set none")


def _apprise(settings: Settings) -> Channel:
    from stream_detector.notify.channels.apprise_services import AppriseServices

    try:
        return AppriseServices(settings.apprise_urls.split())
    except ImportError:
        words = "needs the package apprise: install stream-detector[apprise]"
        raise SettingsError(PREFIX + "APPRISE_URLS", "(hidden)", words) from None
    except ValueError as error:
        raise SettingsError(PREFIX + "APPRISE_URLS", "(hidden)", str(error)) from None


def _email(settings: Settings) -> EmailSmtp:
    _whole(settings, *_MAIL)
    senders = _addresses("email_from", settings.email_from)
    if len(senders) != 1:
        raise SettingsError(PREFIX + "EMAIL_FROM", repr(settings.email_from), "must be one address")
    return EmailSmtp(_mail_server(settings), senders[0], _addresses("email_to", settings.email_to))


def _addresses(name: str, raw: str) -> list[Address]:
    found = []
    for display, spec in getaddresses([raw]):
        try:
            address = Address(display_name=display, addr_spec=spec)
            if not address.username or not address.domain or not spec.isascii() or not raw.isprintable():
                raise ValueError(spec)
        except (ValueError, IndexError):
            raise SettingsError(
                PREFIX + name.upper(), repr(raw), "must be an address such as alerts@example.org"
            ) from None
        except Exception as error:  # the header parser's own errors have no common class
            raise SettingsError(PREFIX + name.upper(), repr(raw), f"is no address: {error}") from None
        found.append(address)
    return found


def _mail_server(settings: Settings) -> MailServer:
    label = PREFIX + "SMTP_URL"
    try:
        parts = urlsplit(settings.smtp_url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(label, "(hidden)", f"is no address: {error}") from None
    if not host or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise SettingsError(label, "(hidden)", "must be smtp://user:password@host:587 or smtps://…; encode / ? # in it")
    if settings.smtp_ca_file:
        try:
            ssl.create_default_context(cafile=settings.smtp_ca_file)
        except OSError as error:
            raise SettingsError(
                PREFIX + "SMTP_CA_FILE", repr(settings.smtp_ca_file), f"cannot be read as PEM: {error.strerror}"
            ) from None
    tls = parts.scheme == "smtps"
    return MailServer(
        host=host,
        port=port or (465 if tls else 587),
        tls=tls,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        ca_file=settings.smtp_ca_file,
    )
