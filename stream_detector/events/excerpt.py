"""The excerpt of a run: the last lines of its output, without control characters and secrets of a common form.

Masking is a safety net: a secret without a recognisable form, or under a name that does not give it away, stays. Each
pattern is bounded, so that a text costs time in proportion to its length.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

EXCERPT_BYTES = 10_000
"""Of an excerpt, in UTF-8."""
MAX_EXCERPT = 10_000
"""Characters of the contract's field."""
EXCERPT_OF_ANOMALY_BYTES = 1_000
TAIL_BYTES = 64 * 1024
"""So much of the end of an output is kept until it is masked: a secret that the cut would halve could not be seen."""
MASK = "***"


class _Form(NamedTuple):
    """One form of a secret. `hints`: words in small letters, one of which each line with such a secret has."""

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    masked: str = rf"\1{MASK}"
    """What stands before the secret (group 1) is kept, so that the line can still be understood."""


_HINTS = ("password", "passwd", "passphrase", "passcode", "secret", "key", "credential", "signature")
_NAMED = (
    r"(?:pass(?:word|wd|phrase|code)|secret|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key"
    r"|signing[_-]?key|encryption[_-]?key|credentials?|signature)"
)
_VALUE = r"""(?!\*\*\*)(?:"[^"\n]{1,4000}"|'[^'\n]{1,4000}'|\\"[^"\n]{1,4000}"|[^\s"'`,;&|<>]{1,4000})"""
_TOKEN_VALUE = r"""["']?[A-Za-z0-9._~+/=:@%-]{8,4000}["']?"""
_IS = r"""\\?["']?\s{0,4}(?:=>|:=|[=:])\s{0,4}"""
_NO_VALUE = (
    r"(?!(?:permission denied|no such file|is a directory|not a directory|file exists|operation not permitted"
    r"|input/output error|read-only file system|no space left|too many |device or resource busy|text file busy"
    r"|invalid argument|stale file handle|disk quota exceeded|bad file descriptor|file name too long"
    r"|directory not empty|command not found|not found|cannot open)\b)"
)
"""What a system says of a file, whose name may be one that gives a secret away: `/etc/passwd: Permission denied`."""
_FORMS = (
    _Form(("://",), re.compile(r"(://[^\s/:@\"'<>]{0,256}:)[^\s/\"'<>]{1,1000}(?=@)")),
    _Form(("authorization",), re.compile(rf"(?i)(authorization{_IS}\\?[\"']?)[^\r\n\"']{{1,4000}}")),
    _Form(("cookie",), re.compile(r"(?i)(cookie\s{0,4}:\s{0,4})[^\r\n\"']{1,4000}")),
    _Form(("bearer",), re.compile(r"(?i)(\bbearer\s{1,4})(?=\S{0,200}\d)[\w.~+/=-]{8,4000}")),
    _Form(_HINTS, re.compile(rf"(?i)({_NAMED}[\w-]{{0,24}}{_IS}){_NO_VALUE}{_VALUE}")),
    _Form(("pwd",), re.compile(rf"(?i)(pwd{_IS})(?![/.~]){_VALUE}")),
    _Form(("token",), re.compile(rf"(?i)(token[\w-]{{0,24}}{_IS}){_TOKEN_VALUE}")),
    _Form((*_HINTS, "token"), re.compile(rf"(?i)((?<!\S)--?[a-z-]{{0,24}}(?:{_NAMED}|token)\s{{1,4}})(?!-){_VALUE}")),
    _Form(("pass",), re.compile(rf"(?i)((?:\b|_)pass\\?[\"']?=){_VALUE}")),  # with a colon it counts tests
    _Form(
        ("-u", "--user"),
        re.compile(r"(?i)((?<!\S)(?:-u|--user)(?:\s{1,4}|=)[\"']?[^\s:\"']{1,256}:)(?!\d)[^\s\"']{1,1000}"),
    ),
    _Form(
        ("login", "sshpass"),
        re.compile(rf"(?i)(\b(?:login|sshpass)\b[^\n]{{0,400}}?\s-p(?:\s{{1,4}}|(?=\w))){_VALUE}"),
    ),
    _Form(
        ("mysql", "mariadb"),
        re.compile(r"(\b(?:mysql|mariadb)\w{0,16}\s(?:[^\n]{0,400}?\s)?-p)(?=[^\s-])[^\s]{1,1000}"),
    ),
    _Form(("webhook.office.com",), re.compile(r"(?i)(webhook\.office\.com/webhookb2/)[\w@/-]{8,400}")),
    _Form(("hooks.slack.com",), re.compile(r"(?i)(hooks\.slack\.com/(?:services|workflows|triggers)/)[\w/-]{8,200}")),
    _Form(("discord",), re.compile(r"(?i)(discord(?:app)?\.com/api/webhooks/)[\w/-]{8,200}")),
    _Form(("sig=", "code=", "key="), re.compile(r"(?i)([?&](?:sig|code|key)=)[^\s&\"'<>]{8,4000}")),
    _Form(("akia", "asia", "abia", "acca"), re.compile(r"\b()(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b")),  # AWS
    _Form(
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        re.compile(r"\b()(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_\w{20,255})"),
    ),
    _Form(("gl",), re.compile(r"\b()gl(?:pat|ptt|rt|ft|dt|cbt|imt|agent|oas|soat|ffct|wt)-[\w.-]{16,255}")),
    _Form(("xox", "xapp-"), re.compile(r"\b()(?:xox[a-z]{1,2}(?:\.xox[a-z])?|xapp)-[\w-]{10,255}")),
    _Form(("aiza", "ya29."), re.compile(r"\b()(?:AIza[\w-]{30,60}|ya29\.[\w.-]{20,1000})")),
    _Form(("k_live_", "k_test_", "whsec_"), re.compile(r"\b()(?:[sr]k_(?:live|test)|whsec)_\w{10,255}")),
    _Form(("sk-",), re.compile(r"\b()sk-[\w-]{20,255}")),
    _Form(("npm_", "hf_", "pypi-"), re.compile(r"\b()(?:npm_|hf_|pypi-)[\w-]{30,255}")),
    _Form(("doo_v1_", "dop_v1_", "dor_v1_"), re.compile(r"\b()do[opr]_v1_[0-9a-f]{64}")),
    _Form(("sg.", "hvs.", "hvb.", "hvr."), re.compile(r"\b()(?:SG|hv[sbr])\.[\w-]{16,255}(?:\.[\w-]{16,255})?")),
    _Form(("age-secret-key-1",), re.compile(r"\b()AGE-SECRET-KEY-1[0-9A-Z]{50,60}")),
    _Form((":aa",), re.compile(r"\b()\d{8,10}:AA[\w-]{33}")),  # Telegram
    _Form(("sd_",), re.compile(r"\b()sd_[\w-]{40,80}")),  # our own, also in the URL of a ping
    _Form(("eyj",), re.compile(r"\b()eyJ[\w-]{8,4000}\.[\w-]{8,4000}(?:\.[\w-]{0,4000})?")),  # JSON Web Token
)  # fmt: skip
_HINTED = {
    hint: [number for number, form in enumerate(_FORMS) if hint in form.hints]
    for hint in dict.fromkeys(hint for form in _FORMS for hint in form.hints)
}
"""Hint -> the places in `_FORMS` of those that have it."""
_BEGIN_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END_KEY = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = re.compile(r"\s*(?:[A-Za-z0-9+/=\\]{16,}|[A-Za-z0-9+/=]{0,76}=*|[A-Z][\w-]{1,20}: .{0,80})\s*")
_KEY_LINES = 400
"""Of the longest private key in PEM: RSA with 16,384 bits has 200."""
_ESCAPE_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)|[PX^_][^\x1b]{0,2000}\x1b\\"
    r"|[ -/]{1,8}[0-~]|[0-~])"
)
"""Of a terminal: control sequences, strings (titles, links), and all others of two characters or more."""
_CURSOR_UP = re.compile(r"\x1b\[(\d{0,4})[AF]")
_TYPED_OVER = re.compile(r"[^\x08\n]\x08")
_MOST_TYPED_OVER = 16
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def mask_secrets(text: str) -> str:
    """The text with `***` in the place of each secret that has a common form. Masking twice changes nothing.

    >>> mask_secrets("psql postgresql://app:hunter2@db/app failed; PGPASSWORD=hunter2")
    'psql postgresql://app:***@db/app failed; PGPASSWORD=***'
    """
    if "PRIVATE KEY" in text:
        text = "\n".join(_mask_keys(text.split("\n")))
    lowered = text.lower()
    present = [hint for hint in _HINTED if hint in lowered]
    if not present:
        return text
    for form in sorted({number for hint in present for number in _HINTED[hint]}):
        text = _masked(text, _FORMS[form])
    return text


