"""X16: what Kafka deleted before a role had read it is in one message, each record in one message alone."""

from stream_detector.notify.stages.lost_records import LISTED, Loss, forget_losses, report_losses
from tests.unit.notify.living import Notifier
from tests.unit.notify.subjects import CONFIG


class Watching(Notifier):
    def look(self, *losses: Loss, role: str = "recorder") -> "Watching":
        self.outcomes += report_losses(self.state, role, losses, self.now_s, CONFIG)
        self.deliver()
        return self


def loss(first: int, end: int, partition: int = 0, role: str = "recorder") -> Loss:
    return Loss(role, "scores", partition, first, end)


def titles(notifier: Notifier, channel: str = "inbox") -> list[str]:
    return [one.title for one in notifier.outcomes if one.channel == channel]


def test_x16_everybody_gets_one_message_with_topic_partition_number_and_what_to_do() -> None:
    notifier = Watching().look(loss(100, 700), loss(50, 51, partition=3))
    assert titles(notifier) == ["⚠️ Kafka deleted 601 records before the recorder read them"]
    text = notifier.got("email")[0]
    assert "scores-0: 600 records (offsets 100 to 699)" in text and "scores-3: 1 record (offsets 50 to 50)" in text
    assert "not stored in PostgreSQL" in text and "Publish them again" in text and "retention.ms" in text


def test_x16_the_same_loss_is_not_reported_again_and_what_is_new_of_it_is() -> None:
    notifier = Watching().look(loss(100, 700)).look(loss(100, 700)).look(loss(100, 700), loss(100, 700))
    assert len(titles(notifier)) == 1
    notifier.look(loss(100, 750))  # it went on while the role was down; then the role notes the whole range
    notifier.look(loss(100, 750), loss(900, 910))
    assert [title.split()[3] for title in titles(notifier)] == ["600", "50", "10"]


def test_x16_each_role_loses_its_own_records() -> None:
    notifier = Watching().look(loss(100, 700)).look(loss(100, 700, role="detector"), role="detector")
    assert len(titles(notifier)) == 2 and "no baseline" in notifier.got("email")[1]


def test_x16_a_topic_that_was_made_anew_counts_anew() -> None:
    notifier = Watching().look(loss(100, 700))
    forget_losses(notifier.state, "recorder", "scores", 0, 700)
    assert len(titles(notifier.look(loss(100, 700)))) == 1, "its log starts where it was reported"
    forget_losses(notifier.state, "recorder", "scores", 0, 30)
    assert len(titles(notifier.look(loss(10, 30)))) == 2


def test_x16_many_partitions_are_one_message_that_stays_short() -> None:
    notifier = Watching().look(*(loss(0, 5, partition=number) for number in range(100)))
    assert titles(notifier) == ["⚠️ Kafka deleted 500 records before the recorder read them"]
    assert f"and {100 - LISTED} more" in notifier.got("email")[0]
