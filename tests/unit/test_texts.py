"""What a user can read is in plain technical English: no word of `tests.texts.dialect` stands in any text."""

from collections import defaultdict

import pytest

from tests.texts.collect import Text, all_texts
from tests.texts.dialect import findings

PINNED = (
    # notifications: the golden messages and the state and outcomes of 4659e91, which must stay the same bytes
    "goes on, no more severe than before",
    "reminder: it goes on",
    "flapping: its end is told",
    "told in {what} of",
    "Still going on after",
    "of which 4 go on",
    "This is said again until",
    "It was away for",
    # gates and resolved descriptions of anomalies on `alerts`
    "so many are expected with z",
    "the failures in a row are over",
)
"""Phrases that are part of stored or published bytes, so they keep their words."""

GROUPS: dict[str, list[Text]] = defaultdict(list)
for _text in all_texts():
    GROUPS[_text.group].append(_text)


def _unpinned(text: str) -> str:
    plain = " ".join(text.split())
    for phrase in PINNED:
        plain = plain.replace(phrase, "")
    return plain


def _found(group: str) -> list[str]:
    return [
        f"{text.place}: ...{use.context}... -> {use.better}"
        for text in GROUPS[group]
        for use in findings(_unpinned(text.text) if any(phrase in text.text for phrase in PINNED) else text.text)
    ]


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_no_text_uses_the_dialect(group: str) -> None:
    found = _found(group)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("phrase", PINNED)
def test_a_pinned_phrase_is_still_in_use(phrase: str) -> None:
    assert any(phrase in " ".join(text.text.split()) for texts in GROUPS.values() for text in texts)


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
