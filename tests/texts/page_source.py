"""Text in the dashboard's sources: string and template literals that hold words, and the text between JSX tags."""

import re
from collections.abc import Iterator
from pathlib import Path

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
    |(?P<text>`(?:\\.|[^`\\])*`|"(?:\\.|[^"\\\n])*"|(?<![A-Za-z0-9])'(?:\\.|[^'\\\n])*')""",
    re.DOTALL | re.VERBOSE,
)
_BETWEEN_TAGS = re.compile(r">([^<>{}=;]*[A-Za-z]{2}[^<>{}=;]*)(?=[<{])")
_WORDS = re.compile(r"[A-Za-z]{2,},? [A-Za-z`$(]")
_NO_TEXT = re.compile(r"(?:class|className|d|viewBox|from|points|transform|style)\s*[=:]?\s*\{?\s*$")
"""What stands before a literal that nobody reads."""


def page_texts(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of what the page can show."""
    source = path.read_text("utf-8")
    found: list[tuple[int, str]] = []
    blank = list(source)
    for token in _TOKEN.finditer(source):
        text = token.group("text")
        if text and _WORDS.search(text) and not _NO_TEXT.search(source[max(0, token.start() - 40) : token.start()]):
            found.append((token.start(), text[1:-1]))
        if token.group("comment") or text:
            blank[token.start() : token.end()] = [c if c == "\n" else " " for c in token.group()]
    found += [(m.start(1), " ".join(m.group(1).split())) for m in _BETWEEN_TAGS.finditer("".join(blank))]
    for position, text in sorted(found):
        yield source.count("\n", 0, position) + 1, " ".join(text.split())
