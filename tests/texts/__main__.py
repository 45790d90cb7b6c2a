"""`python -m tests.texts [GROUP...]` prints every text, or those of the groups whose name begins so.

`--dialect` prints instead where a word of `dialect` is used, and the better term; exit code 1 where there is one.
"""

import sys
from collections.abc import Sequence

from tests.texts.collect import Text, all_texts
from tests.texts.dialect import findings


def main(arguments: Sequence[str]) -> int:
    """Print what was asked for. Returns the exit code."""
    wanted = tuple(word for word in arguments if not word.startswith("-"))
    texts = [text for text in all_texts() if not wanted or text.group.startswith(wanted)]
    return _print_dialect(texts) if "--dialect" in arguments else _print_all(texts)


def _print_all(texts: Sequence[Text]) -> int:
    group = ""
    for text in texts:
        if text.group != group:
            group = text.group
            print(f"\n===== {group} =====\n")
        print(f"[{text.place}] {text.text}" if "\n" not in text.text else f"[{text.place}]\n{text.text}\n")
    return 0


def _print_dialect(texts: Sequence[Text]) -> int:
    count = 0
    for text in texts:
        for found in findings(text.text):
            count += 1
            print(f"{text.group}: {text.place}: ...{found.context}... -> {found.better}")
    print(f"{count} places")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
