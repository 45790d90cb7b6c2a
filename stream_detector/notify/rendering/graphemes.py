"""Text in characters as people see them: an emoji of a family, a flag or a letter with its accents is one.

Source: Unicode Standard Annex 29, grapheme clusters. `rich` knows which code points take no room of their own and what
a joiner joins; what it leaves apart, since terminals do, is joined here: flags (GB12, GB13), spacing marks (GB9a) and
the conjuncts of Indic scripts (GB9c).
"""

import unicodedata

from rich.cells import split_graphemes

_VIRAMA = 9
_AM = "\u0e33\u0eb3"
"""Of Thai and Lao: letters by their category, spacing marks in the annex."""
_LONGEST = 32
"""Code points; what is used in any language or emoji has fewer."""
_SELECTORS, _JOINER = "\ufe0e\ufe0f", "\u200d"


def graphemes(text: str) -> list[str]:
    """The text in pieces that must not be cut; together they are the text.

    >>> len(graphemes("e\\u0301a")), len(graphemes("\\U0001f1e9\\U0001f1ea\\U0001f1eb\\U0001f1f7"))
    (2, 2)
    """
    if text.isascii():
        return list(text)
    spans, _ = split_graphemes(text, "latest")
    found: list[str] = []
    flags = 0  # regional indicators in a row, of which two are one flag
    for start, end, _ in spans:
        piece = text[start:end]
        joined = bool(found) and (flags % 2 == 1 if _is_regional(piece[0]) else _continues(found[-1], piece))
        flags = flags + 1 if _is_regional(piece[0]) and len(piece) == 1 else 0
        if joined:
            found[-1] += piece
        else:
            found.append(piece)
    return found


def cut(text: str, limit: int, end: str = "…") -> str:
    """The text with at most `limit` code points, `end` included where something is left out.

    >>> cut("abcd", 4), cut("abcde", 4), cut("abe\\u0301de", 4)
    ('abcd', 'abc…', 'ab…')
    """
    if len(text) <= limit:
        return text
    room = max(0, limit - len(end))
    if text[: room + 1].isascii():
        return text[:room] + end
    # One more: it shows whether the last piece that fits goes on. It is dropped, whole.
    kept = "".join(graphemes(text[: room + 1])[:-1])
    if not kept and room >= _LONGEST:  # a letter with marks without end, or emoji joined without end
        kept = text[:room].rstrip(_JOINER)
    return kept + end


def is_emoji_part(character: str) -> bool:
    """Whether a joiner may stand next to it in an emoji: a symbol, a skin tone, a selector, a keycap."""
    return unicodedata.category(character) in ("So", "Sk") or character in _SELECTORS


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _continues(before: str, piece: str) -> bool:
    first = piece[0]
    category = unicodedata.category(first)
    if category == "Mc" or first in _AM:
        return True
    last = before.rstrip(_JOINER)[-1:]
    return category == "Lo" and bool(last) and unicodedata.combining(last) == _VIRAMA
