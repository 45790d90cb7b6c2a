"""Ids that people take for one: they differ only in how the same characters are encoded, or in what is not seen.

Ids are compared and stored byte by byte, never normalised, so two such ids are two workflows with a baseline each. That
is reported, because it is nearly always one workflow whose producers spell it differently.
"""

import re
import unicodedata
from collections.abc import Iterable

_SPACES = re.compile(r"\s+")


def plain_form(text: str) -> str:
    """What an id has in common with those that look like it: NFKC, single plain spaces, nothing that is not seen.

    >>> plain_form("nightly\\u00a0 build"), plain_form("cafe\\u0301") == plain_form("caf\\u00e9")
    ('nightly build', True)
    """
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    spaced = _SPACES.sub(" ", unicodedata.normalize("NFKC", text))
    seen = "".join(character for character in spaced if unicodedata.category(character) not in ("Cc", "Cf", "Cs"))
    return _SPACES.sub(" ", seen).strip()


def find_lookalikes(ids: Iterable[str]) -> list[list[str]]:
    """Each group of two or more different ids that look the same, all sorted.

    >>> find_lookalikes(["a b", "a\\u00a0b", "c", "c"])
    [['a b', 'a\\xa0b']]
    """
    by_form: dict[str, set[str]] = {}
    for each in ids:
        by_form.setdefault(plain_form(each), set()).add(each)
    return sorted(sorted(group) for group in by_form.values() if len(group) > 1)


def spelled(text: str) -> str:
    """The id in ASCII, so that two that look the same can be told from each other.

    >>> spelled("caf\\u00e9"), spelled("a b ")
    ('"caf\\\\u00e9"', '"a b "')
    """
    return ascii('"' + text + '"')[1:-1].replace("\\xa0", "\\u00a0").replace("\\x", "\\u00")
