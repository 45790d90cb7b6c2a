"""docs/glossary.md stays short, in order and reachable: a page that grows is a sign of names that explain nothing."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "glossary.md").read_text("utf-8")
ENTRIES = re.findall(r"^\| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)[1:]


def test_there_are_at_most_30_entries_of_a_line_or_two() -> None:
    assert 10 <= len(ENTRIES) <= 30
    assert [term for term, meaning in ENTRIES if len(meaning) > 200] == []


def test_the_terms_are_in_order_and_each_is_used_elsewhere() -> None:
    terms = [term for term, _ in ENTRIES]
    assert terms == sorted(terms)
    used = "\n".join(
        path.read_text("utf-8").lower()
        for path in [*(ROOT / "docs").glob("*.md"), *(ROOT / "stream_detector").rglob("*.py")]
        if path.name != "glossary.md"
    )
    assert [term for term in terms if not re.search(rf"\b{term.split()[0]}", used)] == []


def test_the_pages_for_newcomers_link_it() -> None:
    assert "(glossary.md)" in (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert "(docs/glossary.md)" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")
