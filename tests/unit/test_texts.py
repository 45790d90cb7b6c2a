"""What a user can read is in plain technical English: no word of `tests.texts.dialect` stands in any text."""

from collections import defaultdict

import pytest

from tests.texts.collect import Text, all_texts
from tests.texts.dialect import findings

NOT_YET_CLEAN = {
    "notifications",
    "stream_detector/detect",
    "stream_detector/notify",
}
"""Groups whose texts are still being rewritten. It only shrinks, and is empty in the end: whoever cleans a group takes
it out (the test below demands it). `python -m tests.texts --dialect GROUP` shows what is left of one."""

GROUPS: dict[str, list[Text]] = defaultdict(list)
for _text in all_texts():
    GROUPS[_text.group].append(_text)


def _found(group: str) -> list[str]:
    return [
        f"{text.place}: ...{use.context}... -> {use.better}" for text in GROUPS[group] for use in findings(text.text)
    ]


@pytest.mark.parametrize("group", sorted(set(GROUPS) - NOT_YET_CLEAN))
def test_no_text_uses_the_dialect(group: str) -> None:
    found = _found(group)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("group", sorted(NOT_YET_CLEAN))
def test_a_group_that_is_clean_is_held_so(group: str) -> None:
    assert _found(group), f"{group} is clean: take it out of NOT_YET_CLEAN"


def test_every_kind_of_text_is_collected() -> None:
    wanted = {
        "README.md",
        "help",
        "settings",
        "log events",
        "metrics",
        "notifications",
        "dashboard",
        "deploy",
        "examples",
    }
    wanted |= {"stream_detector/cli", "stream_detector/events", "schemas/openapi.yaml"}
    assert wanted <= {group for group, texts in GROUPS.items() if len(texts) >= 3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("An incident is told once", 1),
        ("Detectors of before end themselves", 2),
        ("No `told` here: exact names are not judged", 0),
        ("As long as it lasts, so long as it is open", 0),
        ("```\ntold = 1\n```", 0),
    ],
)
def test_the_dialect_is_recognised(text: str, words: int) -> None:
    assert len(list(findings(text))) == words
