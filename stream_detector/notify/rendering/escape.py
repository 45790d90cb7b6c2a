"""Values from events, made safe for the place where they stand: for people only, an id is never looked up by these."""

import html
import re
import unicodedata

from stream_detector.notify.rendering.graphemes import cut, is_emoji_part

_SPACES = re.compile(r"[\s\u2028\u2029]+")
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\uffa0\ufe00-\ufe0d]")
"""Printable by their category, but nothing is seen of them: fillers, a blank, selectors of variants without effect."""


def one_line(value: str, limit: int = 512) -> str:
    """The value on one line, without what cannot be seen, cut between characters as people see them.

    Line breaks and tabs become a space. Control characters, marks that turn the writing direction or take no room
    (they could make one name look like another, or hide a minus sign) and lone surrogates (no channel can encode
    them) go; so do joiners, except where emoji or a script needs them. Nothing is decoded: an encoded word of a mail
    header, an entity or an escape stays the text that it is.

    >>> one_line("Li\\u202edo\\r\\nBcc: all@example.org\\x00"), one_line("ab\\u200dc"), one_line("=?utf-8?b?QQ==?=")
    ('Lido Bcc: all@example.org', 'abc', '=?utf-8?b?QQ==?=')
    """
    # What is printable and ASCII hides nothing, and of spaces it has the plain one alone: the test is 30 times as fast
    # as looking at each character.
    if value.isascii() and value.isprintable():
        return cut((_SPACES.sub(" ", value) if "  " in value else value).strip(), limit)
    return _line(value, limit, "")


def _line(value: str, limit: int, keep: str) -> str:
    spaced = _SPACES.sub(" ", _UNSEEN.sub("", value))
    seen = spaced if spaced.isprintable() else "".join(_seen(spaced, keep))
    return cut(_SPACES.sub(" ", seen).strip(), limit)  # what was between two spaces may be gone


FIRST_STRONG, POP = "\u2068", "\u2069"
"""Before and behind a name whose direction is its own (Unicode Standard Annex 9, first strong isolate)."""
_RIGHT_TO_LEFT = frozenset(("R", "AL"))


def name_line(value: str, limit: int = 512) -> str:
    """`one_line` of a name that stands in a sentence: one with right-to-left letters does not turn the numbers, marks
    and names beside it. Any other name is as it is.

    >>> name_line("Lido") == "Lido", name_line("\u05d0\u05d1 2") == "\u2068\u05d0\u05d1 2\u2069"
    (True, True)
    """
    shown = one_line(value, limit)
    if shown.isascii() or not any(unicodedata.bidirectional(each) in _RIGHT_TO_LEFT for each in shown):
        return shown
    return f"{FIRST_STRONG}{shown}{POP}"


def composed_line(value: str, limit: int = 512) -> str:
    """`one_line` of a text with names of `name_line`: their isolates stay, also where the end of one is cut off."""
    if FIRST_STRONG not in value:
        return one_line(value, limit)
    found, depth = list[str](), 0
    for character in _line(value, limit, FIRST_STRONG + POP):
        depth += (character == FIRST_STRONG) - (character == POP)
        if depth >= 0:
            found.append(character)
        depth = max(0, depth)
    return "".join(found) + POP * depth


def paragraph(value: str, limit: int = 10_000) -> str:
    """The same for a text of several lines: each keeps its place, empty ones go."""
    lines = filter(None, (one_line(line, limit) for line in value.splitlines()))
    return cut("\n".join(lines), limit)


def for_slack(value: str) -> str:
    """Slack's three control characters as entities: no mention, no link, no channel can be made of a name.

    Its other marks (`*`, `_`, `~`, backticks) mean nothing here, since messages are sent as plain text.

    >>> for_slack("<!channel> & <@U1>")
    '&lt;!channel&gt; &amp; &lt;@U1&gt;'
    """
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def for_html(value: str) -> str:
    """For text and for attribute values in quotes."""
    return html.escape(value, quote=True)


_NON_JOINER, _JOINER = "\u200c", "\u200d"
_VIRAMA = 9
"""The combining class of the marks of Indic scripts that a joiner may follow."""
_JOINING_SCRIPTS = ("ARABIC", "SYRIAC", "MONGOLIAN", "NKO", "PHAGS-PA", "MANDAIC", "MANICHAEAN", "ADLAM", "HANIFI")
"""Whose letters take their form from their neighbours, so that a joiner between two of them can be seen."""


def _seen(text: str, keep: str) -> list[str]:
    """The characters that can be seen, and the joiners that change what is seen."""
    return [
        character
        for at, character in enumerate(text)
        if character in keep or not _hidden(character) or (character in (_JOINER, _NON_JOINER) and _joins(text, at))
    ]


def _hidden(character: str) -> bool:
    # Cc control, Cs surrogate, Zl/Zp separators, Cf format: marks that turn direction, break or tag text unseen.
    return unicodedata.category(character) in ("Cc", "Cs", "Cf", "Zl", "Zp")


def _joins(text: str, at: int) -> bool:
    """Whether a joiner has an effect there: RFC 5892, A.1 and A.2, and between two emoji."""
    if not 0 < at < len(text) - 1:
        return False
    before, after = text[at - 1], text[at + 1]
    if unicodedata.combining(before) == _VIRAMA:
        return True
    if text[at] == _JOINER and is_emoji_part(before) and is_emoji_part(after):
        return True
    return all(unicodedata.name(each, "").startswith(_JOINING_SCRIPTS) for each in (before, after))
