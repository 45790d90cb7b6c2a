"""A real mail server (aiosmtpd) on this machine: plain, with STARTTLS, or TLS from the first byte; with a login."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "alerts", "pass/word?#"


class MailServer:
    """`mails` holds every mail that it took, parsed; `envelopes` who it was from and for; `port` where it listens."""

    def __init__(self, *, starttls: bool = False, tls: bool = False, login: bool = False, folder: Path) -> None:
        self.port = 0
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.encrypted: list[bool] = []
        self.sessions = 0
        self.ca_file = str(folder / "ca.pem")
        self._next: deque[str | float | None] = deque()
        self._next_recipient: deque[str] = deque()
        self.hanging = asyncio.Event()
        """Set once somebody waits for an answer that does not come."""
        self._released = asyncio.Event()
        self._login = login
        self._tls, self._starttls = tls, starttls
        self._context = _certificate(self.ca_file) if tls or starttls else None
        self._server: asyncio.Server | None = None

    @property
    def encrypts(self) -> bool:
        """Whether `ca_file` is there."""
        return self._context is not None

    @property
    def url(self) -> str:
        """For SMTP_URL, without a login."""
        return f"{'smtps' if self._tls else 'smtp'}://127.0.0.1:{self.port}"

    def answer_next(self, answer: str) -> None:
        """Answer one mail's content so, for example `451 later`."""
        self._next.append(answer)

    def refuse_next_recipient(self, answer: str) -> None:
        """Answer one RCPT so, for example `550 nobody here`."""
        self._next_recipient.append(answer)

    def hang_next(self) -> None:
        """Leave one mail without an answer until the server stops."""
        self._next.append(None)

    def slow_next(self, after_s: float) -> None:
        """Take one mail, and say so only after a while."""
        self._next.append(after_s)

    @property
    def planned(self) -> int:
        """How many answers that were planned have not been given."""
        return len(self._next)

    def forget_plans(self) -> None:
        """Answer as usual from now on; who waits already goes on waiting."""
        self._next.clear()

    async def start(self) -> "MailServer":
        """Listen; after a `stop` on the same port again."""
        self._released.clear()
        self._server = await asyncio.get_running_loop().create_server(
            self._protocol, "127.0.0.1", self.port, ssl=self._context if self._tls else None
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        self._released.set()
        if self._server:
            self._server.close()

    def _protocol(self) -> SMTP:
        self.sessions += 1
        return SMTP(
            self,
            hostname="mail.test",
            tls_context=self._context if self._starttls else None,
            auth_required=self._login,
            auth_require_tls=self._starttls,
            authenticator=self._authenticate,
            loop=asyncio.get_running_loop(),
        )

    def _authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object):
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=known, handled=False)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]):
        if self._next_recipient:
            return self._next_recipient.popleft()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        slow_by_s = 0.0
        if self._next:
            answer = self._next.popleft()
            if isinstance(answer, float):
                slow_by_s = answer
            elif answer is None:
                self.hanging.set()
                await self._released.wait()
                return "451 stopped"
            else:
                return answer
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.envelopes.append((envelope.mail_from or "", envelope.rcpt_tos))
        self.encrypted.append(self._tls or session.ssl is not None)
        await asyncio.sleep(slow_by_s)
        return "250 taken"


def _certificate(ca_file: str) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
async def mail_server(tmp_path: Path) -> AsyncIterator[MailServer]:
    """Plain and without a login, running for the test."""
    server = await MailServer(folder=tmp_path).start()
    yield server
    await server.stop()