def _masked(text: str, form: _Form) -> str:
    """Looks only at lines with a hint: a pattern without regard to case takes 0.5 us a character."""
    return "\n".join(
        form.pattern.sub(form.masked, line) if any(hint in line.lower() for hint in form.hints) else line
        for line in text.split("\n")
    )


def _mask_keys(lines: Sequence[str]) -> list[str]:
    """The lines with a mask in the place of each private key in PEM, also of one whose beginning or end is missing."""
    shown: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if begin := _BEGIN_KEY.search(line):
            end = _END_KEY.search(line, begin.end())
            shown.append(line[: begin.start()] + MASK + (line[end.end() :] if end else ""))
            at = at if end else _end_of_key(lines, at)
        elif end := _END_KEY.search(line):
            while shown and len(shown[-1]) > 15 and _KEY_LINE.fullmatch(shown[-1]):
                shown.pop()
            shown.append(MASK + line[end.end() :])
        else:
            shown.append(line)
    return shown


def _end_of_key(lines: Sequence[str], at: int) -> int:
    """The line after a key whose content begins at `at`; without its last line, as far as lines look like a key's."""
    for number in range(at, min(at + _KEY_LINES, len(lines))):
        if _END_KEY.search(lines[number]):
            return number + 1
        if _BEGIN_KEY.search(lines[number]):
            break
    while at < len(lines) and _KEY_LINE.fullmatch(lines[at]):
        at += 1
    return at


