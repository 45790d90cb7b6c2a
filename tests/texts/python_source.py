"""Text in Python sources: string literals that hold words, and comments. Docstrings only where they are asked for."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

_WORDS = re.compile(r"[A-Za-z]{2,},? [A-Za-z`{(]")
_NO_PROSE = re.compile(
    r"^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|DROP|GRANT|AND|OR|ORDER|WHERE|FROM|ON)\b|\\s"
)
"""SQL and regular expressions."""


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of each literal that reads as words; a replacement field of an f-string stands as `{its source}`."""
    yield from _literals_in(ast.parse(path.read_text("utf-8")))


def _literals_in(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, (ast.JoinedStr, ast.Constant)):
        text = _shown(node)
        if _WORDS.search(text) and not _NO_PROSE.search(text):
            yield node.lineno, text
        return
    for child in ast.iter_child_nodes(node):
        yield from _literals_in(child)


def _shown(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_shown(part) for part in node.values)
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "{" + ast.unparse(node.value) + "}" if isinstance(node, ast.FormattedValue) else ""


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of each docstring, of modules, classes and functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of each comment; those of lines that follow each other are one text."""
    lines: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0]] = token.string.lstrip("#! ")
    yield from _paragraphs(lines)


def hash_comments(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of comments in YAML, TOML, Makefile and Dockerfile."""
    lines = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        _, mark, comment = (" " + line).partition(" #")
        if mark:
            lines[number] = comment.strip()
    yield from _paragraphs(lines)


def _paragraphs(lines: dict[int, str]) -> Iterator[tuple[int, str]]:
    first, text = 0, ""
    for number, line in lines.items():
        if text and number - 1 in lines:
            text += " " + line
            continue
        if text:
            yield first, text
        first, text = number, line
    if text:
        yield first, text
