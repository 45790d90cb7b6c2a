"""What holds for a whole JSON document, fields that we do not read included: size, nesting, text that can be kept."""

from typing import Final

import msgspec

from stream_detector.events.refused import RefusedError

MAX_BYTES: Final = 1_000_000
"""With key and headers it fits Kafka's default for a batch (1,048,588); a completion of 1,000 long steps has 0.6 MB."""

MAX_DEPTH: Final = 128
"""A contract nests 4 deep. Bounded by ourselves, because the interpreter's limit depends on who calls."""

BACKSLASH: Final = 0x5C
SHALLOW_BYTES: Final = 2 * MAX_DEPTH + 32
"""No event of so few bytes nests deeper: its brackets and its required fields take more."""

_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_TOO_DEEP: Final = f"nested more than {MAX_DEPTH} levels deep; send only the fields of the contract"


def check_document(value: bytes) -> None:
    """Accept the document or raise `RefusedError`; only for values that were decoded, so brackets match.

    Nothing can be wrong with ASCII of at most `SHALLOW_BYTES` without a backslash: the caller may save the call.
    """
    if not value.isascii():
        _check_utf8(value)
    if value.count(b"{") + value.count(b"[") > MAX_DEPTH:
        _check_depth(value)
    if BACKSLASH in value and (b"\\u0000" in value or b"\\ud" in value or b"\\uD" in value):
        _check_text(value)


def _check_utf8(value: bytes) -> None:
    """The decoder skips the fields it does not know, text that is none included."""
    try:
        value.decode()
    except UnicodeDecodeError:
        raise RefusedError("decode", "not_utf8", "not UTF-8 text; encode the event as UTF-8") from None


def _check_depth(value: bytes) -> None:
    """Peel the innermost brackets off, level by level. What brackets within text leave over is looked at exactly."""
    brackets = value.translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    level: list[object] = [_decoded(value)]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item) if isinstance(child, (dict, list))]
        if not level:
            return
    raise RefusedError("decode", "too_deep", _TOO_DEEP)


def _check_text(value: bytes) -> None:
    """An escape is not yet the character: `\\\\u0000` is a backslash and five letters."""
    level: list[object] = [_decoded(value)]
    while level:
        if any("\x00" in text for item in level for text in _texts(item)):
            raise RefusedError("validate", "nul_character", "text contains U+0000, which cannot be stored; remove it")
        level = [child for item in level for child in _children(item)]


def _decoded(value: bytes) -> object:
    try:
        return msgspec.json.decode(value)
    except RecursionError:
        raise RefusedError("decode", "too_deep", _TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RefusedError("decode", "not_utf8", "text with an unpaired surrogate; send valid Unicode") from None


def _children(item: object) -> list[object]:
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []


def _texts(item: object) -> list[str]:
    if isinstance(item, dict):
        return list(item)
    return [item] if isinstance(item, str) else []
