"""The dashboard's generated names are those of the registries."""

import re

import pytest

from stream_detector.events.anomaly_types import SEVERITIES, TYPES
from stream_detector.notify.channels.registry import CHANNELS
from tests.page_registry import PATH, page_registry

FILE = PATH.read_text("utf-8")


def _keys(constant: str) -> list[str]:
    found = re.search(rf"export const {constant} = ([\[{{].*?[\]}}]) as const;", FILE, re.DOTALL)
    assert found is not None, f"{constant} is missing: run `make generate`"
    pattern = r'"(\w+)"' if found[1].startswith("[") else r"^  (\w+): \{"
    return re.findall(pattern, found[1], re.MULTILINE)


@pytest.mark.parametrize(
    ("constant", "entries"), [("ANOMALY_TYPES", [*TYPES]), ("SEVERITIES", [*SEVERITIES]), ("CHANNELS", [*CHANNELS])]
)
def test_the_dashboard_has_every_entry_and_no_other(constant: str, entries: list[str]) -> None:
    shown = _keys(constant)
    missing, stale = set(entries) - set(shown), set(shown) - set(entries)
    assert not missing and not stale, f"{constant}: missing {missing}, stale {stale}: run `make generate`"


def test_a_type_that_the_file_lacks_would_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from stream_detector.events import anomaly_types

    more = {**TYPES, "StuckQueue": anomaly_types.describe("StuckQueue")}
    monkeypatch.setattr("tests.page_registry.TYPES", more)
    assert "StuckQueue" in page_registry() and page_registry() != FILE