def excerpt_of(output: bytes) -> str | None:
    """The last lines of an output, in whole lines and at most `EXCERPT_BYTES`; None where it has no text.

    Of what was overwritten (a progress bar of a line or of several) the last state is kept; colours and other control
    characters go, secrets are masked, and what is not UTF-8 is replaced by U+FFFD.

    >>> excerpt_of(b"10 %\\r20 %\\r\\x1b[31mdisk full\\x1b[0m\\n")
    'disk full'
    """
    return excerpt_of_text(output[-TAIL_BYTES:].decode("utf-8", "replace"))


def excerpt_of_text(text: str) -> str | None:
    """The same of a text: most are a line or two without anything to be taken out."""
    text = text[-TAIL_BYTES:]
    if not (text.replace("\n", "") if "\n" in text else text).isprintable():
        text = _as_shown(text)
    text = mask_secrets(text)
    if "\n" in text:
        text = "\n".join(line.rstrip() for line in text.split("\n"))
    return last_lines(text.rstrip()) or None


def _as_shown(text: str) -> str:
    """Without control characters, and of what was overwritten the last state."""
    if "\x1b" in text:
        text = _ESCAPE_SEQUENCE.sub("", _without_redrawn(text) if _CURSOR_UP.search(text) else text)
    for _ in range(_MOST_TYPED_OVER if "\b" in text else 0):
        text = _TYPED_OVER.sub("", text)
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _CONTROL.sub("", "\n".join(lines))


def _without_redrawn(text: str) -> str:
    """Without the lines above which the cursor was set, to write them again."""
    kept: list[str] = []
    for line in text.split("\n"):
        up = sum(int(lines or 1) for lines in _CURSOR_UP.findall(line))
        del kept[max(0, len(kept) - up) :]
        kept.append(line)
    return "\n".join(kept)


def last_lines(text: str, limit_bytes: int = EXCERPT_BYTES) -> str:
    """The end of the text in whole lines, without empty ones around it; of a single longer line its end.

    >>> last_lines("one\\ntwo\\nthree\\n", 10)
    'two\\nthree'
    """
    encoded = text.strip("\n").encode("utf-8", "replace")
    if len(encoded) <= limit_bytes:
        return encoded.decode()
    kept = encoded[-limit_bytes:]
    whole = kept.partition(b"\n")[2] if encoded[-limit_bytes - 1 : -limit_bytes] != b"\n" else kept
    return (whole or kept).decode("utf-8", "ignore").strip("\n")
