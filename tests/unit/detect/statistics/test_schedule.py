"""X31: the times of a workflow are learned from its starts, and a run that does not come is missed once."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from librt.strings import BytesWriter

from stream_detector.detect.statistics.schedule.daylight import shift_between
from stream_detector.detect.statistics.schedule.expected import has_late_run, next_usual
from stream_detector.detect.statistics.schedule.following import follow_shift
from stream_detector.detect.statistics.schedule.hours import (
    ALL_HOURS,
    NO_HOURS,
    pack_hours,
    unpack_before,
    unpack_hours,
    with_hour,
)
from stream_detector.detect.statistics.schedule.learned import (
    DAILY,
    DAY,
    EVERY,
    HOUR,
    INTERVAL,
    LEAST_RUNS,
    MONTHLY,
    NONE,
)
from stream_detector.detect.statistics.schedule.learning import REST, learn
from stream_detector.detect.statistics.schedule.schedule import Missed, Schedule

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
FAR = 400 * 86_400
Told = list[tuple[datetime, Missed]]


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def days(count: int, hour: float = 2, on: Callable[[datetime], bool] = lambda day: True) -> list[datetime]:
    each = [BEGIN + timedelta(days=number) for number in range(count)]
    return [day + timedelta(hours=hour) for day in each if on(day)]


def local(zone: str, first: str, count: int, *hours: int) -> list[datetime]:
    """The same hours of so many days of a zone."""
    begin = at(first, zone)
    return [(begin + timedelta(days=n)).replace(hour=hour) for n in range(count) for hour in hours]


def jittered(starts: Iterable[datetime], seed: int = 1) -> list[datetime]:
    random = Random(seed)
    return [start + timedelta(seconds=random.uniform(5, 90)) for start in sorted(starts)]


def watch(
    starts: Iterable[datetime], run_s: float = 60.0, delay_s: float = 2.0, until: datetime | None = None
) -> tuple[Schedule, Told]:
    """The schedule after these runs, packed and read again after each, and what was missed and when it was told."""
    schedule, told = Schedule(), []
    events = [(start + timedelta(seconds=run_s + delay_s), start) for start in sorted(starts)]
    for arrival, start in events:
        told += [(at_of(one.usual_s), one) for one in schedule.due(int(arrival.timestamp()))]
        schedule.note(int(start.timestamp()), run_s, delay_s)
        schedule = again(schedule)
    if until is not None:
        told += [(at_of(one.usual_s), one) for one in schedule.due(int(until.timestamp()))]
    return schedule, told


def packed_of(schedule: Schedule) -> bytes:
    w = BytesWriter()
    schedule.pack(w)
    return w.getvalue()


def again(schedule: Schedule) -> Schedule:
    packed = packed_of(schedule)
    other = Schedule()
    assert other.fill(b"xx" + packed, 2, schedule.due_s) == len(packed) + 2
    assert packed_of(other) == packed
    return other


def at_of(epoch_s: int) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)


def near(one: datetime, other: datetime, minutes: float = 3) -> bool:
    return abs(one - other) <= timedelta(minutes=minutes)


def without(starts: list[datetime], gone: datetime) -> list[datetime]:
    kept = [start for start in starts if not near(start, gone)]
    assert len(kept) == len(starts) - 1
    return kept


WORKING = [
    BEGIN + timedelta(days=d, hours=h, minutes=m)
    for d in range(40)
    if (BEGIN + timedelta(days=d)).weekday() < 5
    for h in range(9, 18)
    for m in (0, 15, 30, 45)
]
MONTHS = [datetime(2024 + n // 12, n % 12 + 1, 15, 6, tzinfo=UTC) for n in range(24)]
ENDS = [datetime(2024 + n // 12, n % 12 + 1, 1, 6, tzinfo=UTC) - timedelta(days=1) for n in range(1, 25)]
PLANS = {
    "nightly": (days(40), DAILY, BEGIN + timedelta(days=30, hours=2), 2.4),
    "weekdays": (days(60, on=lambda day: day.weekday() < 5), DAILY, BEGIN + timedelta(days=43, hours=2), 2.4),
    "four a day": (
        [BEGIN + timedelta(days=d, hours=h) for d in range(40) for h in (1, 7, 13, 19)],
        DAILY,
        BEGIN + timedelta(days=30, hours=13),
        0.6,
    ),
    "weekly": (days(200, on=lambda day: day.weekday() == 2), DAILY, BEGIN + timedelta(days=142, hours=2), 16.8),
    "every other day": (
        days(80, on=lambda day: (day - BEGIN).days % 2 == 0),
        EVERY,
        BEGIN + timedelta(days=60, hours=2),
        4.8,
    ),
    "monthly": (MONTHS, MONTHLY, MONTHS[18], 72),
    "last of the month": (ENDS, MONTHLY, ENDS[18], 72),
    "working hours": (WORKING, INTERVAL, BEGIN + timedelta(days=29, hours=12, minutes=30), 0.25),
    "every 5 minutes": (
        [BEGIN + timedelta(minutes=5 * n) for n in range(12 * 24 * 12)],
        INTERVAL,
        BEGIN + timedelta(days=10, hours=3),
        0.25,
    ),
    "hourly": (
        [BEGIN + timedelta(hours=n, minutes=7) for n in range(24 * 20)],
        INTERVAL,
        BEGIN + timedelta(days=16, hours=3, minutes=7),
        0.25,
    ),
}


@cache
def learned(name: str) -> tuple[bytes, int]:
    schedule, told = watch(jittered(PLANS[name][0]))
    assert told == []
    return packed_of(schedule), int(schedule.due_s)


def of_plan(name: str) -> Schedule:
    """The schedule after all runs of a plan."""
    packed, due_s = learned(name)
    schedule = Schedule()
    schedule.fill(packed, 0, due_s)
    return schedule


@pytest.mark.parametrize("name", PLANS)
def test_x31_a_run_that_is_left_out_is_missed_in_time_and_no_other(name: str) -> None:
    starts, kind, gone, hours = PLANS[name]
    schedule, told = watch(without(jittered(starts), gone + timedelta(seconds=40)))
    assert schedule.kind == kind
    assert [near(when, gone) for when, _ in told] == [True]
    after = timedelta(seconds=told[0][1].due_s) + datetime.fromtimestamp(0, UTC) - gone
    assert timedelta(hours=hours * 0.9) <= after <= timedelta(hours=hours, minutes=4)


@pytest.mark.parametrize("name", ["nightly", "weekdays", "weekly", "monthly"])
def test_x31_runs_by_hand_and_double_starts_change_nothing(name: str) -> None:
    starts, _, gone, _ = PLANS[name]
    random = Random(3)
    runs = without(jittered(starts), gone + timedelta(seconds=40))
    extra = [start + timedelta(seconds=20) for start in runs if random.random() < 0.05]
    by_hand = [start + (runs[1] - runs[0]) * random.uniform(0.4, 0.8) for start in runs if random.random() < 0.1]
    _, told = watch(runs + extra + by_hand)
    assert [near(when, gone, 5) for when, _ in told] == [True]


def test_x31_a_workflow_that_ends_is_missed_three_times_and_taken_for_retired() -> None:
    schedule, told = watch(jittered(days(30)), until=BEGIN + timedelta(days=90))
    assert [one.in_a_row for _, one in told] == [1, 2, 3]
    assert schedule.due(int(BEGIN.timestamp()) + FAR) == []
    resumed = BEGIN + timedelta(days=91, hours=2)
    schedule.note(int(resumed.timestamp()), 60.0, 2.0)
    assert schedule.missed == 0
    assert len(schedule.due(int((resumed + timedelta(days=1, hours=4)).timestamp()))) == 1


def test_x31_a_run_that_comes_late_is_that_of_its_time() -> None:
    schedule, _ = watch(jittered(days(30)))
    usual = BEGIN + timedelta(days=30, hours=2)
    late = usual + timedelta(hours=3)
    (missed,) = schedule.due(int(late.timestamp()))
    assert schedule.note(int(late.timestamp()), 60.0, 2.0) == missed.usual_s
    assert (schedule.missed, schedule.reported_s) == (0, 0)


def test_x31_the_next_run_is_not_the_missed_one() -> None:
    schedule, _ = watch(jittered(days(30)))
    following = BEGIN + timedelta(days=31, hours=2, minutes=1)
    assert len(schedule.due(int(following.timestamp()))) == 1
    assert schedule.note(int(following.timestamp()), 60.0, 2.0) == 0
    assert schedule.missed == 0


def test_x31_a_weekly_delivery_makes_what_is_due_later_and_not_missed() -> None:
    starts = jittered(days(40))
    _, told = watch(starts, delay_s=3 * 3600)
    assert told == []
    quick, _ = watch(starts)
    slow, _ = watch(starts, delay_s=3 * 3600)
    assert slow.due_s - quick.due_s == pytest.approx(3 * 3600, abs=120)


def test_one_backlog_hardly_moves_the_delay_and_a_lasting_one_does() -> None:
    schedule, _ = watch(jittered(days(30)))
    start = int((BEGIN + timedelta(days=30, hours=2)).timestamp())
    schedule.note(start, 60.0, 40_000.0)
    assert schedule.delay_s < 3.0
    for day in range(1, 8):
        schedule.note(start + day * 86_400, 60.0, 40_000.0)
    assert schedule.delay_s > 20_000.0


@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("Europe/Berlin", "2026-02-20T00:30"),
        ("Europe/Berlin", "2026-09-20T00:30"),
        ("America/New_York", "2026-02-10T00:30"),
        ("America/New_York", "2026-10-01T00:30"),
        ("Australia/Sydney", "2026-03-01T00:30"),
    ],
)
@pytest.mark.parametrize("hours", [(2,), (1, 7, 13, 19), tuple(range(8, 18))])
def test_x33_daylight_saving_is_no_miss(zone: str, first: str, hours: tuple[int, ...]) -> None:
    """Nightly at 02:30 which does not exist in one night, several times a day, hourly in working hours."""
    assert watch(jittered(local(zone, first, 60, *hours)))[1] == []


@pytest.mark.parametrize("by", [-1, 1])
def test_x31_a_nightly_run_that_is_moved_by_an_hour_is_no_miss(by: int) -> None:
    starts = [start + timedelta(hours=by) * (number >= 25) for number, start in enumerate(days(50))]
    schedule, told = watch(jittered(starts))
    assert told == [] and schedule.times[0] // 3600 == 2 + by


@pytest.mark.parametrize("by", [-1, 1])
def test_x31_several_runs_a_day_that_move_by_an_hour_are_missed_once_at_most(by: int) -> None:
    starts = [BEGIN + timedelta(days=d, hours=h + by * (d >= 30)) for d in range(50) for h in (1, 7, 13, 19)]
    schedule, told = watch(jittered(starts))
    assert len(told) <= 1
    assert sorted(time // 3600 for time in schedule.times) == [1 + by, 7 + by, 13 + by, 19 + by]


def test_x31_working_hours_that_move_by_an_hour_are_missed_once_a_day_at_most() -> None:
    moved = BEGIN + timedelta(days=22)
    starts = [start + timedelta(hours=1) * (start >= moved) for start in WORKING]
    assert len(watch(jittered(starts))[1]) <= 2


@pytest.mark.parametrize("seed", range(6))
def test_x31_a_workflow_without_a_schedule_is_never_missed(seed: int) -> None:
    """Pushes in working hours, as of most CI."""
    random, now, starts = Random(seed), BEGIN, []
    for _ in range(1500):
        now += timedelta(minutes=random.expovariate(1 / 70))
        if now.hour < 8 or now.weekday() > 4:
            now += timedelta(hours=12)
        starts.append(now)
    assert watch(starts)[1] == []


def test_x31_dates_without_a_time_of_day_are_no_schedule() -> None:
    schedule, told = watch(days(60, hour=0), until=BEGIN + timedelta(days=90))
    assert schedule.kind == NONE and told == []


def test_what_has_no_schedule_takes_four_bytes_while_it_rests() -> None:
    random, schedule, now = Random(5), Schedule(), 1_700_000_000
    rested = 0
    for _ in range(400):
        now += int(random.expovariate(1 / 3000)) + 100
        schedule.note(now, 10.0, 1.0)
        if schedule.rests:
            rested += 1
            assert len(packed_of(schedule)) == 4
        schedule = again(schedule)
    assert rested > 0.6 * 400 and REST > 2 * LEAST_RUNS


def test_nothing_is_learned_before_ten_runs() -> None:
    schedule, told = watch(jittered(days(9)), until=BEGIN + timedelta(days=30))
    assert schedule.kind == NONE and told == []


def test_a_run_out_of_order_takes_its_place() -> None:
    schedule, _ = watch(jittered(days(30)))
    early = int((BEGIN + timedelta(days=10, hours=5)).timestamp())
    schedule.note(early, 60.0, 2.0)
    assert schedule.starts() == sorted(schedule.starts())


@pytest.mark.parametrize(
    ("after", "until", "shifted"),
    [
        ("2026-03-28T12:00", "2026-03-29T12:00", True),
        ("2026-03-29T03:00", "2026-04-01T12:00", False),
        ("2026-03-07T12:00", "2026-03-08T12:00", True),
        ("2026-11-01T00:00", "2026-11-01T12:00", True),
        ("2026-04-04T12:00", "2026-04-05T00:00", True),
        ("2026-09-26T12:00", "2026-09-27T00:00", True),
        ("2026-07-01T00:00", "2026-07-09T00:00", False),
    ],
)
def test_when_clocks_are_put_forward_or_back(after: str, until: str, shifted: bool) -> None:
    assert shift_between(int(at(after).timestamp()), int(at(until).timestamp())) is shifted


@pytest.mark.parametrize(
    ("kind", "starts"),
    [
        (DAILY, local("Europe/Berlin", "2026-01-10T01:30", 120, 1)),
        (EVERY, local("Europe/Berlin", "2026-01-10T01:30", 240, 1)[::2]),
        (MONTHLY, [at(f"{2024 + n // 12}-{n % 12 + 1:02}-10T01:30", "Europe/Berlin") for n in range(30)]),
        (MONTHLY, [at(f"{2024 + n // 12}-{n % 12 + 1:02}-01T01:30", "Europe/Berlin") for n in range(30)]),
    ],
)
def test_x33_a_time_that_passes_midnight_by_daylight_saving_is_no_miss(kind: int, starts: list[datetime]) -> None:
    """01:30 in Berlin is 00:30 UTC, and in summer 23:30 of the day before."""
    schedule, told = watch(jittered(starts))
    assert schedule.kind == kind and told == []


def epoch(when: datetime) -> int:
    return int(when.timestamp())


@pytest.mark.parametrize("name", PLANS)
def test_x31_what_came_while_nobody_listened_is_excused(name: str) -> None:
    """The runs of a span are neither come nor missed, and the first one after it is expected again."""
    schedule = of_plan(name)
    due_s, usual_s = schedule.due_s, schedule.usual_s
    assert usual_s < due_s and schedule.excuse(due_s - 1) == 0 and schedule.due_s == due_s
    until = due_s + 70 * 86_400
    assert schedule.excuse(until) > 0
    assert schedule.due_s > until and schedule.missed == 0 and schedule.due(until) == []
    assert again(schedule).usual_s == schedule.usual_s > usual_s


def test_x31_runs_that_came_in_the_span_are_not_counted_as_expected_in_it() -> None:
    schedule, _ = watch(jittered(days(30)))
    came, due_s = BEGIN + timedelta(days=30, hours=2), schedule.due_s
    schedule.remember(epoch(came))
    assert schedule.excuse(due_s) == 0 and schedule.usual_s > epoch(came) + 80_000


def test_a_schedule_that_is_retired_is_not_due_and_has_no_usual_start() -> None:
    schedule, _ = watch(jittered(days(30)), until=BEGIN + timedelta(days=90))
    assert (schedule.due_s, schedule.usual_s, schedule.excuse(2_000_000_000)) == (0, 0, 0)


@pytest.mark.parametrize("gap", [60, 900, 86_400, 3 * 86_400 + 50, 7 * 86_400, 31 * 86_400, 300 * 86_400])
def test_starts_are_remembered_to_a_thousandth_of_their_gaps(gap: int) -> None:
    schedule, start = Schedule(), 1_700_000_003
    for number in range(40):
        start = 1_700_000_003 + number * gap + number % 3
        schedule.remember(start)
    found = schedule.starts()
    assert len(found) == 24 and 0 <= found[-1] - start < max(gap / 1000, 4)
    assert all(abs(b - a - gap) <= 2 * max(gap / 1000, 4) for a, b in pairwise(found))
    before = start - gap - 39 % 3 + 38 % 3
    assert schedule.has_start(start) and schedule.has_start(before)
    assert not schedule.has_start(start - gap // 2) and not schedule.has_start(start + gap)
    assert not schedule.has_start(start - 30 * gap)


def test_a_gap_of_years_is_as_long_as_can_be_kept() -> None:
    schedule = Schedule()
    schedule.remember(1_000_000_000)
    schedule.remember(1_400_000_000)
    assert 1_000_000_000 + 360 * 86_400 < schedule.newest < 1_400_000_000
    assert not Schedule().has_start(1_000_000_000)


def test_a_start_that_is_older_than_all_that_are_remembered_is_forgotten() -> None:
    schedule, _ = watch(jittered(days(30)))
    before = schedule.starts()
    schedule.remember(epoch(BEGIN))
    assert schedule.starts() == pytest.approx(before, abs=64)


@pytest.mark.parametrize("name", PLANS)
def test_a_state_that_is_cut_off_is_refused(name: str) -> None:
    packed, _ = learned(name)
    assert len(packed) <= 128
    for length in range(len(packed)):
        with pytest.raises(IndexError):
            Schedule().fill(packed[:length], 0, 0)


def test_a_schedule_that_is_no_longer_kept_is_forgotten() -> None:
    """A nightly run that becomes one by hand at any time."""
    random, starts = Random(7), jittered(days(30))
    when = starts[-1]
    for _ in range(60):
        when += timedelta(hours=random.uniform(3, 60))
        starts.append(when)
    schedule, told = watch(starts)
    assert schedule.kind == NONE and schedule.due_s == 0
    assert len(told) <= 12


def test_a_time_of_the_month_that_moves_to_the_day_before_its_first_is_that_of_the_last() -> None:
    """00:30 on the first, and from the tenth month on 40 minutes earlier: on the last of the month before."""
    firsts = [datetime(2024 + n // 12, n % 12 + 1, 1, 0, 30, tzinfo=UTC) for n in range(30)]
    schedule, told = watch([first - timedelta(minutes=40) * (n >= 14) for n, first in enumerate(firsts)])
    assert schedule.kind == MONTHLY and schedule.last_day and told == []


def test_what_runs_every_other_day_and_passes_midnight_keeps_its_days() -> None:
    starts = [BEGIN + timedelta(days=2 * n, minutes=5 - 10 * (n >= 20)) for n in range(50)]
    schedule, told = watch(starts)
    assert schedule.kind == EVERY and told == [] and schedule.times[0] > 84_000


@pytest.mark.parametrize(
    ("hours", "before"),
    [
        (NO_HOURS, NO_HOURS),
        (ALL_HOURS, NO_HOURS),
        (NO_HOURS, ALL_HOURS),
        (with_hour(NO_HOURS, 167, True), NO_HOURS),
        (with_hour(ALL_HOURS, 3, False), with_hour(ALL_HOURS, 50, False)),
        (bytes(range(21)), bytes(range(100, 121))),
    ],
)
def test_two_weeks_of_hours_are_read_as_they_were_written(hours: bytes, before: bytes) -> None:
    w = BytesWriter()
    pack_hours(w, hours, before)
    packed = w.getvalue()
    found, at = unpack_hours(b"x" + packed, 1)
    assert (found, *unpack_before(b"x" + packed, at, found)) == (hours, before, len(packed) + 1)


def test_a_usual_place_at_which_nothing_runs_is_found_anew() -> None:
    schedule = of_plan("every 5 minutes")
    right = schedule.times[0]
    schedule.times[0] = (right + 150) % 300
    for _ in range(24):
        schedule.note(schedule.newest + 300 - (schedule.newest - 30) % 300, 60.0, 2.0)
    assert abs(schedule.times[0] - 30) < 15


def test_x31_a_time_of_the_day_that_comes_later_is_added() -> None:
    """Three times a day, and after a month four."""
    starts = [BEGIN + timedelta(days=d, hours=h) for d in range(60) for h in (1, 7, 13, 19) if h != 13 or d >= 30]
    gone = BEGIN + timedelta(days=50, hours=13)
    schedule, told = watch(without(jittered(starts), gone + timedelta(seconds=40)))
    assert sorted(time // 3600 for time in schedule.times) == [1, 7, 13, 19]
    assert [near(when, gone) for when, _ in told] == [True]


def test_x31_runs_by_hand_at_about_the_same_time_are_no_time_of_the_day() -> None:
    starts = [BEGIN + timedelta(days=d, hours=h) for d in range(40) for h in (1, 7, 13)]
    by_hand = [BEGIN + timedelta(days=d, hours=h, minutes=7 * d) for d in range(31, 40) for h in (17, 21, 23)]
    assert len(watch(jittered(starts + by_hand))[0].times) == 3


def test_x31_a_workflow_that_is_run_by_hand_each_day_is_not_trusted_for_long() -> None:
    """Nightly for a month, then each day at another time."""
    random = Random(11)
    by_hand = [BEGIN + timedelta(days=30 + d, hours=random.uniform(0, 24)) for d in range(90)]
    _, told = watch(jittered(days(30)) + by_hand)
    assert len(told) <= 12


def test_a_week_without_hours_or_days_expects_nothing() -> None:
    working, nightly = of_plan("working hours"), of_plan("nightly")
    working.hours = working.before = NO_HOURS
    nightly.times = [14 * 3600]
    assert next_usual(working, int(working.newest)) == next_usual(nightly, int(nightly.newest)) == 0


def test_starts_of_one_run_are_no_schedule() -> None:
    schedule = Schedule()
    for number in range(12):
        schedule.note(1_700_000_000 + 20 * number, 1.0, 1.0)
    assert schedule.kind == NONE and schedule.due_s == 0


def test_x31_one_of_two_runs_in_a_period_is_that_of_the_one_before() -> None:
    schedule = Schedule()
    schedule.kind, schedule.period_s, schedule.times = INTERVAL, 300, [0]
    schedule.tolerance_s, schedule.early_s = 900, 25
    slot = 6_000_000 * 300
    schedule.remember(slot + 310)
    assert not has_late_run(schedule, slot)
    schedule.remember(slot + 420)
    assert has_late_run(schedule, slot)


def test_x31_a_run_an_hour_later_is_a_vote_for_a_move_however_few_are_remembered() -> None:
    schedule = Schedule()
    schedule.kind, schedule.times = DAILY, [2 * HOUR, 14 * HOUR]
    slot = 20_000 * DAY + 2 * HOUR
    schedule.came_s = slot - DAY // 2
    schedule.remember(slot + HOUR)
    follow_shift(schedule, slot)
    assert schedule.votes == 1 and schedule.shifted


def test_x31_a_time_of_the_day_that_is_not_used_any_more_is_not_added() -> None:
    schedule = Schedule()
    schedule.kind, schedule.times = DAILY, [2 * HOUR]
    for day in range(18):
        schedule.remember((20_000 + day) * DAY + (14 if day < 10 else 2) * HOUR)
    assert not learn(schedule) and schedule.times == [2 * HOUR]


def test_x31_what_runs_every_few_seconds_is_not_remembered_for_long() -> None:
    schedule = Schedule()
    for second in range(26):
        schedule.note(1_769_000_000 + second, 0.5, 0.0)
    assert schedule.rests and schedule.wait <= REST


def test_x31_starts_of_one_afternoon_are_no_times_of_the_day() -> None:
    schedule = Schedule()
    for number, gap_s in enumerate([700, 130, 900, 260, 1_500, 95, 2_000, 400] * 4):
        schedule.note(1_769_000_000 + number * 600 + gap_s, 5.0, 0.0)
    assert schedule.kind != DAILY


def test_x31_three_runs_in_a_row_that_come_late_have_another_time() -> None:
    schedule = Schedule()
    first = 1_769_000_000 // DAY * DAY + 2 * HOUR
    missed = 0
    for day in range(60):
        start = first + day * DAY + (3 * HOUR if day >= 30 else 0)
        missed += len(schedule.due(start + 60))
        schedule.note(start, 60.0, 2.0)
    assert missed == 3
    assert schedule.kind == DAILY and schedule.times == [5 * HOUR]
