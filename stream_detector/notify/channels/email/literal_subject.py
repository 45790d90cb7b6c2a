"""A subject that a mail program shows as it is.

`email` decodes what looks like an encoded word (RFC 2047: `=?utf-8?b?...?=`) when a header is set, and every mail
program does when it shows one. A name that looks like one would be shown as other text than anywhere else.
"""

from email.header import Header
from email.policy import Policy

_ENCODED_WORD = "=?"
_LINE_CHARACTERS = 76


class LiteralSubject(str):
    """A value that `EmailMessage` takes as it is, since it has a `name`, and writes by its `fold`.

    >>> str(LiteralSubject("=?utf-8?b?QQ==?=").fold(policy=None)).strip()
    'Subject: =?utf-8?b?PT91dGYtOD9iP1FRPT0/PQ==?='
    """

    name = "Subject"
    max_count = 1

    def fold(self, *, policy: Policy | None) -> str:
        """The header with its line ends, every character of it encoded."""
        end = policy.linesep if policy is not None else "\r\n"
        encoded = Header(str(self), "utf-8", _LINE_CHARACTERS, self.name).encode(linesep=end)
        return f"{self.name}: {encoded}{end}"


def subject_of(title: str) -> str:
    """The title as the value of the header `Subject`."""
    return LiteralSubject(title) if _ENCODED_WORD in title else title
