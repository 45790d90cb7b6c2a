"""The policy with its state and clock, as a test lets it live."""

from collections import Counter
from dataclasses import replace

from stream_detector.events import Action, Anomaly, Notification, RunSummary
from stream_detector.events.label_counts import LabelCounts
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.message import Delivered, Delivery, Refused, RetryAfter
from stream_detector.notify.policy import accept, due_deliveries, settle
from stream_detector.notify.state.slotted_store import SlottedStore
from stream_detector.notify.tick import tick
from tests.events_made import NOON
from tests.unit.notify.subjects import CONFIG

NOW_S = NOON.timestamp()
OK = Delivered("answered ok")


class Notifier:
    """Policy, state and clock of one test. `sent` is what channels got, `outcomes` what was reported."""

    def __init__(self, config: NotifyConfig = CONFIG) -> None:
        self.config, self.state, self.now_s = config, SlottedStore({}), NOW_S
        self.sent: list[Delivery] = []
        self.outcomes: list[Notification] = []

    def take(self, *items: Anomaly | RunSummary | Action, counts: LabelCounts | None = None) -> "Notifier":
        for item in items:
            self.outcomes += accept(self.state, item, self.now_s, self.config, counts)
        return self

    def deliver(self, result: Delivered | RetryAfter | Refused = OK) -> "Notifier":
        while ready := due_deliveries(self.state, self.now_s, self.config):
            for delivery in ready:
                if isinstance(result, Delivered):
                    self.sent.append(delivery)
                self.outcomes += settle(self.state, delivery, result, self.now_s, self.config)
        return self

    def after(self, seconds: float, result: Delivered | RetryAfter | Refused = OK) -> "Notifier":
        """Let time pass, do what it brings, deliver what is due."""
        self.now_s += seconds
        self.outcomes += tick(self.state, self.now_s, self.config)
        return self.deliver(result)

    def got(self, channel: str) -> list[str]:
        return [one.message.text for one in self.sent if one.message.channel == channel]

    def counts(self, channel: str) -> Counter[str]:
        return Counter(one.outcome for one in self.outcomes if one.channel == channel)

    def reasons(self, channel: str) -> list[str]:
        return [one.reason for one in self.outcomes if one.channel == channel]


def only(*channels: str, **changes: object) -> NotifyConfig:
    return replace(CONFIG, channels={name: name in channels for name in CONFIG.channels}, **changes)  # type: ignore[arg-type]
