"""X20: suites of a JUnit report become executions with their cases as steps; XML that attacks is refused unread."""

import io
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion, Step
from stream_detector.events.decode import decode_completion
from stream_detector.events.files import read_events
from stream_detector.events.sources import find_source, junit
from stream_detector.events.sources.source import Choices
from tests.unit.events.samples_of_sources import only_event
from tests.unit.events.source_matrix import PAYLOADS

REPORT = (PAYLOADS / "junit_report.xml").read_bytes()
SUITE = b'<testsuite name="a" timestamp="2026-01-22T00:05:00" time="2">%b</testsuite>'
CASE = b'<testcase name="t" classname="c" time="1.5"/>'


def read(payload: bytes) -> Completion:
    return only_event(junit.SOURCE, payload)


def test_x20_a_suite_is_an_execution_with_its_cases_as_steps() -> None:
    event = read(REPORT)
    assert event.workflow_id == "junit:shop-unit"
    assert event.execution_id == "junit:shop-unit@2026-01-22T00:04:47.655000+00:00@runner-7"
    assert (event.status, event.duration_s) == ("failure", 12.345)
    assert event.started_at == datetime(2026, 1, 22, 0, 4, 47, 655000, tzinfo=UTC)
    assert event.finished_at == datetime(2026, 1, 22, 0, 5, tzinfo=UTC)
    assert event.steps == [
        Step("tests.cart: test_adds", "success", 0.012),
        Step("tests.cart: test_removes", "failure", 1.5),
        Step("tests.cart: test_pays", "error", 0.25),
        Step("tests.cart: test_ships", "skip", None),
    ]
    named = replace(event, source="junit")
    assert decode_completion(REPORT, (), -1) == named
    assert decode_completion(b"\xef\xbb\xbf" + REPORT, (), -1) == named


def test_x20_a_time_without_a_zone_is_utc_and_a_comma_separates_thousands() -> None:
    event = read(SUITE.replace(b'"2"', b'"1,234.5"') % CASE)
    assert event.started_at == datetime(2026, 1, 22, 0, 5, tzinfo=UTC) and event.duration_s == 1234.5
    assert read(SUITE.replace(b'time="2"', b"") % CASE).duration_s is None


def test_x20_each_suite_of_a_report_is_an_execution_of_its_own() -> None:
    report = b"<testsuites>" + SUITE % CASE + SUITE % CASE + SUITE % b"" + b"</testsuites>"
    first, second = junit.read(report).events
    assert isinstance(first, Completion) and isinstance(second, Completion)
    assert first.workflow_id == second.workflow_id and first.execution_id != second.execution_id
    assert junit.read(report).events == [first, second]
    nested = b'<testsuites name="all">' + SUITE % (CASE + SUITE.replace(b'"a"', b'"b"') % CASE) + b"</testsuites>"
    assert [event.workflow_name for event in junit.read(nested).events if isinstance(event, Completion)] == ["a", "b"]


def test_x20_a_suite_that_cannot_be_identified_does_not_lose_the_others() -> None:
    report = b"<testsuites>" + SUITE.replace(b"timestamp", b"when") % CASE + SUITE % CASE + b"</testsuites>"
    reading = junit.read(report)
    assert len(reading.events) == 1 and [error.reason for error in reading.refused] == ["missing_field"]
    assert "timestamp" in reading.refused[0].message
    assert junit.read(b"<testsuites/>").ignored


@pytest.mark.parametrize(
    ("cases", "status"),
    [
        (CASE, "success"),
        (CASE + b'<testcase name="u"><skipped/></testcase>', "success"),
        (b'<testcase name="u"><skipped/></testcase>', "skip"),
        (CASE + b'<testcase name="u"><error/><failure/></testcase>', "failure"),
    ],
)
def test_x20_the_cases_decide_the_status(cases: bytes, status: str) -> None:
    assert read(SUITE % cases).status == status


@pytest.mark.parametrize(
    "value",
    [
        b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuite name="&b;"/>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><testsuite/>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite>&x;</testsuite>',
        b"<testsuite>&undefined;</testsuite>",
        b"<testsuite>" * 10_000,
        b"<testsuite>" * 200 + b"</testsuite>" * 200,
        b'<testsuite name="\xff"/>',
        b"<html><testsuite/></html>",
        b"<?xml version='1.0' encoding='made-up'?><testsuite/>",
        b"<?xml version='1.0' encoding='zlib'?><testsuite/>",
        b"<?xml version='1.0' encoding='utf-32'?><testsuite/>",
        b"<?xml version='1.0' encoding='idna'?><testsuite/>",
        b"<testsuite a='1' a='2'/>",
        b"<testsuite></testsuites>",
        b"<testsuite/>and more",
        SUITE.replace(b"2026-", b"0000-") % CASE,
        SUITE.replace(b"2026-01", b"9999-13") % CASE,
    ],
)
def test_x20_what_is_no_report_is_refused(value: bytes) -> None:
    assert find_source(value) is junit.SOURCE
    with pytest.raises(RefusedError) as refused:
        decode_completion(value, (), -1)
    assert "\n" not in refused.value.message


def test_x20_a_time_without_a_zone_is_read_in_the_one_that_is_named() -> None:
    """Local time, as many write it, would be hours late or in the future as UTC; one with a zone says itself."""
    summer = (SUITE % CASE).replace(b"2026-01-22", b"2026-07-22")
    for zone, hour in (("Europe/Berlin", 22), ("America/Los_Angeles", 7), ("UTC", 0)):
        (event,) = junit.read(summer, ZoneInfo(zone)).events
        assert isinstance(event, Completion) and event.started_at.hour == hour
        assert event.started_at.tzinfo is UTC and event.duration_s == 2
        (line,) = read_events(io.BytesIO(summer), "report.xml", record_ms=-1, choices=Choices(zone=ZoneInfo(zone)))
        assert line.event == replace(event, source="junit")
    assert junit.read(REPORT, ZoneInfo("Asia/Tokyo")) == junit.read(REPORT)
    (first,), (second,) = (junit.read(summer, ZoneInfo(zone)).events for zone in ("Europe/Berlin", "Europe/Paris"))
    assert first == second, "the id is of the instant"
