"""What the notifier would send of a history: the policy itself, on the clock of the data, to channels that always take.

Everything that decides is in force: routes, severity, groups and their wait, rate limits and digests, flapping, ends.

>>> forecast = Forecast(NotifyConfig())
>>> forecast.channels
('slack',)
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import itemgetter

from stream_detector.events import Action, Anomaly, Notification, RunSummary
from stream_detector.events.label_counts import LabelCounts
from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.message import Delivered, Message
from stream_detector.notify.policy import accept, due_deliveries, expire, settle
from stream_detector.notify.state.slotted_store import SlottedStore
from stream_detector.notify.tick import next_tick_s, tick

DEFAULT_CHANNEL = "slack"
_TAKEN = Delivered("forecast")
_EXPIRE_EVERY_S = 3_600.0

Item = tuple[Anomaly | RunSummary, LabelCounts | None]
"""What the detector published, and how common its labels were."""


def forecast_of(config: NotifyConfig, items: Iterable[Item], actions: Iterable[Action] = ()) -> "Forecast":
    """Everything that the notifier would send of these items, each at its own time, and of what waits at their end.

    Args:
        items: of each workflow and entity in the order in which its detector published them. What happened at the same
            time comes in the order of their names, so it does not matter how partitions were read.
        actions: silences that hold from the beginning.
    """
    forecast = Forecast(config)
    for action in actions:
        forecast.accept(action, 0.0)
    timed = ((*_time_and_name(item), item, counts) for item, counts in items)
    for at_s, _, item, counts in sorted(timed, key=itemgetter(0, 1)):
        forecast.accept(item, at_s, counts)
    forecast.finish()
    return forecast


def _time_and_name(item: Anomaly | RunSummary) -> tuple[float, tuple[str, str, str]]:
    if isinstance(item, RunSummary):
        return item.ended_at.timestamp(), ("run", item.run_id, "")
    return item.detected_at.timestamp(), (item.entity_kind, item.entity_id, item.variant or "")


class Forecast:
    """Takes anomalies and run summaries in the order of their times.

    Attributes:
        channels: the channels that count: those that are set and switched on, without the inbox; Slack where none is.
        is_assumed: whether no channel is set, so that Slack counts as if it was.
        messages: every message so far, as its channel and the outcomes that it brought.
        sent: the messages themselves, as their channels show them.
        sent_at_s: when each was sent, Unix time by the clock of the data.
        outcomes: what became of each anomaly and run on each channel.
    """

    def __init__(self, config: NotifyConfig) -> None:
        chosen = [name for name, is_on in config.channels.items() if is_on and name != INBOX]
        self.is_assumed = not chosen
        self.channels = tuple(chosen or [DEFAULT_CHANNEL])
        self.messages: list[tuple[str, list[Notification]]] = []
        self.sent: list[Message] = []
        self.sent_at_s: list[float] = []
        self.outcomes: list[Notification] = []
        switched: Mapping[str, bool] = dict.fromkeys(self.channels, True)
        self._config = replace(config, channels=switched, quiet_after_s={})
        self._state = SlottedStore({})
        self._now_s = 0.0
        self._expire_at_s = 0.0

    def accept(self, item: Anomaly | RunSummary | Action, at_s: float, counts: LabelCounts | None = None) -> None:
        """Decide about an item that comes at `at_s` (Unix time), once all that was due before has been sent."""
        self._until(at_s)
        self._now_s = max(self._now_s, at_s)
        self.outcomes += accept(self._state, item, self._now_s, self._config, counts)
        self._deliver()

    def finish(self) -> None:
        """Send everything that still waits, at its time."""
        self._until(float("inf"))

    def count(self, channel: str) -> int:
        """How many messages the channel has got so far."""
        return sum(name == channel for name, _ in self.messages)

    def _until(self, end_s: float) -> None:
        while (at_s := next_tick_s(self._state)) is not None and at_s <= end_s:
            self._now_s = max(self._now_s, at_s)
            self.outcomes += tick(self._state, self._now_s, self._config)
            self._deliver()

    def _deliver(self) -> None:
        while ready := due_deliveries(self._state, self._now_s, self._config):
            for delivery in ready:
                outcomes = settle(self._state, delivery, _TAKEN, self._now_s, self._config)
                self.sent.append(delivery.message)
                self.sent_at_s.append(self._now_s)
                self.messages.append((delivery.message.channel, outcomes))
                self.outcomes += outcomes
        if self._now_s > self._expire_at_s:
            self._expire_at_s = self._now_s + _EXPIRE_EVERY_S
            expire(self._state, self._now_s)
