"""X30: an execution that runs for too long is one line: reported, once more when it is critical, and ended."""

from dataclasses import replace

import pytest

from stream_detector.notify.message import Delivered
from tests.unit.notify.absent import Watching, missed, running
from tests.unit.notify.living import only
from tests.unit.notify.subjects import CONFIG

STAGES = (
    running("nightly"),
    running("nightly", state="ongoing", severity="critical"),
    running("nightly", state="resolved", severity="info", end_reason="superseded", duration_s=1800.0),
)
TITLES = [
    "Warning: Long run of nightly (still running)",
    "Critical: Long run of nightly (still running)",
    "Ended: Long run of nightly",
]


@pytest.mark.parametrize("given", [{}, {"group_by": ("build",), "group_wait_s": 2.0, "group_interval_s": 60.0}])
def test_x30_its_opening_its_rise_and_its_end_are_sent_whatever_ended_it(given: dict[str, object]) -> None:
    notifier = Watching(replace(only("slack", "email", "inbox"), **given))  # type: ignore[arg-type]
    for one in STAGES:
        notifier.take(one).after(61)
    assert notifier.titles("slack") == notifier.inbox() == TITLES
    assert notifier.titles("email") == [f"GVS: {title}" for title in TITLES]
    assert all(one.outcome == "delivered" for one in notifier.outcomes)


def test_x30_where_a_message_can_be_changed_it_is_one() -> None:
    notifier = Watching(replace(CONFIG, channels={"slack_bot": True}, group_wait_s=2.0, group_interval_s=60.0))
    for one in STAGES:
        notifier.take(one).after(61, Delivered("ok", reference="C1 17.1"))
    assert notifier.titles("slack_bot") == TITLES
    assert [one.message.reference for one in notifier.sent] == ["", "C1 17.1", "C1 17.1"]


def test_x31_the_end_of_a_missed_run_is_sent_whatever_ended_it() -> None:
    for reason, word in (("recovered", "Resolved"), ("superseded", "Ended"), ("retired", "Ended")):
        notifier = Watching(only("slack")).take(missed("nightly")).after(10)
        end = missed("nightly", id="end", state="resolved", severity="info", end_reason=reason, duration_s=60.0)
        notifier.take(missed("nightly", id="second", state="ongoing")).take(end).after(61)
        assert notifier.titles("slack")[1:] == [f"{word}: Missed run of nightly"]
