"""The table of types is whole, and what publishes names of types agrees with it."""

import json
from pathlib import Path
from typing import get_args

import pytest

from stream_detector.events.anomaly_types import SEVERITIES, TYPES, AnomalyType, Severity, describe

DETECTION = Path(__file__).parents[3] / "docs" / "detection.md"
SCHEMA = Path(__file__).parents[3] / "schemas" / "anomaly.v1.json"


def test_every_name_has_an_entry_in_the_same_order() -> None:
    assert tuple(TYPES) == get_args(AnomalyType)
    assert get_args(Severity) == SEVERITIES


@pytest.mark.parametrize("name", TYPES)
def test_an_entry_says_what_people_read(name: str) -> None:
    entry = TYPES[name]
    assert entry.title and entry.title[0].isupper() and not entry.title.endswith(".")
    assert entry.description.endswith(".")
    assert entry.rule == entry.rule.lower()
    assert entry.severities == tuple(word for word in SEVERITIES if word in entry.severities), "the least first"
    assert entry.entity_kinds


def test_codes_of_packed_states_never_change() -> None:
    assert {entry.rule: entry.code for entry in TYPES.values()} | {
        "unusual_execution_time": 0,
        "performance_degradation": 1,
        "spike_in_failures": 2,
        "consecutive_failures": 3,
        "pattern_deviation": 4,
        "resource_exhaustion": 5,
        "significant_score_change": 6,
    } == {entry.rule: entry.code for entry in TYPES.values()}
    assert len({entry.code for entry in TYPES.values()}) == len(TYPES)
    assert all(0 <= entry.code <= 255 for entry in TYPES.values())


def test_titles_and_rules_name_one_type_each() -> None:
    assert len({entry.title for entry in TYPES.values()}) == len({entry.rule for entry in TYPES.values()}) == len(TYPES)


def test_the_schema_lists_the_same_names() -> None:
    listed = json.loads(SCHEMA.read_text("utf-8"))["properties"]["anomaly_type"]
    assert listed["x-extensible-enum"] == list(TYPES)


def test_the_documentation_has_a_section_for_each() -> None:
    headings = [line for line in DETECTION.read_text("utf-8").splitlines() if line.startswith("### ")]
    missing = [name for name in TYPES if not any(name in heading for heading in headings)]
    assert not missing, "docs/detection.md has no section for them"


def test_only_incidents_end() -> None:
    timing = TYPES["UnusualExecutionTime"]
    assert timing.has_end("robust", "warning")
    assert not timing.has_end("robust", "info")
    assert not timing.has_end("classic", "critical")
    assert timing.has_end("classic", "critical", "still_running")
    assert TYPES["SpikeInFailures"].has_end("classic", "warning")
    assert not TYPES["SignificantScoreChange"].has_end("robust", "critical")


def test_a_type_of_a_later_version_is_called_by_its_name() -> None:
    unknown = describe("StuckQueue")
    assert (unknown.name, unknown.title) == ("StuckQueue", "StuckQueue")
    assert unknown.severities == SEVERITIES
    assert not unknown.has_end("robust", "critical")
    assert not unknown.is_timing and not unknown.in_run_summary
