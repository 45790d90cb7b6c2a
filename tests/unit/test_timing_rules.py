"""MAX_DURATION_RULES and EXPECT_RULES: when a run is expected, on the days on which clocks change too, and each error.

Situations that would break it: the hour that does not exist and the one that comes twice; a time that never comes; a
run that starts a little early; commas within a cron expression; the same expectation written otherwise.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from stream_detector.composition import detection_config, differing_settings
from stream_detector.settings import PREFIX, Settings, SettingsError, load
from stream_detector.timing_rules import OFF, expect_rules, expectation, max_duration_rules

DAY = 86_400
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def starts(rule: str, since: str, count: int) -> list[str]:
    """The next usual starts, in local time."""
    found, last = expectation(rule), at(since)
    shown = []
    for _ in range(count):
        last, due_s = found.next_after(last)
        assert due_s == last + found.grace_s
        shown.append(datetime.fromtimestamp(last, ZoneInfo(found.zone)).isoformat(timespec="minutes"))
    return shown


@pytest.mark.parametrize(
    ("rule", "since", "expected"),
    [
        (
            "weekdays 02:00 Europe/Berlin",
            "2026-01-02T12:00+00:00",
            ["2026-01-05T02:00+01:00", "2026-01-06T02:00+01:00"],
        ),
        ("0 2 * * 1-5 Europe/Berlin grace 20m", "2026-01-02T12:00+00:00", ["2026-01-05T02:00+01:00"]),
        ("sat,sun 9:30", "2026-01-02T12:00+00:00", ["2026-01-03T09:30+00:00", "2026-01-04T09:30+00:00"]),
        ("fri-mon 09:30 utc", "2026-01-02T12:00+00:00", ["2026-01-03T09:30+00:00", "2026-01-04T09:30+00:00"]),
        ("weekends 00:00", "2026-01-01T00:00+00:00", ["2026-01-03T00:00+00:00", "2026-01-04T00:00+00:00"]),
        ("02:00", "2026-01-01T02:00+00:00", ["2026-01-02T02:00+00:00"]),
        ("0 6 1 * * Asia/Kolkata", "2026-01-02T00:00+00:00", ["2026-02-01T06:00+05:30", "2026-03-01T06:00+05:30"]),
        ("0 6 L * *", "2026-02-01T00:00+00:00", ["2026-02-28T06:00+00:00", "2026-03-31T06:00+00:00"]),
        ("0 0 29 2 *", "2026-01-01T00:00+00:00", ["2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]),
        ("every 1h 30 min", "2026-01-01T00:00+00:00", ["2026-01-01T01:30+00:00", "2026-01-01T03:00+00:00"]),
    ],
)
def test_x31_the_usual_starts_of_a_rule(rule: str, since: str, expected: list[str]) -> None:
    assert starts(rule, since, len(expected)) == expected


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("clock", ["00:00", "01:45", "02:00", "02:30", "03:00", "23:59"])
def test_x33_each_day_has_one_start_also_where_clocks_change(zone: str, clock: str) -> None:
    found, last = expectation(f"daily {clock} {zone}"), at("2025-12-31T23:59:59+00:00")
    days = []
    while len(days) < 3 * 365:
        last, _ = found.next_after(last)
        days.append(datetime.fromtimestamp(last, ZoneInfo(zone)).date())
    assert all(after - before == timedelta(1) for before, after in pairwise(days))


def test_x33_in_the_hour_that_does_not_exist_it_is_the_next_minute_that_does() -> None:
    assert starts("daily 02:30 Europe/Berlin", "2026-03-28T12:00+00:00", 2) == [
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]


@pytest.mark.parametrize("since", ["2026-10-25T00:30+00:00", "2026-10-25T01:00+00:00", "2026-10-25T01:10+00:00"])
def test_x33_in_the_hour_that_comes_twice_it_is_the_first_time(since: str) -> None:
    assert starts("daily 02:30 Europe/Berlin", since, 1) == ["2026-10-26T02:30+01:00"]


def test_x33_what_comes_each_quarter_of_an_hour_has_its_starts_in_both_of_the_hours() -> None:
    shown = starts("*/15 * * * * Europe/Berlin", "2026-10-24T23:59+00:00", 9)
    assert (shown[0], shown[4], shown[8]) == (
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T03:00+01:00",
    )


def test_starts_are_the_same_in_whatever_order_they_are_asked_for() -> None:
    asked = [at("2026-03-20T00:00+00:00") + 7919 * step for step in range(2000)]
    rule = "7,37 2-9/3 * * 1-5 Europe/Berlin"
    in_order, backwards = expectation(rule), expectation(rule)
    forward = [in_order.next_after(one) for one in asked]
    assert [backwards.next_after(one) for one in reversed(asked)] == forward[::-1]
    assert [expectation(rule).next_after(one) for one in asked[::50]] == forward[::50]
    assert all(usual_s > one for one, (usual_s, _) in zip(asked, forward, strict=True))
    assert len(in_order._known) <= 256


@pytest.mark.parametrize(
    ("rule", "start", "expected"),
    [
        ("daily 02:00", "2026-01-01T01:55+00:00", "2026-01-02T02:00+00:00"),  # early: it is the run of that day
        ("daily 02:00", "2026-01-01T01:30+00:00", "2026-01-01T02:00+00:00"),
        ("daily 02:00", "2026-01-01T02:00+00:00", "2026-01-02T02:00+00:00"),
        ("*/10 * * * *", "2026-01-01T00:08+00:00", "2026-01-01T00:20+00:00"),
        ("*/10 * * * *", "2026-01-01T00:06+00:00", "2026-01-01T00:10+00:00"),
        ("every 24h", "2026-01-01T01:55+00:00", "2026-01-02T01:55+00:00"),
    ],
)
def test_x31_a_run_that_starts_a_little_early_is_the_one_expected_next(rule: str, start: str, expected: str) -> None:
    assert expectation(rule).next_after_run(at(start))[0] == at(expected)


@pytest.mark.parametrize(
    ("rule", "grace_s"),
    [
        ("every 24h", DAY // 10),
        ("every 10m grace 30s", 30),
        ("every 1 d grace 0 s", 0),
        ("weekdays 02:00 Europe/Berlin", 900),
        ("weekdays 02:00 Europe/Berlin grace 1.5h", 5400),
        ("0 2 * * *  Europe/Berlin  grace  20 min", 1200),
    ],
)
def test_a_run_is_due_after_the_grace_period(rule: str, grace_s: int) -> None:
    usual_s, due_s = expectation(rule).next_after(at("2026-01-01T00:00+00:00"))
    assert due_s - usual_s == grace_s


def test_the_text_for_people_is_what_the_setting_has_without_the_grace_period() -> None:
    texts = ["every 24h", "weekdays 02:00 Europe/Berlin", "0 2,14 * * 1-5 Europe/Berlin"]
    assert [expectation(f"{text} grace 20m").text for text in texts] == texts
    assert expectation("every  1 day").text == "every 1 day"


def test_commas_belong_to_the_cron_expression_or_part_rules() -> None:
    rules = expect_rules("a -> 0 2,14 * * 1,3 Europe/Berlin grace 5m, team=core -> sat,sun 02:00, b-* -> off, ")
    assert [(rule.label, rule.pattern, rule.expectation.cron) for rule in rules] == [
        ("", "a", "0 2,14 * * 1,3"),
        ("team", "core", "0 2 * * 6,7"),
        ("", "b-*", ""),
    ]
    assert rules[2].expectation is OFF
    assert [rule.workflow_id for rule in rules] == ["a", "", ""]
    assert expect_rules(" , ") == max_duration_rules("") == ()


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ("nightly", "PATTERN -> EXPECTATION"),
        ("nightly, weekly -> off", "'nightly' is not"),
        ("-> every 24h", "PATTERN -> EXPECTATION"),
        ("nightly ->", "PATTERN -> EXPECTATION"),
        ("team= -> off", "LABEL=PATTERN"),
        ("a -> b -> off", "PATTERN -> EXPECTATION"),
        ("a -> every 0s", "from 1 min to 366 d, not '0s'"),
        ("a -> every 30s", "from 1 min to 366 d"),
        ("a -> every 1e9h", "unknown unit 'e'"),
        ("a -> every 999999999h", "from 1 min to 366 d"),
        ("a -> every 9999999999h", "is no duration"),
        ("a -> every", "is no duration"),
        ("a -> every 24", "is no duration"),
        ("a -> every -1h", "is no duration"),
        ("a -> every 24h grace -1s", "is no duration"),
        ("a -> every 24h grace 31d", "from 0 s to 30 d"),
        ("a -> weekdays 02:00 Europe/Berlim", r"'Europe/Berlim' is no time zone.*\(is Europe/Berlin meant\?\)"),
        ("a -> weekdays 02:00 ../../etc/passwd", "is no time zone"),
        ("a -> weekdays 02:00 /etc/passwd", "is no time zone"),
        ("a -> weekdays 02:00 Europe", "is no time zone"),
        ("a -> weekdays 02:00 Europe/Berlin 20m", "is no time zone; after the days"),
        ("a -> weekdays", "is no time of day"),
        ("a -> weekdays 24:00", "'24:00' is no time of day"),
        ("a -> mon-fry 02:00", "is no expectation"),
        ("a -> 0 2 30 2 *", "bad day-of-month"),
        ("a -> 0 2 31 2,4,6 * UTC", "bad day-of-month"),
        ("a -> * * */20 * 1L UTC", "never comes"),
        ("a -> 60 2 * * *", "bad minute"),
        ("a -> 0 0 2 * * * UTC", "is no expectation"),
        ("a -> 0 2 * *", "is no expectation"),
    ],
)
def test_a_rule_that_cannot_be_read_stops_the_start_and_names_what_is_wrong(rules: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as error:
        load({PREFIX + "EXPECT_RULES": rules})
    assert str(error.value).startswith("STREAM_DETECTOR_EXPECT_RULES=")


@pytest.mark.parametrize(
    "rules", ["a", "a -> 0 min", "a -> 31 d", "a -> 90", "=x -> off", "a -> every 24h", "a -> -1h"]
)
def test_a_limit_that_cannot_be_read_stops_the_start(rules: str) -> None:
    with pytest.raises(SettingsError, match="STREAM_DETECTOR_MAX_DURATION_RULES="):
        load({PREFIX + "MAX_DURATION_RULES": rules})


def test_what_is_written_otherwise_and_expects_the_same_is_no_other_setting() -> None:
    same = [("a -> every 24h", "a->every 1 day grace 144 min"), ("a -> mon-fri 2:00", "a -> 0 2 * * 1-5 UTC grace 15m")]
    for one, other in same:
        assert differing_settings({"expect_rules": one}, {"expect_rules": other}) == []
    assert differing_settings({"expect_rules": "a -> every 24h"}, {}) == ["expect_rules"]
    assert differing_settings({"max_duration_rules": "a -> 1h"}, {"max_duration_rules": "a -> 60 min"}) == []
    assert differing_settings({"clock": "on"}, {}) == ["clock"]


def test_the_configuration_has_the_rules() -> None:
    loaded = load({PREFIX + "EXPECT_RULES": "a -> every 24h", PREFIX + "MAX_DURATION_RULES": "a -> off"})
    config = detection_config(loaded)
    assert config.expectation("a", {}) == expectation("every 24h")
    assert config.expectation("b", {}) is None
    assert detection_config(Settings()).expect_rules == ()
    assert datetime.fromtimestamp(config.expect_rules[0].expectation.next_after(0)[0], UTC).day == 2
