"""X32: what was learned of a workflow's times, in words."""

from datetime import datetime, timedelta

import pytest

from stream_detector.detect.statistics.schedule.hours import NO_HOURS
from stream_detector.detect.statistics.schedule.schedule import Schedule
from stream_detector.detect.statistics.schedule_text import describe
from tests.unit.detect.statistics.test_schedule import BEGIN, PLANS, WORKING, days, jittered, of_plan, watch

TEXTS = {
    "nightly": ("every day 02:00 to 02:01 UTC", "02:02 UTC"),
    "weekdays": ("weekdays 02:00 to 02:01 UTC", "02:02 UTC"),
    "four a day": ("every day 01:00, 07:00, 13:00 and 19:00 UTC", ""),
    "weekly": ("Wednesdays 02:00 to 02:02 UTC", "02:03 UTC"),
    "every other day": ("every 2 days 02:00 to 02:01 UTC", "02:02 UTC"),
    "monthly": ("on day 15 of the month 06:00 to 06:04 UTC", "06:04 UTC"),
    "last of the month": ("on the last day of the month 06:00 to 06:04 UTC", "06:02 UTC"),
    "working hours": ("every 15 min, weekdays 09:00 to 18:00 UTC", ""),
    "every 5 minutes": ("every 5 min", ""),
    "hourly": ("every 1 h", ""),
}


@pytest.mark.parametrize("name", PLANS)
def test_x32_each_schedule_in_words(name: str) -> None:
    schedule = of_plan(name)
    view = describe(schedule)
    assert view is not None
    assert (view.text, view.ends_by) == TEXTS[name]
    assert view.expected >= 4 and view.came == view.expected
    assert view.usual_s < view.due_s == schedule.due_s


def test_x32_no_schedule_has_no_words() -> None:
    assert describe(Schedule()) is None
    assert describe(watch(days(5))[0]) is None


def test_x32_missed_runs_count_as_neither() -> None:
    schedule, told = watch(jittered(days(30)), until=BEGIN + timedelta(days=31, hours=8))
    view = describe(schedule)
    assert len(told) == 2 and view is not None and view.came == view.expected


def test_x32_days_of_the_week_have_their_names() -> None:
    twice = [day for day in days(120) if day.weekday() in (0, 3)]
    weekend = [day for day in days(120) if day.weekday() > 4]
    sundays = [BEGIN + timedelta(days=6 + 7 * number, hours=2) for number in range(30)]
    for starts, text in ((twice, "Mondays and Thursdays"), (weekend, "weekends"), (sundays, "Sundays")):
        view = describe(watch(starts)[0])
        assert view is not None and view.text == f"{text} 02:00 UTC"


def test_x32_a_week_that_is_not_over_has_no_hours_yet() -> None:
    schedule, _ = watch(jittered(start for start in WORKING if start < BEGIN + timedelta(days=4)))
    view = describe(schedule)
    assert view is not None and view.text == "every 15 min"


def test_x32_a_week_without_a_run_has_no_hours() -> None:
    schedule = of_plan("working hours")
    schedule.hours = NO_HOURS
    view = describe(schedule)
    assert view is not None and view.text == "every 15 min"


def test_x32_all_day_on_weekdays() -> None:
    begin = datetime.combine(BEGIN.date(), BEGIN.timetz())
    starts = [begin + timedelta(hours=number, minutes=7) for number in range(24 * 40)]
    view = describe(watch(start for start in starts if start.weekday() < 5)[0])
    assert view is not None and view.text == "every 1 h on weekdays"


def test_x32_every_seventh_day_is_a_day_of_the_week() -> None:
    schedule = of_plan("every other day")
    schedule.period_s, schedule.day = 7 * 86_400, 0
    view = describe(schedule)
    assert view is not None and view.text.startswith("Thursdays 02:00")
