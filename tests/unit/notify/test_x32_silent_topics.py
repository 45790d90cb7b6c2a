"""X32: a quiet topic is a case of the same: one message for one cause, also where nothing has ever come."""

from dataclasses import replace

from stream_detector.notify.policy import take_away, watch_topic
from tests.unit.notify.absent import Watching, census, minutes, missed
from tests.unit.notify.living import only

TOPIC = "workflow-completions"
QUIET = replace(only("slack"), quiet_after_s={TOPIC: 3600.0, "scores": 3600.0})
NAMES = [f"job-{number:02}" for number in range(6)]


def look(notifier: Watching, end: int, after_s: float, topic: str = TOPIC) -> None:
    notifier.now_s += after_s
    notifier.outcomes += watch_topic(notifier.state, topic, end, notifier.now_s, notifier.config)
    notifier.deliver()


def test_x32_a_topic_that_never_had_an_event_is_silent_after_the_same_time() -> None:
    notifier = Watching(QUIET)
    look(notifier, 0, 0)
    look(notifier, 0, 3599)
    assert notifier.sent == []
    look(notifier, 0, 1)
    look(notifier, 0, 90_000)
    assert notifier.titles("slack") == [f"🔕 No event on {TOPIC} for 1 h"]
    assert "It has never had one." in notifier.got("slack")[0]
    look(notifier, 7, 10)
    assert notifier.titles("slack")[1:] == [f"✅ The first events came on {TOPIC}"]
    look(notifier, 7, 3600)
    assert notifier.titles("slack")[2:] == [f"🔕 No event on {TOPIC} for 1 h"]


def test_x32_a_topic_that_is_not_watched_is_nobodys_news() -> None:
    notifier = Watching(only("slack"))
    look(notifier, 0, 0)
    look(notifier, 0, 10**6)
    assert notifier.sent == []


def test_x32_a_quiet_topic_holds_the_messages_about_its_sources_and_their_runs() -> None:
    notifier = Watching(QUIET)
    look(notifier, 100, -5400)  # the last event came at 11:00
    look(notifier, 100, 5400)
    notifier.take(*(missed(name) for name in NAMES)).know(census(scheduled=9, absent=6)).after(10).after(10)
    assert notifier.titles("slack") == [f"🔕 No event on {TOPIC} for 1 h 30 m"]
    assert "no events on workflow-completions: one message for all of it" in notifier.reasons("slack")
    look(notifier, 101, 600)  # another source's event: this one is still silent
    notifier.know(census(scheduled=9, absent=6)).after(10)
    assert [one[:1] for one in notifier.titles("slack")] == ["🔕", "✅", "🔕"]


def test_x32_a_silent_source_whose_events_were_the_last_ones_explains_the_quiet_topic() -> None:
    notifier = Watching(QUIET).take(*(missed(name) for name in NAMES))
    look(notifier, 100, 0)
    notifier.know(census(scheduled=9, absent=6)).after(10)
    look(notifier, 100, 3600)
    assert len(notifier.sent) == 1
    look(notifier, 101, 600)
    notifier.know(census(scheduled=9, absent=5, newest_min=70)).after(10)
    assert [one[:1] for one in notifier.titles("slack")] == ["🔕", "✅"]
    # Had another source gone on for longer, that it has stopped is news.
    other = Watching(QUIET).take(*(missed(name) for name in NAMES))
    look(other, 100, 0)
    other.know(census(scheduled=9, absent=6), census(1, 0, 0, 20, "github")).after(10)
    look(other, 100, 3600)
    assert len(other.sent) == 2


def test_x33_what_several_detectors_were_away_for_is_one_message() -> None:
    notifier = Watching(QUIET)
    at_s = notifier.now_s
    for number, runs in enumerate((20, 11)):
        take_away(notifier.state, at_s - 28_800 + number, at_s - number, runs, at_s, at_s)
    notifier.after(59)
    assert notifier.sent == []
    notifier.after(1).after(600)
    assert notifier.titles("slack") == ["⏸️ No events were processed for 8 h"]
    assert "31 runs were expected in that time" in notifier.got("slack")[0]


def test_x33_an_absence_in_which_nothing_was_expected_and_one_of_last_week_are_no_news() -> None:
    notifier = Watching(QUIET)
    at_s = notifier.now_s
    take_away(notifier.state, at_s - 600, at_s, 0, at_s, at_s)
    take_away(notifier.state, at_s - 28_800, at_s, 5, at_s - 8 * 86_400, at_s)
    assert notifier.after(120).sent == []


def test_x32_a_state_that_an_earlier_version_wrote_goes_on() -> None:
    notifier = Watching(QUIET)
    look(notifier, 100, 0)
    look(notifier, 100, 3600)
    assert b"has_cause" not in notifier.state[f"quiet:{TOPIC}"]
    notifier.take(missed("job-00", minutes(70))).after(10)
    look(notifier, 101, 10)
    assert [one[:1] for one in notifier.titles("slack")] == ["🔕", "✅"]
