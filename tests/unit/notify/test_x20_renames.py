"""A workflow that was renamed between the opening and the end of its incident."""

from tests.events_made import action, uuid
from tests.unit.notify.subjects import slow
from tests.unit.notify.test_incidents import BOT, WithBot

RENAME = action("r", "rename", entity="workflow:old", new_id="new")


def test_x20_the_end_under_the_new_id_changes_the_message_that_reported_it() -> None:
    notifier = WithBot(BOT).take(slow("open", incident="i", entity_id="old")).deliver()
    notifier.take(RENAME).deliver()
    assert len(notifier.sent) == 1, "a rename is no message"
    end = slow("end", incident="i", state="resolved", severity="info", duration_s=725.0, entity_id="new")
    notifier.take(end).deliver()
    messages = [one.message for one in notifier.sent if one.message.channel == "slack_bot"]
    assert [(one.state, one.incident_id) for one in messages] == [("opened", uuid("i")), ("resolved", uuid("i"))]
    assert messages[1].reference and not messages[0].reference


def test_x20_who_acknowledged_the_incident_before_is_not_asked_again() -> None:
    notifier = WithBot(BOT).take(slow("open", severity="warning", incident="i", entity_id="old")).deliver()
    notifier.take(action("1", "acknowledge", entity="workflow:old", incident_id=uuid("i"))).deliver()
    before = len(notifier.sent)
    notifier.take(RENAME, slow("worse", incident="i", state="ongoing", severity="warning", entity_id="new")).deliver()
    assert len(notifier.sent) == before
