"""Settings made into a policy and channels: the one file of this package that knows `Settings`."""

import ssl
from email.headerregistry import Address
from email.utils import getaddresses
from urllib.parse import unquote, urlsplit

from stream_detector.notify.channels.channel import Channel
from stream_detector.notify.channels.email_smtp import EmailSmtp, MailServer
from stream_detector.notify.channels.slack_webhook import SlackWebhook
from stream_detector.notify.config import EMAIL, INBOX, SLACK, NotifyConfig
from stream_detector.settings import PREFIX, Settings, SettingsError

_MAIL = ("smtp_url", "email_from", "email_to")


def notify_config(settings: Settings) -> NotifyConfig:
    """The policy in force. A channel without an address is not in it; one that is switched off is, as off."""
    switches = {INBOX: settings.inbox_enabled}
    if settings.slack_webhook_url:
        switches[SLACK] = settings.slack_enabled
    if any(getattr(settings, name) for name in _MAIL):
        switches[EMAIL] = settings.email_enabled
    return NotifyConfig(
        channels=switches,
        severity=settings.notify_severity,  # type: ignore[arg-type]  # its parser allows no other
        rate_limit_count=settings.rate_limit_count,
        rate_limit_window_s=settings.rate_limit_window_s,
        product_name=settings.product_name,
        entity_word=settings.entity_word,
        base_url=settings.base_url.rstrip("/"),
    )


def channels(settings: Settings) -> dict[str, Channel]:
    """Every channel that has its settings and is switched on, by its name; connects to nothing yet.

    Raises:
        SettingsError: mail is set in part only, or an address cannot be used. The start stops there.
    """
    found: dict[str, Channel] = {}
    if settings.slack_webhook_url and settings.slack_enabled:
        found[SLACK] = SlackWebhook(settings.slack_webhook_url)
    if settings.email_enabled and any(getattr(settings, name) for name in _MAIL):
        found[EMAIL] = _email(settings)
    return found


def _email(settings: Settings) -> EmailSmtp:
    missing = [name for name in _MAIL if not getattr(settings, name)]
    if missing:
        rest = " and ".join(PREFIX + name.upper() for name in _MAIL if name not in missing)
        raise SettingsError(PREFIX + missing[0].upper(), "(not set)", f"must be set too, since {rest} is; or set none")
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
