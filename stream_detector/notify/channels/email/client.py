"""Mail over SMTP: one message to all recipients, as text and HTML."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate
from ipaddress import ip_address

import aiosmtplib

from stream_detector.notify.channels.channel import ANSWER_WITHIN_S
from stream_detector.notify.channels.email.literal_subject import subject_of
from stream_detector.notify.message import Delivered, Message, Refused, Result, RetryAfter
from stream_detector.notify.rendering.escape import composed_line, one_line


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """Where mail is handed in. With `tls` from the first byte (smtps), else by STARTTLS where the server offers it."""

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = ""
    ca_file: str = ""
    """PEM file of the CA that signed the server's certificate; empty uses the system's."""

    @property
    def local(self) -> bool:
        """Whether what is sent there stays on this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class EmailSmtp:
    """Sends through one server. The password is sent on an encrypted connection or on this machine, never else."""

    def __init__(
        self, server: MailServer, sender: Address, recipients: Sequence[Address], *, timeout_s: float = ANSWER_WITHIN_S
    ) -> None:
        self._server, self._sender, self._recipients = server, sender, tuple(recipients)
        self.timeout_s = timeout_s
        self._context: ssl.SSLContext | None = None

    async def deliver(self, message: Message) -> Result:
        """Send it once, on a connection of its own."""
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._send(self.compose(message))
        except TimeoutError:
            return RetryAfter(0.0, f"mail server did not respond within {self.timeout_s:g} s")
        except aiosmtplib.SMTPRecipientsRefused as error:
            return self._refused(max(one.code for one in error.recipients), "every recipient: " + self._words(error))
        except aiosmtplib.SMTPAuthenticationError as error:
            hint = "; check user and password in SMTP_URL" if error.code >= 500 else ""
            return self._refused(error.code, self._words(error) + hint)
        except aiosmtplib.SMTPResponseException as error:
            return self._refused(error.code, self._words(error))
        except ssl.SSLError as error:
            return RetryAfter(
                0.0, f"mail server's certificate or encryption failed: {one_line(error.reason or '', 100)}"
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            return RetryAfter(0.0, f"mail server cannot be reached ({self._words(error)})")

    async def close(self) -> None:
        """Nothing is held between two mails."""

    def compose(self, message: Message) -> EmailMessage:
        """The mail. Its Message-ID comes from the message's id, so a repeat is recognised as one."""
        domain = self._sender.domain
        mail = EmailMessage(policy=SMTP_POLICY)
        mail["From"] = self._sender
        mail["To"] = self._recipients
        mail["Subject"] = subject_of(composed_line(message.title, 200))
        mail["Date"] = formatdate(usegmt=True)
        mail["Message-ID"] = f"<{message.id}@{domain}>"
        if message.incident_id:
            mail["References"] = f"<incident-{one_line(message.incident_id).replace(' ', '-').encode().hex()}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Priority"] = "1" if message.severity == "critical" else "3"
        mail.set_content(message.text, cte="quoted-printable")
        if message.html:
            mail.add_alternative(message.html, subtype="html", cte="quoted-printable")
        return mail

    def _tls(self) -> ssl.SSLContext:
        """Made once: it reads every CA of the system, 28 ms in which the loop would stand still for each mail."""
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._server.ca_file or None)
        return self._context

    async def _send(self, mail: EmailMessage) -> Result:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls,
            start_tls=False if server.tls else None,
            tls_context=self._tls(),
            local_hostname=socket.gethostname(),  # the default looks the name up and may block
            timeout=self.timeout_s,
        )
        # Not `async with`: where it is cancelled, that would say QUIT to a silent server and wait for its answer.
        try:
            await client.connect()
            if server.user:
                if not (server.local or client.get_transport_info("sslcontext")):
                    return Refused("mail server offers no encryption, so the password was not sent")
                await client.login(server.user, server.password)
            refused, answer = await client.send_message(mail)
            answer_text = self._hide(one_line(answer, 200))
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=1)  # it is delivered already: a slow good-bye must not make it a retry
            but = f", but rejected {', '.join(sorted(refused))}" if refused else ""
            return Delivered(f"mail server answered {answer_text}{but}")
        finally:
            client.close()

    def _refused(self, code: int, words: str) -> Result:
        reason = f"mail server answered {words}"
        return RetryAfter(0.0, reason) if 400 <= code < 500 else Refused(reason)

    def _words(self, error: Exception) -> str:
        if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
            return "; ".join(self._words(one) for one in error.recipients)
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return self._hide(one_line(f"{error.code} {error.message}", 200))
        words = getattr(error, "strerror", None) or getattr(error, "message", "")
        return self._hide(one_line(f"{type(error).__name__}: {words}", 200))

    def _hide(self, words: str) -> str:
        for secret in (self._server.password, self._server.user):
            words = words.replace(secret, "(hidden)") if secret else words
        return words
