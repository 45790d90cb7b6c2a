"""The settings of mail, checked: an address that cannot be used stops the start."""

import ssl
from email.headerregistry import Address
from email.utils import getaddresses
from urllib.parse import unquote, urlsplit

from stream_detector.notify.channels.email.client import MailServer
from stream_detector.settings import PREFIX, Settings, SettingsError

_FORM = "must be smtp://user:password@host:587 or smtps://…; percent-encode / ? # @ : in user and password"


def sender(settings: Settings) -> Address:
    """The one address of `EMAIL_FROM`. Raises `SettingsError`."""
    found = _addresses("email_from", settings.email_from)
    if len(found) != 1:
        raise SettingsError(PREFIX + "EMAIL_FROM", repr(settings.email_from), "must be one address")
    return found[0]


def recipients(settings: Settings) -> list[Address]:
    """The addresses of `EMAIL_TO`. Raises `SettingsError`."""
    return _addresses("email_to", settings.email_to)


def mail_server(settings: Settings) -> MailServer:
    """The server of `SMTP_URL` and `SMTP_CA_FILE`. Raises `SettingsError`, which does not show the password."""
    label = PREFIX + "SMTP_URL"
    try:
        parts = urlsplit(settings.smtp_url)
        host, port = parts.hostname, parts.port
    except ValueError:  # its text has what may be a password
        raise SettingsError(label, "(hidden)", _FORM) from None
    if not host or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise SettingsError(label, "(hidden)", _FORM)
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
            raise SettingsError(PREFIX + name.upper(), repr(raw), f"is not an address: {error}") from None
        found.append(address)
    return found
