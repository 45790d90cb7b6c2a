"""Times that a rule gives (EXPECT_RULES), and what is learned of how long after them events come."""

from librt.strings import BytesWriter

from stream_detector.detect.statistics.given_schedule import GivenSchedule
from stream_detector.timing_rules import expectation

DAY = 86_400


def test_by_a_rule_it_counts_from_the_last_run_unless_that_was_due_already() -> None:
    rule, given = expectation("every 1h"), GivenSchedule()
    given.begin(rule, 1, 7200, 3600)
    assert (given.usual_s, given.due_s) == (7200, 7560)
    given.begin(rule, 1, 7600, 3600)
    assert (given.usual_s, given.due_s) == (11_200, 11_560)
    w = BytesWriter()
    given.pack(w)
    packed, copy = w.getvalue(), GivenSchedule()
    assert copy.fill(packed, 0) == len(packed) == 29


def test_a_span_of_years_is_excused_at_once() -> None:
    rule, given = expectation("every 1 min"), GivenSchedule()
    given.begin(rule, 1, 60, 0)
    assert 2000 <= given.excuse(rule, 400 * DAY) <= 2001 and given.due_s > 400 * DAY
