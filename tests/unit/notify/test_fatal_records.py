"""X10: a record that ended a role each time is in one message, and in one alone."""

from stream_detector.notify.stages.fatal_records import report_set_aside
from tests.unit.notify.living import Notifier
from tests.unit.notify.subjects import CONFIG


class Watching(Notifier):
    def look(self, *records: str, role: str = "detector") -> "Watching":
        self.outcomes += report_set_aside(self.state, role, records, self.now_s, CONFIG)
        self.deliver()
        return self


def titles(notifier: Notifier) -> list[str]:
    return [one.title for one in notifier.outcomes if one.channel == "inbox"]


def test_x10_everybody_gets_one_message_with_the_role_and_the_place() -> None:
    notifier = Watching().look("scores-0@7").look("scores-0@7")
    assert titles(notifier) == ["⚠️ A record ended the detector each time, and is on dead-letters"]
    text = notifier.got("email")[0]
    assert "scores-0@7" in text and "stream-detector dead-letters" in text and "The detector continues" in text


def test_x10_what_is_new_is_reported_and_each_role_has_its_own() -> None:
    notifier = Watching().look("scores-0@7").look("scores-0@7", "scores-1@2", "scores-1@4")
    assert titles(notifier)[1:] == ["⚠️ 2 records ended the detector each time, and are on dead-letters"]
    assert "scores-0@7" not in notifier.got("email")[1]
    assert len(titles(notifier.look("scores-0@7", role="recorder"))) == 3


def test_x10_a_broker_that_was_begun_anew_counts_its_offsets_anew() -> None:
    notifier = Watching().look("scores-0@7").look().look("scores-0@7")
    assert len(titles(notifier)) == 2
