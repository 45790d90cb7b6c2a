"""X14: one rule for every reader of `operator-actions`, whatever the order, however often a record comes."""

import random
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from stream_detector.events.decisions import (
    SILENCE_LASTS,
    Decided,
    decided_by,
    first_of_each,
    silence_end,
    silence_in_force,
    target_of,
)
from tests.events_made import NOON, action

RECORDS = st.lists(
    st.builds(
        Decided,
        at_s=st.integers(0, 6).map(float),
        action_id=st.sampled_from("abc"),
        until_s=st.integers(0, 9).map(float),
    ),
    max_size=6,
)


def made(name: str, at_s: float, until_s: float) -> Decided:
    return Decided(at_s=at_s, action_id=name, until_s=until_s)


@given(RECORDS, RECORDS, st.randoms(use_true_random=False))
def test_x14_neither_order_nor_repetition_matters(
    silences: list[Decided], retired: list[Decided], chance: random.Random
) -> None:
    expected = silence_in_force(silences, retired, 5.0)
    again = [*silences, *silences[: len(silences) // 2]]
    chance.shuffle(again)
    assert silence_in_force(again, [*reversed(retired), *retired], 5.0) == expected
    assert silence_in_force(first_of_each(again), first_of_each(retired), 5.0) == expected, "what is kept says the same"


def test_x14_a_link_pressed_again_after_its_silence_was_lifted_silences_nothing() -> None:
    first, lifted, again = made("link", 1.0, 100.0), made("lift", 2.0, 1.0), made("link", 3.0, 103.0)
    for records in ([first, lifted, again], [again, first, lifted], [again, lifted, first]):
        assert silence_in_force(records, [], 4.0) is None
    assert silence_in_force([first, again], [], 4.0) == first, "nor does it last longer"


def test_x14_the_newest_of_a_target_counts_and_a_lift_needs_to_be_newer() -> None:
    day, hour = made("day", 1.0, 86_400.0), made("hour", 2.0, 3_600.0)
    assert silence_in_force([hour, day], [], 5.0) == hour
    assert silence_in_force([hour, day], [], 3_600.0) is None, "what it replaced does not come back"
    assert silence_in_force([made("lift", 0.5, 0.0), day], [], 5.0) == day
    assert silence_in_force([], [], 5.0) is None


def test_x14_a_retirement_ends_the_silences_before_it() -> None:
    day = made("day", 1.0, 86_400.0)
    assert silence_in_force([day], [made("r", 1.0, 0.0)], 5.0) is None
    assert silence_in_force([day], [made("r", 0.9, 0.0)], 5.0) == day


def test_a_silence_without_an_end_lasts_a_day() -> None:
    assert silence_end(NOON, None) == NOON + SILENCE_LASTS
    one = decided_by(action("a", "silence", matchers={"b": "2", "a": "1"}))
    assert one.until_s == (NOON + timedelta(days=1)).timestamp() and one.by == "ann"
    assert target_of(action("a", "silence", matchers={"b": "2", "a": "1"})) == (
        "workflow:nightly", "", (("a", "1"), ("b", "2")),
    )  # fmt: skip
